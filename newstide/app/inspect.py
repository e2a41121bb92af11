"""Reading what is there: stories, a story's headlines, a search; as tables for people and records for programs."""

from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from newstide.embedding import load_embedder
from newstide.errors import NewstideError, SettingsError
from newstide.headline import iso_time
from newstide.settings import Settings
from newstide.store import open_store

HEADLINE_COLUMNS = [
    "id",
    "title",
    "source",
    "language",
    "published_at",
    "url",
    "cluster_label",
    "label_probability",
    "label_run",
]


def list_stories(settings: Settings, status: str, limit: int) -> pd.DataFrame:
    """Stories with that status (`open`, `closed`, `all`), largest first."""
    where = {"open": 'status == "open"', "closed": 'status == "closed"', "all": ""}
    if status not in where:
        raise SettingsError(f"--status {status!r} is not one of {', '.join(where)}.")
    store = open_store(settings.milvus, None)
    try:
        frame = store.stories(where[status])
    finally:
        store.close()
    return frame.sort_values(["size", "cluster_label"], ascending=[False, True]).head(limit).reset_index(drop=True)


def list_headlines(settings: Settings, story: int, limit: int) -> tuple[dict[str, Any], pd.DataFrame]:
    """A story's facts and its newest headlines.

    Raises:
        NewstideError: There is no such story.
    """
    store = open_store(settings.milvus, None)
    try:
        stories = store.stories(f"cluster_label == {int(story)}")
        if stories.empty and story != -1:
            raise NewstideError(f"There is no story {story}.", "`newstide stories --status all` lists them.")
        frame = store.headlines(f"cluster_label == {int(story)}", HEADLINE_COLUMNS)
    finally:
        store.close()
    facts = {"cluster_label": -1, "title": "noise"} if stories.empty else records(stories)[0]
    return facts, frame.sort_values(["published_at", "id"], ascending=[False, True]).head(limit).reset_index(drop=True)


def search(settings: Settings, text: str, limit: int) -> pd.DataFrame:
    """The headlines nearest in meaning to a text, with their cosine similarity, best first."""
    if not text.strip():
        raise SettingsError("The search text is empty.")
    embedder = load_embedder(settings.embedding)
    store = open_store(settings.milvus, embedder.card)
    try:
        hits = store.search_headlines(embedder.encode([text]), limit)
        found = [(id_, similarity) for id_, similarity in zip(hits.ids[0], hits.similarities[0], strict=True) if id_]
        frame = store.headlines_by_id([id_ for id_, _ in found], HEADLINE_COLUMNS)
    finally:
        store.close()
    similarity = dict(found)
    return frame.assign(similarity=[float(similarity[id_]) for id_ in frame["id"]])


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """A frame as plain Python objects: times as ISO 8601, arrays as lists, vectors left out."""
    return [
        {str(name): _plain(str(name), value) for name, value in row.items() if name != "centroid"}
        for row in frame.to_dict("records")
    ]


def print_stories(frame: pd.DataFrame, console: Console | None = None) -> None:
    """A table of stories."""
    table = _table("story", "size", "new", "title", "keywords", "languages", "latest")
    for row in _rows(frame):
        growth = int(row["size"]) - int(row["previous_size"])
        table.add_row(
            str(row["cluster_label"]),
            str(row["size"]),
            f"+{growth}" if growth > 0 else "",
            Text(str(row["title"])),
            Text(", ".join(row["keywords"][:5]), style="dim"),
            " ".join(row["languages"][:3]) + (" …" if len(row["languages"]) > 3 else ""),
            _when(int(row["last_published_at"])),
        )
    _print(table, frame, "No stories yet: they appear with the first reclustering run.", console)


def print_headlines(story: dict[str, Any], frame: pd.DataFrame, console: Console | None = None) -> None:
    """A story's title and a table of its headlines."""
    console = console or Console()
    label = "noise" if story["cluster_label"] == -1 else f"story {story['cluster_label']}"
    console.print(Text.assemble((label, "bold"), f"  {story['title']}"))
    table = _table("published", "source", "lang", "headline", "p")
    for row in _rows(frame):
        link = f"link {row['url']}" if row["url"] else ""
        probability = "new" if row["label_run"] == 0 else f"{row['label_probability']:.2f}"
        table.add_row(
            _when(int(row["published_at"])),
            Text(str(row["source"])),
            row["language"],
            Text(str(row["title"]), style=link),
            probability,
        )
    _print(table, frame, "It has no headlines (any more).", console)


def print_hits(frame: pd.DataFrame, console: Console | None = None) -> None:
    """A table of search results."""
    table = _table("similarity", "story", "published", "source", "lang", "headline")
    for row in _rows(frame):
        table.add_row(
            f"{row['similarity']:.2f}",
            "–" if row["cluster_label"] < 0 else str(row["cluster_label"]),
            _when(int(row["published_at"])),
            Text(str(row["source"])),
            row["language"],
            Text(str(row["title"])),
        )
    _print(table, frame, "Nothing found.", console)


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def _table(*columns: str) -> Table:
    """A table of one line a row: titles and keywords share the room that is left, and are cut where it is short."""
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0), expand=True)
    share = {"title": 5, "headline": 5, "keywords": 3, "source": 1}
    for name in columns:
        right = name in ("story", "size", "similarity", "p", "new")
        table.add_column(
            name,
            justify="right" if right else "left",
            ratio=share.get(name),
            no_wrap=True,
            overflow="ellipsis",
        )
    return table


def _print(table: Table, frame: pd.DataFrame, empty: str, console: Console | None) -> None:
    console = console or Console()
    console.print(Text(empty, style="dim") if frame.empty else table)


def _when(milliseconds: int) -> str:
    return iso_time(milliseconds)[5:16].replace("T", " ")


def _plain(name: str, value: Any) -> Any:
    if name.endswith("_at") and not isinstance(value, str):
        return iso_time(int(value))
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    return value
