"""Takes headlines out of stories' own pages: those that were taken down, and those that are older than `keep`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from clustering.pages import page_file
from clustering.pages.folder import DAMAGED, story_pages
from clustering.pages.story_page import write_story
from newstide.core import logs
from newstide.core.text import shorten
from newstide.milvus import TAKEN_DOWN, words_left

Hides = Callable[[str, int, str, str], bool]  # title, time (epoch ms), url, source

log = logs.get("reclusterer")


def clean_story_pages(
    directory: Path, hides: Hides, hides_title: Callable[[str], bool], *, write_them: bool = True
) -> list[Path]:
    """Takes headlines, titles and sources out of every story's page that holds them; see `redaction.clean_pages`.

    Raises:
        OSError: A page cannot be read or written; those before it are clean.
    """
    held = []
    for page in story_pages(directory):
        contents = _read(page)
        if contents is None or not _clean(contents, hides, hides_title):
            continue
        held.append(page)
        if write_them:
            _write(directory, contents)
    return held


def drop_old_from_story_pages(directory: Path, before: int, gone: set[int]) -> int:
    """Deletes the pages of stories that are `gone`, and takes out of the others what was published until then.

    Returns:
        How many pages were deleted or changed.

    Raises:
        OSError: A page cannot be read or written; the next run tries again.
    """
    changed = 0
    for page in story_pages(directory):
        number = int(page.stem.removeprefix("story-"))
        oldest = page_file.oldest_headline(page)
        if number not in gone and oldest is not None and oldest > before:
            continue
        contents = None if number in gone else _read(page)
        changed += 1
        if contents is not None:
            _clean(contents, lambda _title, time, _url, _source: 0 < time <= before, lambda _title: False)
            contents["history"] = [event for event in contents["history"] if event["newest_at"] > before]
        if contents is None or not contents["headlines"]:
            page.unlink(missing_ok=True)
        else:
            _write(directory, contents)
    return changed


def _read(page: Path) -> dict[str, Any] | None:
    try:
        return page_file.data(page.read_text(encoding="utf-8"))
    except DAMAGED as error:
        log.warning(
            "a story's page is damaged and nothing can be taken out of it; delete it",
            page=str(page),
            reason=shorten(repr(error), 200),
        )
        return None


def _write(directory: Path, contents: dict[str, Any]) -> None:
    write_story(directory, contents, wanted=contents["wanted"], address=contents["address"])


def _clean(contents: dict[str, Any], hides: Hides, hides_title: Callable[[str], bool]) -> bool:
    """Takes headlines, titles and sources out of a page's contents, in place; whether it held any."""
    removed, kept = _without_headlines(contents, hides)
    gone = {row["title"] for row in removed}
    changed = bool(removed)

    def hidden(title: str) -> bool:
        return hides_title(title) or (title in gone and title not in {row["title"] for row in kept})

    for story in (contents, *contents["nearest"], *(one for kin in contents["lineage"].values() for one in kin)):
        if hidden(story["title"]):
            own = [row["title"] for row in kept if not hidden(row["title"])] if story is contents else []
            changed, story["title"] = True, next(iter(own), TAKEN_DOWN)
        left = {language: title for language, title in story["titles"].items() if not hidden(title)}
        changed, story["titles"] = changed or len(left) < len(story["titles"]), left
    for event in contents["history"]:
        left = {language: title for language, title in event["previous_titles"].items() if not hidden(title)}
        changed, event["previous_titles"] = changed or len(left) < len(event["previous_titles"]), left
        if hidden(event["title"]):
            changed, event["title"] = True, TAKEN_DOWN
        named = [name for name in event["sources"] if not hides("", 0, "", name)]
        changed, event["sources"] = changed or len(named) < len(event["sources"]), named
    sources = [one for one in contents["sources"] if one["headlines"] > 0 and not hides("", 0, "", one["source"])]
    changed, contents["sources"] = changed or len(sources) < len(contents["sources"]), sources
    if removed:
        contents["keywords"] = words_left(contents["keywords"], sorted(gone), [row["title"] for row in kept])
    return changed


def _without_headlines(contents: dict[str, Any], hides: Hides) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Takes the headlines out of a page's contents, in place; returns those that went and those that are left."""
    removed: list[dict[str, Any]] = []
    left: list[dict[str, Any]] = []
    headlines = []
    for one in contents["headlines"]:
        rows = [{name: value for name, value in one.items() if name != "copies"}, *one["copies"]]
        stay: list[dict[str, Any]] = []
        for row in rows:
            (removed if hides(row["title"], row["published_at"], row["url"], row["source"]) else stay).append(row)
        left += stay
        if stay:
            headlines.append({**stay[0], "copies": stay[1:]})
    contents["headlines"] = headlines
    contents["headlineCount"] = max(len(left), contents["headlineCount"] - len(removed))
    contents["size"] = max(0, contents["size"] - len(removed))
    for row in removed:
        for source in contents["sources"]:
            source["headlines"] -= source["source"] == row["source"]
        place = (row["published_at"] - contents["timeline"]["begin"]) // (contents["timeline"]["step"] * 1000)
        counts = contents["timeline"]["counts"]
        if 0 <= place < len(counts) and counts[place]:
            counts[place] -= 1
    return removed, left
