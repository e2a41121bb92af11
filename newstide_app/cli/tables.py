"""Stories, headlines and hits as tables for a terminal."""

from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from newstide.core.text import iso_time

_CLOCK = "{} (UTC)"
_SOURCE = 16  # characters of a source's name in one line


def print_stories(frame: pd.DataFrame, console: Console | None = None, *, narrowed: bool = False) -> None:
    """A table of stories; `narrowed`: not all were asked for."""
    closed = not frame.empty and (frame["status"] != "open").any()
    came = not frame.empty and frame["parents"].map(len).any()
    more = (*(["status"] if closed else []), *(["from"] if came else []))
    table = _table("story", *more, "size", "new", "title", "lang", _CLOCK.format("latest"))
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
            _below(str(row["title"]), ", ".join(row["keywords"][:5])),
            " ".join(row["languages"][:2]) + (" …" if len(row["languages"]) > 2 else ""),
            _when(int(row["last_published_at"])),
        )
    none = (
        "No story matches."
        if narrowed
        else "No story is open: stories appear with the first reclustering run; --status all shows closed ones."
    )
    _print(table, frame, none, console)


def print_headlines(
    story: dict[str, Any], frame: pd.DataFrame, console: Console | None = None, *, urls: bool = False
) -> None:
    """A story's title and a table of its headlines, with their addresses where `urls` says so."""
    console = console or Console()
    label = "noise" if story["cluster_label"] == -1 else f"story {story['cluster_label']}"
    console.print(Text.assemble((label, "bold"), f"  {story['title']}"))
    if story.get("parents"):
        console.print(Text(f"The story came from {_listed(story['parents'])}.", style="dim"))
    if story.get("status") == "closed":
        became = story["became"]
        went_on = f" and went on as {_listed(became, ', then ')}: `newstide headlines {became[-1]}`" if became else ""
        console.print(Text(f"It has closed{went_on}.", style="dim"))
    table = _table(_CLOCK.format("published"), "source", "lang", "headline", "p")
    for row in _rows(frame):
        probability = "new" if row["label_run"] == 0 else f"{row['label_probability']:.2f}"
        table.add_row(
            _when(int(row["published_at"])),
            Text(str(row["source"])),
            row["language"],
            _headline(row, urls=urls),
            probability,
        )
    _print(table, frame, "The story has no headlines (any more).", console)


def print_hits(frame: pd.DataFrame, console: Console | None = None, *, urls: bool = False) -> None:
    """A table of search results, each with its story, and with its address where `urls` says so."""
    table = _table("near", _CLOCK.format("published"), "source", "lang", "headline")
    for row in _rows(frame):
        story = "in no story" if row["cluster_label"] < 0 else f"story {row['cluster_label']}: {row['story_title']}"
        table.add_row(
            f"{row['similarity']:.2f}",
            _when(int(row["published_at"])),
            Text(str(row["source"])),
            row["language"],
            _headline(row, story, urls=urls),
        )
    _print(table, frame, "No headline was found.", console)


def _listed(numbers: list[int], between: str = ", ") -> str:
    return between.join(f"story {number}" for number in numbers)


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def _headline(row: dict[str, Any], *more: str, urls: bool) -> Text:
    """A headline's title, which leads to its address in a terminal that can; so does the address, though lines break it."""
    url = str(row["url"])
    link = f"link {url}" if url else ""
    shown = _below(str(row["title"]), *more, style=link)
    return shown.append("\n").append(url, style=f"dim {link}") if urls and url else shown


def _below(title: str, *more: str, style: str = "") -> Text:
    """A title, and faint lines below it."""
    return Text("\n").join([Text(title, style=style), *(Text(line, style="dim") for line in more if line)])


def _table(*columns: str) -> Table:
    """A table for 80 columns or more: titles get the room that is left, and go on in the next line."""
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0), expand=True)
    wrapped = ("title", "headline", "source")
    for name in columns:
        right = name in ("story", "size", "near", "p", "new")
        table.add_column(
            name,
            justify="right" if right else "left",
            ratio=1 if name in ("title", "headline") else None,
            max_width=_SOURCE if name == "source" else None,
            no_wrap=name not in wrapped,
            overflow="fold",
        )
    return table


def _print(table: Table, frame: pd.DataFrame, empty: str, console: Console | None) -> None:
    console = console or Console()
    console.print(Text(empty, style="dim") if frame.empty else table)


def _when(milliseconds: int) -> str:
    return iso_time(milliseconds)[5:16].replace("T", " ")
