"""A made-up week of news that reads like one: what a page is looked at with, where a real one is not to be published.

Each story is an event at a place, told in many ways, as papers do; story sizes fall like a power law. A third of the
headlines tell of something that nobody else does.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from clustering.map.layout import lay_out
from clustering.pages.run_page import Snapshot
from clustering.stories.lineage import GROWTH, GROWTH_ROWS
from clustering.stories.naming import name_stories
from newstide.core.settings import Settings
from newstide.embedding import load_embedder
from newstide_app.evaluation import cluster_frame, update_exact_graph

BEGIN = 1_790_000_000_000  # epoch ms: 21 September 2026
_WEEK = 7 * 86_400_000  # ms
_HOUR = 3_600_000  # ms
_NOISE = 0.33
_WITH_ASIDE = 0.6

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
# What happens: who or what, does what, and how, when or who says so. Any of each go together.
_KINDS: tuple[tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]], ...] = (
    (("Flood water", "The swollen river", "Days of heavy rain", "The {p} floods", "A burst dyke", "A wall of water"),
     ("cut off villages near {p}", "swept away {d} bridges", "drove {n} families from their homes", "put {p} under water",
      "closed the road to {p}", "reached the old town of {p}"),
     ("after record rain", "overnight", "as rescuers wait for boats", "and more rain is forecast", ", mayor {w} says")),
    (("The {p} wildfire", "A forest fire", "Flames fanned by strong winds", "The blaze in the hills", "Fire"),
     ("destroyed {n} homes near {p}", "jumped the motorway at {p}", "forced the evacuation of {p}",
      "burned through pine forest", "came within sight of {p}", "kept {n} firefighters busy"),
     ("as winds pick up", "for a fifth day", "after a dry summer", ", pilots say", ", arson is suspected")),
    (("The {p} earthquake", "A quake of magnitude 6.{d}", "A strong tremor", "An aftershock", "The earth in {p}"),
     ("shook {p} awake", "brought down {n} houses", "buried people under rubble in {p}", "was felt as far as the coast",
      "damaged the cathedral of {p}", "left {p} without power"),
     ("before dawn", ", rescuers dig by hand", "as the toll rises", ", seismologists say", ", schools stay closed")),
    (("Voters in {p}", "{w}'s party", "The people of {p}", "Supporters of {w}", "Young voters"),
     ("swept {w} into the town hall of {p}", "went to the polls for a new mayor", "waited hours to cast a ballot in {p}",
      "celebrated {w}'s election victory", "called for a recount in {p}", "gave the mayoral candidate {w} a narrow lead"),
     ("after a bitter campaign", "as the first results come in", ", turnout is high", ", pollsters were wrong")),
    (("The central bank of {p}", "{p}'s bank governor {w}", "A rise in interest rates", "The rate decision in {p}"),
     ("surprised the markets", "made mortgages dearer in {p}", "raised borrowing costs by a quarter point",
      "sent the shares of {p} lower", "put the fight against inflation first", "warned of further rate rises"),
     ("for the {d}th time", ", economists say", "as prices climb", "in a split vote")),
    (("The {p} steelworks", "The owners of {p} steel", "Steelworkers in {p}", "The last blast furnace", "Unions in {p}"),
     ("went cold", "fought the closure of the plant", "cut {n} jobs", "marched through {p} for their jobs",
      "asked minister {w} for aid", "blamed cheap imported steel"),
     ("after a hundred years", "in the rain", "as talks go on", "before Christmas", ", {w} promises help")),
    (("{p} United", "Striker {w}", "The cup holders", "A late goal", "The fans of {p} United"),
     ("won the cup final", "beat the champions on penalties", "lifted the cup for {p}",
      "stunned the favourites in the final", "sang through the streets of {p}", "sealed the trophy with a header"),
     ("in extra time", "for the first time", "before {n},000 fans", ", coach {w} in tears", "after a goalless half")),
    (("Doctors in {p}", "Hospital staff", "Nurses and doctors", "The doctors' union", "The strike at {p} hospital"),
     ("walked out over pay", "put off {n} operations in {p}", "began a three-day strike", "rejected the minister's offer",
      "left emergency wards to a skeleton crew", "picketed the {p} clinic"),
     ("as talks break down", ", patients wait", "for the {d}th week", ", union leader {w} says", "with no end in sight")),
    (("A malaria vaccine", "Researchers in {p}", "The {p} vaccine trial", "A new jab against malaria", "Doctor {w}'s team"),
     ("protected {n} children", "reported strong results against malaria", "passed its last clinical trial in {p}",
      "won praise from health experts", "could save thousands of lives", "went to the regulator for approval"),
     (", study finds", "after ten years' work", "in a first", ", side effects were mild", ", journal reports")),
    (("The ferry to {p}", "A ferry with {n} on board", "The captain of the {p} ferry", "The stranded ship", "Tugs off {p}"),
     ("ran onto rocks", "brought all passengers ashore at {p}", "waited for high tide", "sent out a distress call",
      "leaked oil on the beaches of {p}", "was pulled free from the reef"),
     ("in thick fog", ", coastguard says", ", an inquiry opens", "at first light", ", nobody was hurt")),
    (("The {p} telescope", "Astronomers in {p}", "A distant planet", "Water on an exoplanet", "Star gazer {w}"),
     ("showed clouds on another world", "found vapour {n} light years away", "excited the hunters for life in space",
      "surprised the observatory of {p}", "looked like a second Earth", "detected signs of an ocean"),
     ("in new images", "for the first time", ", paper says", "before dawn", "after years of looking")),
    (("The {p} bridge", "Cracks in the old bridge", "Engineers in {p}", "The closure of the bridge", "Lorry drivers"),
     ("stopped all traffic across the river", "will take {d} months to repair", "caused long queues into {p}",
      "alarmed inspectors", "split the town of {p} in two", "blamed years of neglect"),
     (", council admits", "since Monday", "at rush hour", ", report shows", ", {w} demands answers")),
    (("Hackers", "A cyber attack", "The {p} clinic", "Thieves of patient data", "Ransomware"),
     ("locked the computers of {p} hospital", "stole the records of {n} patients", "demanded a ransom from {p}",
      "sent doctors back to pen and paper", "leaked health files online", "crippled the hospital network"),
     (", police say", "over the weekend", "as experts trace the code", ", ransom refused", ", data watchdog told")),
    (("A film by {w}", "Director {w}", "The jury of {p}", "The {p} film festival", "A debut film"),
     ("took the top prize", "moved the audience of {p} to tears", "won the golden heron for best picture",
      "shared the award for best director", "drew boos and cheers at its premiere", "closed with a gala on the red carpet"),
     (", critics are divided", "after two weeks", "in the rain", "against all odds", ", stars arrive in {p}")),
    (("A heatwave", "Heat in {p}", "Temperatures of 4{d} degrees", "The hottest day on record", "The sun over {p}"),
     ("broke a century-old record", "filled the cool rooms of {p}", "strained the power grid", "emptied the streets of {p}",
      "dried out wells and fields", "sent {n} people to hospital"),
     ("and it will last", ", forecasters say", "for a second week", ", water is rationed", ", doctors warn")),
    (("A passenger train", "The {p} express", "A derailed carriage", "Investigators of the {p} crash", "A broken rail"),
     ("left the tracks outside {p}", "hurt {d} passengers", "blocked the main line to {p}", "was lifted by crane",
      "caused the rail accident", "kept commuters of {p} waiting"),
     ("at full speed", "on a curve", ", driver questioned", ", buses replace trains", ", the line reopens")),
    (("Minister {w}", "The {p} contracts affair", "Leaked papers", "The opposition", "A whistleblower"),
     ("resigned over secret deals", "named {w} in the bribery scandal", "put the government under pressure",
      "showed payments of {n} million", "called for the minister to go", "denied any knowledge of the contracts"),
     ("after a week of revelations", ", prosecutors confirm", "in a stormy debate", ", the premier stays silent")),
    (("Wolves", "A wolf pack", "Farmers near {p}", "Camera traps", "A wolf with pups"),
     ("returned to the hills of {p}", "killed {n} sheep", "asked for fences against wolves", "was seen near a school in {p}",
      "howled in the national park", "divided villagers and conservationists"),
     (", rangers say", "after a century", "in the snow", ", hunters want permits", ", the count goes up")),
    (("Judges in {p}", "A chip maker", "The antitrust ruling", "Regulators", "The cartel of chip makers"),
     ("fined the firm {n} million", "fixed the price of memory chips", "appealed against the {p} verdict",
      "lost the antitrust case", "must pay back customers", "made phones and cars dearer for years"),
     ("after nine years in court", ", lawyers say", ", shares fall", "in a landmark case")),
    (("Peace envoy {w}", "Negotiators", "The ceasefire", "Both armies", "The talks in {p}"),
     ("held on the {p} frontier", "met for the first time in {p}", "exchanged {n} prisoners", "agreed on a buffer zone",
      "left the table without a deal", "withdrew their guns from the border"),
     (", diplomats say", "despite shelling", "for one night", ", families hope", "under a white flag")),
    (("Tenants in {p}", "Rents", "A flat in {p}", "Landlords", "The housing crisis"),
     ("rose by {d} per cent in a year", "marched for a cap on rents", "drew {n} people to a viewing",
      "drove families out of {p}", "went on a rent strike", "fought the council's housing plan"),
     (", survey shows", "as students return", ", the council votes", "with banners and drums")),
    (("Runner {w}", "The {p} marathon", "{n} thousand runners", "An outsider", "The favourite"),
     ("set a course record in {p}", "won by a stride", "ran through wind and rain", "broke away at the last bridge",
      "collapsed at the finish of the marathon", "crossed the line hand in hand"),
     ("in just over two hours", ", crowds cheer", "in borrowed shoes", "for charity")),
    (("The volcano near {p}", "Ash clouds", "Lava", "An eruption", "Smoke from the crater"),
     ("grounded flights from {p}", "buried vineyards under ash", "reached the coast road", "lit up the night sky over {p}",
      "forced {n} islanders to leave", "rained stones on the harbour of {p}"),
     ("without warning", ", volcanologists say", "for the {d}th day", ", masks are handed out")),
    (("A moon lander", "The {p} probe", "Engineer {w}'s rover", "Mission control in {p}", "The spacecraft"),
     ("touched down near the south pole of the moon", "sent its first pictures of craters", "lost contact for {n} minutes",
      "drilled for ice in lunar soil", "cheered as the signal came back", "unfolded its solar panels"),
     ("after a perfect landing", ", agency confirms", "at the {d}th try", "live on television")),
)  # fmt: skip
Section = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...], tuple[str, ...]]
# What small events and lone headlines are of: a section's people, what they do, to what, and how it is told.
_SECTIONS: tuple[Section, ...] = (
    (("goalkeeper", "referee", "young swimmer", "rowing coach", "tennis champion", "cyclist", "judo team"),
     ("trains for", "loses", "wins", "is banned from", "comes back for", "misses"),
     ("penalty shoot-out", "relay race", "ice rink derby", "table tennis cup", "mountain stage", "world title", "golf open"),
     ("{Who} {did} the {thing}", "Sport: {who} of {p} and the {thing}", "{p} crowd cheers {who} at {thing}")),
    (("poet", "puppeteer", "violinist", "choir", "sculptor", "comic artist", "stage magician"),
     ("opens", "dedicates", "burns", "finishes at last", "is sued over", "gives away"),
     ("novel", "opera", "bronze statue", "picture book", "street theatre", "last concert", "mural"),
     ("{Who} {did} {thing}", "Culture: the {who} and the {thing}", "Why a {thing} made the {who} famous in {p}")),
    (("botanist", "astronomer", "physicist", "fossil hunter", "young chemist", "polar researcher", "mathematician"),
     ("discovers", "explains", "doubts", "proves", "names", "measures"),
     ("rare orchid", "comet", "dinosaur egg", "dark matter", "melting glacier", "new enzyme", "prime number"),
     ("{Who} {did} {thing}", "Study from {p}: {who} looks at {thing}", "What the {thing} taught a {who}")),
    (("beekeeper", "shepherd", "vet", "zoo keeper", "dog trainer", "fisherman", "falconer"),
     ("rescues", "loses", "feeds", "chases", "photographs", "adopts"),
     ("swarm of bees", "escaped llama", "stranded seal", "three-legged cat", "white stag", "parrot", "giant catfish"),
     ("{Who} {did} {thing}", "{Thing} saved by {who} near {p}", "Animal of the week: the {thing} of {p}")),
    (("judge", "detective", "burglar", "forger", "night watchman", "tax inspector", "prison guard"),
     ("steals", "finds", "denies knowledge of", "goes to jail over", "hides", "confesses to"),
     ("stolen painting", "false banknotes", "gold coins", "smuggled watches", "getaway car", "empty safe", "fake passport"),
     ("{Who} {did} {thing}", "Court in {p} hears {who} on {thing}", "Police in {p} ask: where is the {thing}?")),
    (("baker", "star chef", "cheese maker", "wine grower", "ice cream seller", "brewer", "tea blender"),
     ("perfects", "bans", "sells out of", "tastes", "burns", "invents"),
     ("sourdough loaf", "chilli soup", "blue cheese", "pumpkin beer", "chocolate cake", "oyster menu", "plum jam"),
     ("{Who} {did} {thing}", "Recipe: {thing} as the {who} makes it", "Queues in {p} for the {who}'s {thing}")),
    (("bus driver", "taxi driver", "airline", "tram conductor", "cycling club", "lorry driver", "railway"),
     ("cancels", "crashes into", "repairs", "tests", "paints", "is late for"),
     ("night bus", "airport shuttle", "electric tram", "cable car", "bike lane", "toll bridge", "steam train"),
     ("{Who} {did} {thing}", "Traffic: {thing} in {p} stops", "Commuters of {p} complain of {who} and {thing}")),
    (("start-up", "robot builder", "programmer", "phone maker", "video gamer", "satellite firm", "data scientist"),
     ("launches", "hacks", "recalls", "patents", "sells", "switches off"),
     ("folding phone", "chatbot", "delivery drone", "smart watch", "video game", "face scanner", "quantum chip"),
     ("{Who} {did} {thing}", "Tested: the {who}'s {thing}", "Will a {thing} from {p} change the web?")),
    (("headteacher", "student", "kindergarten", "librarian", "professor", "school orchestra", "exam board"),
     ("forgets", "fails", "reforms", "protests against", "wins praise for", "bans phones from"),
     ("maths exam", "school trip", "spelling contest", "library card", "uniform", "graduation ball", "French lesson"),
     ("{Who} {did} {thing}", "Education: {who} in {p} rethinks the {thing}", "Parents angry over {thing} in {p}")),
    (("surgeon", "dentist", "midwife", "pharmacist", "marathon nurse", "yoga teacher", "psychologist"),
     ("warns of", "cures", "prescribes", "studies", "removes", "talks about"),
     ("hay fever", "back pain", "flu jab", "sleepless nights", "allergy", "tooth decay", "stress"),
     ("{Who} {did} {thing}", "Health: {who} from {p} on {thing}", "Ten things to know of {thing}")),
    (("shop owner", "insurer", "bank clerk", "car maker", "investor", "toy factory", "online retailer"),
     ("buys", "goes bankrupt over", "rebuilds", "doubles profit with", "sacks staff over", "invests in"),
     ("department store", "wind farm", "pension fund", "chain of cafes", "furniture brand", "battery plant", "hotel"),
     ("{Who} {did} {thing}", "Business: {thing} in {p} changes hands", "Shares in {who} jump after {thing} deal")),
    (("architect", "gardener", "landlord", "chimney sweep", "city planner", "plumber", "lighthouse keeper"),
     ("restores", "tears down", "moves into", "redesigns", "inherits", "sells"),
     ("town square", "thatched cottage", "rose garden", "water tower", "tiny house", "ruined castle", "public bath"),
     ("{Who} {did} {thing}", "Homes: a {who} and a {thing} in {p}", "Neighbours in {p} dislike the {thing}")),
)  # fmt: skip
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
_SORTS = [
    "nervous", "left-handed", "Bolivian", "sleepless", "blue", "stubborn", "forgotten", "royal", "electric", "tiny",
    "frozen", "unlucky", "bilingual", "rusty", "famous", "wooden", "homesick", "stolen", "vegan", "underwater",
    "Victorian", "borrowed", "striped", "deaf", "prize-winning", "haunted", "inflatable", "grumpy", "invisible", "golden",
    "shy", "wandering", "musical", "unfinished", "Siberian", "half-eaten", "mechanical", "barefoot", "secret", "enormous",
]  # fmt: skip
_FRAMES = ("{t}",) * 8 + ("Video: {t}", "{p}: {t}", "Analysis: {t}", "{t} - in pictures")


def made_headlines(rows: int, seed: int = 0) -> pd.DataFrame:
    """(rows) headlines: `id`, `title`, `source`, `url`, `language`, `published_at` (epoch ms), ascending in time.

    `event` numbers what they tell of, -1 = what nobody else does. The large events are of a kind each, the small ones of a
    section, with a person and a thing that no other event has together.
    """
    random = np.random.default_rng(seed)
    pairs = [(section, who, thing) for section in _SECTIONS for who in section[0] for thing in section[2]]
    small = [pairs[at] for at in random.permutation(len(pairs))[: max(8, rows // 40)]]
    events = len(_KINDS) + len(small)
    share = 1 / np.arange(3, events + 3) ** 0.9
    event = random.choice(events, rows, p=share / share.sum())
    begins = random.uniform(0, 0.95, events)
    lasts = random.uniform(0.02, 0.35, events)
    places = [*random.permutation(_PLACES), *(_any(random, _PLACES) for _ in small)]
    records = []
    for at in range(rows):
        own = int(event[at])
        if random.random() < _NOISE:
            own = -1
            time = random.random()
            title = _lone(random)
        else:
            age = random.beta(1.3, 3)
            time = min(0.999, begins[own] + lasts[own] * age)
            large = own < len(_KINDS)
            told = _large(random, own, age) if large else _small(random, own, *small[own - len(_KINDS)])
            title = _any(random, _FRAMES).format(t=told, p=places[own]).replace("{p}", places[own])
        source = int(random.integers(60))
        name = f"{_PLACES[source % 40]} {('Times', 'Post', 'Courier')[source % 3]}"
        published = BEGIN + int(time * _WEEK)
        records.append((f"{at:032x}", title, name, f"https://news{source}.example/{at}", "en", published, own))
    columns = ["id", "title", "source", "url", "language", "published_at", "event"]
    return pd.DataFrame(records, columns=columns).sort_values(["published_at", "id"], ignore_index=True)


def _large(random: np.random.Generator, own: int, age: float) -> str:
    """One way of telling a large event, `age` (0 to 1) of its time after its begin; `{p}` stands for its place."""
    subjects, deeds, asides = _KINDS[own]
    told = f"{_any(random, subjects)} {_any(random, deeds)}"
    if random.random() < _WITH_ASIDE:
        aside = _any(random, asides)
        told += aside if aside[0] == "," else f" {aside}"
    return told.format(p="{p}", w=_PEOPLE[own % len(_PEOPLE)], n=int(20 + own + 40 * age), d=2 + own % 8)


def _small(random: np.random.Generator, own: int, section: Section, who: str, thing: str) -> str:
    """One way of telling a small event; `{p}` stands for its place."""
    _, deeds, _, ways = section
    told = _told(_any(random, ways), who, deeds[own % len(deeds)], thing)
    return (
        f"{told} {_ASIDES[(own + 7 * int(random.integers(3))) % len(_ASIDES)]}"
        if random.random() < _WITH_ASIDE
        else told
    )


def _lone(random: np.random.Generator) -> str:
    """What nobody else tells."""
    whos, deeds, things, ways = _SECTIONS[int(random.integers(len(_SECTIONS)))]
    who, thing = (f"{_any(random, _SORTS)} {_any(random, some)}" for some in (whos, things))
    told = _told(_any(random, ways), who, _any(random, deeds), thing)
    return f"{told} {_any(random, _ASIDES)}".format(p=_any(random, _PLACES))


def _told(way: str, who: str, did: str, thing: str) -> str:
    upper = {"Who": who[0].upper() + who[1:], "Thing": thing[0].upper() + thing[1:]}
    return way.format(who=who, did=did, thing=thing, p="{p}", **upper)


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
