"""A story's own page: made of what `story_facts` tells, as a file beside the snapshots or for a server."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

from clustering.pages import page_file
from clustering.pages.folder import LATEST, story_path
from clustering.pages.story_facts import titled
from newstide.core.files import replace_text

_NAMED = 50  # sources, and copies of a headline

Link = Callable[[int], str]


def story_html(
    contents: Mapping[str, Any],
    *,
    link: Link,
    home: str,
    wanted: Sequence[str] = (),
    address: str = "",
    feeds: Sequence[tuple[str, str]] = (),
) -> str:
    """The page's HTML, which holds all of this but for the links.

    Args:
        contents: From `story_facts`.
        link: The address of another story's page, empty where it has none.
        home: The address of the map.
        wanted: Languages of titles, the first that a story has.
        address: Of this page, for whom it is sent to; empty where it has no public one.
        feeds: Media type and address of the story's feeds.
    """
    title, language = titled(contents, wanted)
    line = contents["timeline"]
    highest = max(line["counts"], default=1) if line else 1
    bars = [
        (count, round(100 * count / max(highest, 1)), line["begin"] + place * line["step"] * 1000)
        for place, count in enumerate(line["counts"] if line else ())
    ]
    return page_file.put_together_plain(
        "story.html.j2",
        {**contents, "wanted": list(wanted), "address": address},
        title=title or f"Story {contents['number']}",
        title_language=language,
        summary=summary(contents),
        story=contents,
        oldest=min((one["published_at"] for one in _rows(contents)), default=0),
        bars=bars,
        link=link,
        home=home,
        address=address,
        feeds=feeds,
        most=_NAMED,
        title_of=lambda one: titled(one, wanted),
        sources=_joined(_source(one) for one in contents["sources"][:_NAMED]),
        headlines=_joined(_headline(one) for one in contents["headlines"]),
    )


def summary(contents: Mapping[str, Any]) -> str:
    """The story in one line: how much, from whom, in which languages, when."""
    count, sources = contents["headlineCount"], len(contents["sources"])
    parts = [page_file.several(count, "headline")]
    if sources:
        parts.append(page_file.several(sources, "source"))
    if contents["languages"]:
        parts.append(", ".join(contents["languages"]))
    if count:
        span = [page_file.clock(contents[name]) for name in ("first_published_at", "last_published_at")]
        parts.append(" to ".join(dict.fromkeys(span)))
    return " · ".join(parts)


def write_story(
    directory: Path,
    contents: Mapping[str, Any],
    *,
    wanted: Sequence[str] = (),
    address: str = "",
    beside: Collection[int] | None = None,
) -> Path:
    """Writes a story's page beside the snapshots.

    Args:
        directory: Of the pages.
        contents: From `story_facts`.
        wanted: Languages of titles, the first that a story has.
        address: See `story_html`.
        beside: Where this page is one of many, the stories whose pages lie there or soon will, to which it links: the
            caller calls `keep_names` once for all. None: it links to those that lie there.

    Raises:
        OSError: The disk is full or not writable; the old page stays.
    """

    def link(number: int) -> str:
        other = story_path(directory, number)
        return other.name if (other.exists() if beside is None else number in beside) else ""

    path = story_path(directory, contents["number"])
    html = story_html(contents, link=link, home=LATEST, wanted=wanted, address=address)
    replace_text(path, html, one_of_many=beside is not None)
    return path


def _rows(contents: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [row for one in contents["headlines"] for row in (one, *one["copies"])]


# The rows of the page's two long lists: put together by the template, they take most of the time that a page does.


def _source(one: Mapping[str, Any]) -> str:
    name, first = page_file.bdi(one["source"]), page_file.moment(one["published_at"])
    return f'<tr><td>{name}</td><td>{first}</td><td class="number">{one["headlines"]}</td></tr>'


def _headline(one: Mapping[str, Any]) -> str:
    source, language = one["source"], one["language"]
    about: list[str] = [page_file.bdi(source)] if source else []
    about.append(page_file.moment(one["published_at"]))
    if language:
        about.append(escape(language))
    if one["copies"]:
        named = [_link(copy["url"], page_file.bdi(copy["source"] or "a copy")) for copy in one["copies"][:_NAMED]]
        about.append(f"also {', '.join(named)}")
    return f"<li>{_link(one['url'], page_file.bdi(one['title'], language))}\n<small>{' · '.join(about)}</small></li>"


def _link(url: str, words: str) -> str:
    return f'<a href="{escape(url)}" rel="noopener noreferrer external">{words}</a>' if url else words


def _joined(rows: Iterable[str]) -> Markup:
    return Markup("".join(rows))  # noqa: S704 - each of them is escaped
