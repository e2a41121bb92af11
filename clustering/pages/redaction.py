"""Takes headlines out of pages that are already written, and out of the list of runs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from clustering.pages import page_file
from clustering.pages.folder import DAMAGED, INDEX, LATEST, TITLED, run_pages
from clustering.pages.index_page import write_index
from clustering.pages.story_redaction import Hides, clean_story_pages
from newstide.core import logs
from newstide.core.files import replace_text
from newstide.core.text import shorten
from newstide.milvus import TAKEN_DOWN, words_left

_ROW_LISTS = ("x", "y", "title", "url", "time", "label", "source", "language")

log = logs.get("reclusterer")


def clean_pages(
    directory: Path, hides: Hides, hides_title: Callable[[str], bool], *, write_them: bool = True
) -> list[Path]:
    """Takes headlines out of every page of `directory` that holds them, and out of the list of runs.

    Each file is swapped in as a whole; a page comes after the facts that the list is made of, so that a clean page says
    that those are clean.

    Args:
        directory: Of the pages.
        hides: Whether a headline is to go.
        hides_title: Whether no story may carry this title any more.
        write_them: False to find out only which pages hold them.

    Returns:
        The pages that hold them, or held them.

    Raises:
        OSError: A page cannot be read or written; those before it are clean.
    """
    held = []
    for page in run_pages(directory):
        try:
            text = page.read_text(encoding="utf-8")
            data = page_file.data(text)
            holds = data is not None and _clean(data, hides, hides_title)
        except DAMAGED as error:
            log.warning(
                "a page is damaged and headlines cannot be taken out of it; delete it",
                page=str(page),
                reason=shorten(repr(error), 200),
            )
            if write_them:
                _name_stories(page, [])
            continue
        if data is not None and holds:
            held.append(page)
            if write_them:
                _name_stories(page, page_file.largest_titled(data, TITLED))
                replace_text(page, page_file.with_data(text, data))
    if write_them and (directory / INDEX).exists():
        write_index(directory)
    return held + clean_story_pages(directory, hides, hides_title, write_them=write_them)


def _name_stories(page: Path, titles: list[dict[str, Any]]) -> None:
    """Writes the titles of a run's largest stories into the facts beside its page."""
    path = page.with_suffix(".json")
    if page.name == LATEST or not path.exists():
        return
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        named = {**facts, "largest": titles}
    except DAMAGED as error:
        log.warning(
            "the facts about a run are damaged and cannot be cleaned; delete them",
            path=str(path),
            reason=shorten(repr(error), 200),
        )
        return
    if facts.get("largest") != named["largest"]:
        replace_text(path, json.dumps(named, ensure_ascii=False))


def _clean(data: dict[str, Any], hides: Hides, hides_title: Callable[[str], bool]) -> bool:
    """Takes the headlines out of a page's data, in place; returns whether it held any."""
    sources = data["sources"]
    rows = zip(data["title"], data["time"], data["url"], data["source"], strict=True)
    keep = [not hides(title, time, url, sources[source] if source >= 0 else "") for title, time, url, source in rows]
    removed: dict[int, list[str]] = {}
    left: dict[int, list[str]] = {}
    for title, label, stays in zip(data["title"], data["label"], keep, strict=True):
        (left if stays else removed).setdefault(label, []).append(title)
    gone_titles = {title for titles in removed.values() for title in titles}
    changed = bool(removed)
    for story in data["stories"]:
        number = story["number"]
        own, kept = list(removed.get(number, [])), left.get(number, [])
        story["size"] = max(0, story["size"] - len(own))
        if story["title"] in gone_titles or hides_title(story["title"]):
            changed = True
            own.append(story["title"])
            story["title"] = next((title for title in kept if not hides_title(title)), TAKEN_DOWN)
        for language, title in list(story.get("titles", {}).items()):  # pages of earlier versions have none
            if title in gone_titles or hides_title(title):
                changed = True
                own.append(title)
                del story["titles"][language]
        if own:
            story["keywords"] = words_left(story["keywords"], own, kept)
        named = [name for name in story["sources"] if not hides("", 0, "", name)]
        changed |= len(named) < len(story["sources"])
        story["sources"] = named
    for change in data.get("changes", ()):
        if change[-1] and hides_title(change[-1]):
            changed, change[-1] = True, TAKEN_DOWN
    if removed:
        for name in _ROW_LISTS:
            data[name] = [value for value, stays in zip(data[name], keep, strict=True) if stays]
    shown = [place for place, name in enumerate(sources) if not hides("", 0, "", name)]
    if len(shown) < len(sources):  # none of their headlines is left
        changed = True
        place_of = {old: new for new, old in enumerate(shown)}
        data["source"] = [place_of.get(place, -1) for place in data["source"]]
        data["sources"] = [sources[place] for place in shown]
    return changed
