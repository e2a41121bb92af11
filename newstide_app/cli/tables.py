"""Stories, headlines and hits as tables for a terminal."""

from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from newstide.core.text import iso_time


def print_stories(frame: pd.DataFrame, console: Console | None = None) -> None:
    """A table of stories."""
    closed = not frame.empty and (frame["status"] != "open").any()
    came = not frame.empty and frame["parents"].map(len).any()
    more = (*(["status"] if closed else []), *(["from"] if came else []))
    table = _table("story", *more, "size", "new", "title", "keywords", "languages", "latest")
    for row in _rows(frame):
        descent = {
            "status": f"→ {row['successor']}" if row["successor"] >= 0 else str(row["status"]),
            "from": " ".join(map(str, row["parents"][:3])) + (" …" if len(row["parents"]) > 3 else ""),
        }
        growth = int(row["size"]) - int(row["previous_size"])
        table.add_row(
            str(row["cluster_label"]),
            *(descent[name] for name in more),
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
    if story.get("parents"):
        console.print(Text(f"The story came from {_listed(story['parents'])}.", style="dim"))
    if story.get("status") == "closed":
        became = story["became"]
        went_on = f" and went on as {_listed(became, ', then ')}: `newstide headlines {became[-1]}`" if became else ""
        console.print(Text(f"It has closed{went_on}.", style="dim"))
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
    _print(table, frame, "The story has no headlines (any more).", console)


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
    _print(table, frame, "No headline was found.", console)


def _listed(numbers: list[int], between: str = ", ") -> str:
    return between.join(f"story {number}" for number in numbers)


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
