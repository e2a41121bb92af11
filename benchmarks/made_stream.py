"""A made-up week of news that reads like one: what a page is looked at with, where a real one is not to be published.

Each story is an event at a place, told in several ways, as papers do; story sizes fall like a power law. A third of the
headlines tell of something that nobody else does.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from clustering.layout import lay_out
from clustering.lineage import GROWTH, GROWTH_ROWS
from clustering.naming import name_stories
from clustering.snapshot import Snapshot
from newstide.app.evaluation import cluster_frame, update_exact_graph
from newstide.embedding import load_embedder
from newstide.settings import Settings

BEGIN = 1_790_000_000_000  # epoch ms: 21 September 2026
_WEEK = 7 * 86_400_000  # ms
_HOUR = 3_600_000  # ms
_NOISE = 0.33

_PLACES = [
    "Ardenport",
    "Bellmouth",
    "Calder",
    "Dunmere",
    "Eastvale",
    "Farrowgate",
    "Gallenburg",
    "Harrowby",
    "Istria",
    "Jarlsund",
    "Kestrel",
    "Lindholm",
    "Marlow",
    "Northam",
    "Oakhaven",
    "Pellworth",
    "Quarrydale",
    "Ravensea",
    "Stonebridge",
    "Thornbury",
    "Ulmstead",
    "Valmora",
    "Westerlund",
    "Yarrow",
    "Zellingen",
    "Ashcombe",
    "Brackwater",
    "Corvello",
    "Drummond",
    "Elmsford",
    "Fallowmere",
    "Grantholm",
    "Hollis",
    "Ivybridge",
    "Kaldvik",
    "Lorimer",
    "Montclair",
    "Novara",
    "Ostenfeld",
    "Port-Royan",
]
_PEOPLE = [
    "Almeida",
    "Bergström",
    "Castellan",
    "Duarte",
    "Eriksen",
    "Fontaine",
    "Grigorescu",
    "Haddad",
    "Ibarra",
    "Jankowski",
    "Keller",
    "Lindqvist",
    "Moreau",
    "Nakamura",
    "Okafor",
    "Petrov",
    "Quintana",
    "Rossi",
    "Silva",
    "Tanaka",
    "Ueda",
    "Vasquez",
    "Weber",
    "Yilmaz",
    "Zhang",
    "Abbott",
    "Brennan",
    "Costa",
    "Dlamini",
    "Egan",
]
_TOLD = (
    ("Floods force {n} families from their homes in {p}", "River bursts its banks at {p} after record rain",
     "{p} under water: rescuers reach stranded villages", "Flood water in {p} begins to fall, damage put at {n} million"),
    ("Wildfire near {p} spreads as winds pick up", "Thousands told to leave as fire nears {p}",
     "Firefighters hold the line at {p} wildfire", "{n} homes lost to the {p} forest fire"),
    ("Earthquake of magnitude 6.{d} strikes {p}", "Rescuers dig through rubble after {p} quake",
     "Aftershocks shake {p} as toll rises to {n}", "{p} earthquake: schools closed, trains halted"),
    ("{w} wins the race for mayor of {p}", "Mayor-elect {w} promises homes and trams for {p}",
     "{p} votes: {w} ahead after the first count", "Recount asked for in {p} mayoral election"),
    ("Central bank of {p} raises rates by a quarter point", "Mortgages to rise after {p} rate decision",
     "Markets slip as {p} bank hints at further rises", "Why {p}'s central bank raised interest rates again"),
    ("{p} steelworks to close with {n} jobs lost", "Unions fight closure of the {p} steel plant",
     "Minister flies to {p} to save steelworks", "Last furnace in {p} goes cold"),
    ("{p} United beat rivals in cup final thriller", "Late goal gives {p} United the cup",
     "{w}'s header wins the final for {p}", "Fans fill the streets as {p} lifts the cup"),
    ("Doctors in {p} begin three-day strike over pay", "{n} operations put off by hospital strike in {p}",
     "Talks to end the {p} doctors' strike break down", "{p} hospitals run skeleton service as doctors walk out"),
    ("New vaccine trial in {p} shows strong protection", "{p} researchers report success against malaria",
     "Malaria vaccine from {p} works in {n} children", "Regulator to look at {p} malaria vaccine"),
    ("Ferry runs aground off {p} with {n} on board", "All passengers safe after {p} ferry accident",
     "Tugs free the stranded ferry at {p}", "Inquiry opens into {p} ferry grounding"),
    ("Telescope at {p} finds water on a distant world", "Astronomers in {p} see clouds on exoplanet",
     "{p} observatory: {n} light years away, a wet planet", "What the {p} telescope saw"),
    ("Bridge at {p} closed after cracks are found", "{p} bridge may stay shut for {d} months",
     "Traffic chaos as {p} bridge closes", "Engineers warned of {p} bridge years ago"),
    ("Data of {n} patients stolen from {p} clinic", "Hackers demand ransom from {p} hospital",
     "{p} clinic back on paper after cyber attack", "Police trace hackers of the {p} health data"),
    ("Film by {w} takes top prize at {p} festival", "{p} film festival ends with an award for {w}",
     "{w} moves {p} jury to tears", "The winners of this year's {p} film festival"),
    ("Heatwave: {p} reaches 4{d} degrees", "{p} opens cool rooms as heat sets a record",
     "Power cuts in {p} as heatwave strains the grid", "Hottest day ever measured in {p}"),
    ("Train derails outside {p}, {d} hurt", "Line to {p} blocked after derailment",
     "Broken rail suspected in {p} train accident", "First trains run again through {p} after crash"),
    ("{w} resigns as minister over {p} contracts", "Minister {w} under pressure on {p} deals",
     "Papers show {w} knew of the {p} contracts", "Who follows {w} after the {p} affair?"),
    ("Wolves return to the hills above {p}", "Farmers near {p} ask for fences against wolves",
     "Camera traps count {d} wolves at {p}", "Pups seen: {p} wolf pack grows"),
    ("{p} court fines chip maker {n} million", "Chip maker to appeal against {p} ruling",
     "Judges in {p} find cartel among chip makers", "What the {p} chip ruling means for prices"),
    ("Peace talks on the {p} border begin", "Ceasefire holds on the {p} frontier",
     "Envoy {w} shuttles between capitals over {p}", "Prisoners exchanged at {p} crossing"),
    ("Bakers of {p} sell the longest loaf of bread", "Record loaf: {p} bakes {n} metres",
     "{p} bread in the book of records", "How {p} baked the longest loaf in the world"),
    ("Rents in {p} rise by {d} per cent in a year", "Tenants march in {p} against rents",
     "{p} council votes on a cap on rents", "A flat in {p}? {n} people in the queue"),
    ("Marathon of {p} won by {w} in record time", "{w} runs away with the {p} marathon",
     "{n} runners take part in {p} marathon", "Wet roads, fast times at the {p} marathon"),
    ("Volcano near {p} sends ash over the islands", "Flights cancelled as {p} volcano erupts",
     "Lava reaches the road to {p}", "Ash rain: {p} schools hand out masks"),
)  # fmt: skip
_WHO = [
    "retired teacher",
    "young baker",
    "widow",
    "night porter",
    "former striker",
    "village band",
    "librarian",
    "beekeeper",
    "twelve-year-old",
    "tax inspector",
    "choir",
    "bus driver",
    "watchmaker",
    "grandmother",
    "astronomer",
    "pair of twins",
    "lock keeper",
    "stage magician",
    "poet",
    "nurse",
    "taxi driver",
    "botanist",
    "ship's cook",
    "tailor",
    "referee",
    "puppeteer",
    "postman",
    "farmer",
    "judge",
    "diver",
]
_DID = [
    "restores",
    "gives away",
    "writes a book about",
    "misses",
    "counts",
    "sues over",
    "falls in love with",
    "sells",
    "photographs",
    "builds",
    "bans",
    "inherits",
    "paints",
    "finds",
    "steals",
    "swims across",
    "maps",
    "votes on",
    "photographs",
    "forgets",
    "defends",
    "tastes",
    "repairs",
    "dreams of",
    "teaches",
    "saves",
    "hides",
    "celebrates",
    "measures",
    "questions",
]
_THINGS = [
    "canal boat",
    "night train",
    "sourdough starter",
    "chess club",
    "public library",
    "tram line",
    "medieval map",
    "wild orchid",
    "typewriter",
    "mushroom",
    "violin",
    "comic book",
    "pumpkin",
    "allotment",
    "lighthouse",
    "radio play",
    "woollen jumper",
    "comet",
    "football pitch",
    "rare moth",
    "paper crane",
    "ice rink",
    "cider press",
    "heron",
    "museum",
    "lost ring",
    "tax return",
    "haunted house",
    "spelling mistake",
    "snow globe",
]


_ASIDES = [
    "after forty years",
    "for charity",
    "on a bet",
    "and nobody noticed",
    "to settle an argument",
    "in the pouring rain",
    "without a licence",
    "for the third time",
    "by mistake",
    "with a borrowed ladder",
    "despite the neighbours",
    "at two in the morning",
    "to the sound of bagpipes",
    "over the weekend",
    "and blames the goat",
    "in alphabetical order",
    "on live television",
    "with her bare hands",
    "for a Danish museum",
    "ahead of the holidays",
    "and wants an apology",
    "by candlelight",
    "to impress a cousin",
    "in under an hour",
    "against doctor's orders",
    "thanks to a typo",
    "under a false name",
    "from a hot-air balloon",
    "with help from abroad",
    "and starts again",
]
_KINDS_OF = [
    "nervous", "left-handed", "Bolivian", "sleepless", "blue", "stubborn", "forgotten", "royal", "electric", "tiny",
    "frozen", "unlucky", "bilingual", "rusty", "famous", "wooden", "homesick", "stolen", "vegan", "underwater",
    "Victorian", "borrowed", "striped", "deaf", "prize-winning", "haunted", "inflatable", "grumpy", "invisible", "golden",
    "shy", "wandering", "musical", "unfinished", "Siberian", "half-eaten", "mechanical", "barefoot", "secret", "enormous",
]  # fmt: skip
_AFFAIRS = (
    "{Who} {did} {thing} in {p}",
    "{p}: {who} {did} {thing}",
    "The {who} and the {thing}: what happened in {p}",
    "{p} talks of nothing but the {who} and the {thing}",
    "{Who} of {p} explains the {thing}",
    "Court in {p} to hear the {who} about the {thing}",
    "Crowds come to {p} to see {who} and {thing}",
)
_FRAMES = (
    "{t}",
    "{t}",
    "{t}",
    "Live: {t}",
    "Video: {t}",
    "{t}, officials say",
    "What we know: {t}",
    "{t} - in pictures",
    "Analysis: {t}",
    "{t}, witnesses say",
    "Update: {t}",
    "Morning briefing: {t}",
)


def made_headlines(rows: int, seed: int = 0) -> pd.DataFrame:
    """(rows) headlines: `id`, `title`, `source`, `url`, `language`, `published_at` (epoch ms), ascending in time.

    `event` numbers what they tell of, -1 = what nobody else does. The large events are of a kind each, the small ones of a
    person and a thing that no other event has together.
    """
    random = np.random.default_rng(seed)
    pairs = [(who, thing) for who in _WHO for thing in _THINGS]
    small = [pairs[at] for at in random.permutation(len(pairs))[: max(8, rows // 40)]]
    events = len(_TOLD) + len(small)
    share = 1 / np.arange(3, events + 3) ** 0.9
    event = random.choice(events, rows, p=share / share.sum())
    begins = random.uniform(0, 0.95, events)
    lasts = random.uniform(0.02, 0.35, events)
    places = [*random.permutation(_PLACES), *(_any(random, _PLACES) for _ in small)]
    deeds = [_any(random, _DID) for _ in range(events)]
    records = []
    for at in range(rows):
        own = int(event[at])
        if random.random() < _NOISE:
            own = -1
            who, did, thing, aside = (_any(random, some) for some in (_WHO, _DID, _THINGS, _ASIDES))
            sort, kind = (_any(random, _KINDS_OF) for _ in range(2))
            title = f"{sort[0].upper()}{sort[1:]} {who} {did} {kind} {thing} {aside}"
            time = random.random()
        else:
            age = random.beta(1.3, 3)
            time = min(0.999, begins[own] + lasts[own] * age)
            words = {
                "p": places[own],
                "w": _PEOPLE[own % len(_PEOPLE)],
                "n": int(20 + own + 40 * age),
                "d": 2 + own % 8,
            }
            if own < len(_TOLD):
                told = _any(random, _TOLD[own]).format(**words)
            else:
                who, thing = small[own - len(_TOLD)]
                words |= {"who": who, "Who": who.capitalize(), "did": deeds[own], "thing": thing}
                told = _any(random, _AFFAIRS).format(**words)
            title = _any(random, _FRAMES).format(t=told)
        source = int(random.integers(60))
        name = f"{_PLACES[source % 40]} {('Times', 'Post', 'Courier')[source % 3]}"
        published = BEGIN + int(time * _WEEK)
        records.append((f"{at:032x}", title, name, f"https://news{source}.example/{at}", "en", published, own))
    columns = ["id", "title", "source", "url", "language", "published_at", "event"]
    return pd.DataFrame(records, columns=columns).sort_values(["published_at", "id"], ignore_index=True)


def made_run(rows: int, seed: int = 0) -> Snapshot:
    """The made-up headlines embedded, clustered, named and laid out as a run does, without Kafka and Milvus."""
    settings = Settings()
    headlines = made_headlines(rows, seed)
    headlines = headlines.sort_values("id", ignore_index=True)  # as the graph has them
    vectors = load_embedder(settings.embedding).encode(headlines["title"].tolist())
    graph = update_exact_graph(None, headlines["id"], headlines["id"], vectors, settings.clustering)
    clusters = cluster_frame(graph, headlines, settings.clustering)
    layout = lay_out(graph.vectors, graph.indices, graph.similarities, graph.ids, None, settings.layout)
    labelled = headlines.assign(
        cluster_label=clusters.labels,
        label_probability=clusters.probabilities,
        x=layout.positions[:, 0],
        y=layout.positions[:, 1],
    )
    names = name_stories(clusters.labels, clusters.centred, headlines, clusters.threshold.theta)
    return Snapshot(
        1,
        BEGIN + _WEEK,
        labelled,
        _as_stories(names, labelled),
        {"model": settings.embedding.model, "window": "a made-up week", "rows": rows},
    )


def _as_stories(names: pd.DataFrame, headlines: pd.DataFrame) -> pd.DataFrame:
    """As after a run of which the last was six hours earlier."""
    earlier = headlines[headlines["published_at"] < BEGIN + _WEEK - 6 * _HOUR].groupby("cluster_label").size()
    before = names["cluster_label"].map(earlier).fillna(0).astype(int)
    events = [
        ["born"] if not old else ["grown"] if now - old >= max(GROWTH_ROWS, GROWTH * old) else []
        for now, old in zip(names["size"], before, strict=True)
    ]
    return names.drop(columns=["centroid", "reach"]).assign(
        previous_size=before,
        events=pd.Series(events, index=names.index, dtype=object),
        parents=pd.Series([[] for _ in events], index=names.index, dtype=object),
        status="open",
        successor=-1,
    )


def _any(random: np.random.Generator, texts: Sequence[str]) -> str:
    return texts[int(random.integers(len(texts)))]
