"""A made-up week of news that reads like one: what a page is looked at with, where a real one is not to be published.

Each story is an event at a place, told in many ways, as papers do; story sizes fall like a power law. A third of the
headlines tell of something that nobody else does.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from clustering.map.layout import lay_out
from clustering.pages.run_page import Snapshot
from clustering.stories.clusters import cluster_rows
from clustering.stories.lineage import GROWTH, GROWTH_ROWS
from clustering.stories.naming import name_stories
from newstide.core.settings import Settings
from newstide.embedding import load_embedder
from newstide_app.replay import update_exact_graph

BEGIN = 1_790_000_000_000  # epoch ms: 21 September 2026
_WEEK = 7 * 86_400_000  # ms
_HOUR = 3_600_000  # ms
_NOISE = 0.33
_WITH_ASIDE = 0.6

_WORDS: dict[str, Any] = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
_PLACES, _PEOPLE, _ASIDES = _WORDS["places"], _WORDS["people"], _WORDS["asides"]
_KINDS: list[dict[str, list[str]]] = _WORDS["kinds"]
_SECTIONS: list[dict[str, list[str]]] = _WORDS["sections"]


def made_headlines(rows: int, seed: int = 0) -> pd.DataFrame:
    """(rows) headlines: `id`, `title`, `source`, `url`, `language`, `published_at` (epoch ms), ascending in time.

    `event` numbers what they tell of, -1 = what nobody else does. The large events are of a kind each, the small ones of a
    section, with a person and a thing that no other event has together.
    """
    random = np.random.default_rng(seed)
    pairs = [(section, who, thing) for section in _SECTIONS for who in section["people"] for thing in section["things"]]
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
            title = _any(random, _WORDS["frames"]).format(t=told, p=places[own]).replace("{p}", places[own])
        source = int(random.integers(60))
        name = f"{_PLACES[source % 40]} {('Times', 'Post', 'Courier')[source % 3]}"
        published = BEGIN + int(time * _WEEK)
        records.append((f"{at:032x}", title, name, f"https://news{source}.example/{at}", "en", published, own))
    columns = ["id", "title", "source", "url", "language", "published_at", "event"]
    return pd.DataFrame(records, columns=columns).sort_values(["published_at", "id"], ignore_index=True)


def told_headlines(rows: int, seed: int = 0) -> pd.DataFrame:
    """(rows) made-up headlines as a labelled file has them, ascending by id: with `story_id` and `description`.

    A description tells the headline's event once more, in another made headline's words. What nobody else tells has its own
    words again.
    """
    made = made_headlines(2 * rows, seed)
    told, again = made.iloc[::2], made.iloc[1::2]
    random = np.random.default_rng(seed)
    others = {event: some.tolist() for event, some in again.groupby("event")["title"]}
    alone = [f"{_any(random, _WORDS['sorts'])}: {title}" for title in told["title"]]
    return told.assign(
        story_id=[f"event {own}" if own >= 0 else id_ for own, id_ in zip(told["event"], told["id"], strict=True)],
        description=[
            _any(random, others.get(own, [""])) if own >= 0 else one
            for own, one in zip(told["event"], alone, strict=True)
        ],
    ).sort_values("id", ignore_index=True)


def _large(random: np.random.Generator, own: int, age: float) -> str:
    """One way of telling a large event, `age` (0 to 1) of its time after its begin; `{p}` stands for its place."""
    kind = _KINDS[own]
    told = f"{_any(random, kind['subjects'])} {_any(random, kind['deeds'])}"
    if random.random() < _WITH_ASIDE:
        aside = _any(random, kind["asides"])
        told += aside if aside[0] == "," else f" {aside}"
    return told.format(p="{p}", w=_PEOPLE[own % len(_PEOPLE)], n=int(20 + own + 40 * age), d=2 + own % 8)


def _small(random: np.random.Generator, own: int, section: dict[str, list[str]], who: str, thing: str) -> str:
    """One way of telling a small event; `{p}` stands for its place."""
    deeds = section["deeds"]
    told = _told(_any(random, section["ways"]), who, deeds[own % len(deeds)], thing)
    return (
        f"{told} {_ASIDES[(own + 7 * int(random.integers(3))) % len(_ASIDES)]}"
        if random.random() < _WITH_ASIDE
        else told
    )


def _lone(random: np.random.Generator) -> str:
    """What nobody else tells."""
    section = _SECTIONS[int(random.integers(len(_SECTIONS)))]
    who, thing = (
        f"{_any(random, _WORDS['sorts'])} {_any(random, some)}" for some in (section["people"], section["things"])
    )
    told = _told(_any(random, section["ways"]), who, _any(random, section["deeds"]), thing)
    return f"{told} {_any(random, _ASIDES)}".format(p=_any(random, _PLACES))


def _told(way: str, who: str, did: str, thing: str) -> str:
    upper = {"Who": who[0].upper() + who[1:], "Thing": thing[0].upper() + thing[1:]}
    return way.format(who=who, did=did, thing=thing, p="{p}", **upper)


def made_run(rows: int, seed: int = 0) -> Snapshot:
    """The made-up headlines embedded, clustered, named and laid out as a run does, without Kafka and Milvus."""
    settings = Settings().updated(embedding={"model": "use-multilingual"})
    headlines = made_headlines(rows, seed)
    headlines = headlines.sort_values("id", ignore_index=True)  # as the graph has them
    vectors = load_embedder(settings.embedding).encode(headlines["title"].tolist())
    graph = update_exact_graph(None, headlines["id"], headlines["id"], vectors, settings.clustering)
    clusters = cluster_rows(graph, headlines, settings.clustering)
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
        first_seen_at=names["first_published_at"],
        events=pd.Series(events, index=names.index, dtype=object),
        parents=pd.Series([[] for _ in events], index=names.index, dtype=object),
        status="open",
        successor=-1,
    )


def _any(random: np.random.Generator, texts: Sequence[str]) -> str:
    return texts[int(random.integers(len(texts)))]
