"""Snapshots of runs that were never made: few rows in round clouds, or as many as a page can hold."""

import time

import numpy as np
import pandas as pd

from clustering.pages.run_page import Snapshot

HOUR = 3_600_000
BEGIN = 1_790_000_000_000
_SYLLABLES = ["ba", "ster", "lo", "min", "is", "tra", "ne", "cor", "vi", "dal", "un", "pe", "ri", "gon", "te", "sa"]


def make_snapshot(rows: int = 60, stories: int = 6, run: int = 1, title: str = "Headline {} of the day") -> Snapshot:
    """Rows in round clouds, one a story; every seventh in none."""
    random = np.random.default_rng(rows)
    labels = np.arange(rows) % stories
    labels[::7] = -1
    angles, radius = 2.4 * labels, 2 * np.sqrt(np.maximum(labels + 0.5, 0))  # a sunflower's seeds
    headlines = pd.DataFrame(
        {
            "id": [f"h{row}" for row in range(rows)],
            "title": [title.format(row) for row in range(rows)],
            "source": [f"Paper {row % 4}" for row in range(rows)],
            "url": [f"https://paper{row % 4}.example/news/{row}" for row in range(rows)],
            "language": ["en" if row % 5 else "de" for row in range(rows)],
            "published_at": BEGIN + np.linspace(0, 24 * HOUR, rows).astype(np.int64),
            "cluster_label": labels,
            "label_probability": random.random(rows),
            "x": radius * np.cos(angles) + random.normal(scale=0.4, size=rows),
            "y": radius * np.sin(angles) + random.normal(scale=0.4, size=rows),
        }
    )
    return Snapshot(run, BEGIN + 25 * HOUR, headlines, _stories_of(headlines), {"model": "made up", "seconds": 1.5})


def made_snapshot(rows: int) -> Snapshot:
    """Made-up headlines, three in four in stories whose sizes fall like a power law."""
    random = np.random.default_rng(rows)
    stories = max(2, rows // 12)
    weights = 1 / np.arange(1, stories + 1) ** 0.8
    labels = random.choice(stories, rows, p=weights / weights.sum())
    labels[random.random(rows) < 0.25] = -1
    centres = random.normal(scale=10, size=(stories, 2))
    places = np.where(labels[:, None] < 0, random.normal(scale=11, size=(rows, 2)), centres[labels])
    places += random.normal(scale=0.25, size=(rows, 2))
    vocabulary = np.array(["".join(random.choice(_SYLLABLES, random.integers(1, 4))) for _ in range(20_000)])
    frequency = 1 / np.arange(10, 20_010)  # about Zipf's law, as words of a language are
    words = vocabulary[random.choice(20_000, (rows, 9), p=frequency / frequency.sum())]
    sources = random.integers(0, 400, rows)
    headlines = pd.DataFrame(
        {
            "id": [f"{row:032x}" for row in range(rows)],
            "title": [" ".join(line).capitalize() for line in words],
            "source": [f"Paper {source}" for source in sources],
            "url": [
                f"https://www.paper{source}.example/2026/10/{'-'.join(line[:6])}-{random.integers(1_000_000)}"
                for source, line in zip(sources, words, strict=True)
            ],
            "language": random.choice(["en", "de", "fr", "es", "pt"], rows),
            "published_at": 1_790_000_000_000 + random.integers(0, 7 * 86_400_000, rows),
            "cluster_label": labels,
            "label_probability": random.random(rows),
            "x": places[:, 0],
            "y": places[:, 1],
        }
    )
    return Snapshot(1, int(time.time() * 1000), headlines, _many_stories(headlines), {"model": "made up"})


def _stories_of(headlines: pd.DataFrame) -> pd.DataFrame:
    records = [
        {
            "cluster_label": label,
            "title": rows["title"].iloc[0],
            "titles": {},
            "importance": round(1 + len(rows) / 10, 3),
            "first_seen_at": int(rows["published_at"].min()),
            "keywords": ["storm", "harbour"],
            "languages": ["en", "de"],
            "sources": sorted(rows["source"].unique()),
            "size": len(rows),
            "previous_size": max(0, len(rows) - 3),
            "first_published_at": int(rows["published_at"].min()),
            "last_published_at": int(rows["published_at"].max()),
            "status": "open",
            "parents": [],
            "successor": -1,
            "events": ["born"] if label == 0 else ["grown"],
        }
        for label, rows in headlines[headlines["cluster_label"] >= 0].groupby("cluster_label")
    ]
    return pd.DataFrame(records)


def _many_stories(headlines: pd.DataFrame) -> pd.DataFrame:
    inside = headlines[headlines["cluster_label"] >= 0]
    stories = inside.groupby("cluster_label").agg(
        title=("title", "first"),
        size=("id", "size"),
        first_published_at=("published_at", "min"),
        last_published_at=("published_at", "max"),
        sources=("source", lambda names: sorted(set(names))),
        languages=("language", lambda tags: sorted(set(tags))),
    )
    return stories.assign(
        keywords=stories["title"].str.split(),
        titles=stories["title"].map(lambda _: {}),
        importance=stories["size"] / 10,
        first_seen_at=stories["first_published_at"],
        parents=pd.Series([[] for _ in range(len(stories))], index=stories.index, dtype=object),
        events=pd.Series([["grown"] for _ in range(len(stories))], index=stories.index, dtype=object),
        previous_size=1,
        status="open",
        successor=-1,
    ).reset_index()
