"""The commands that look at stories and headlines: `stories`, `headlines`, `search`. Their filters are those of the API."""

import time
from typing import Annotated

import typer

from newstide.core.errors import InvalidHeadline, SettingsError
from newstide.core.headline import parse_time
from newstide_app.cli.options import AsJson, Limit, duration, print_json, settings_of
from newstide_app.queries import HeadlineFilter, Sort, StoryFilter

Since = Annotated[
    str | None, typer.Option(metavar="TIME", help="From this time on: 2026-10-13T07:42:00Z, or 6h for six hours ago.")
]
Source = Annotated[list[str] | None, typer.Option(metavar="NAME", help="Of this source, to the letter; repeatable.")]
Language = Annotated[list[str] | None, typer.Option(metavar="TAG", help="In this language, as de; repeatable.")]
Urls = Annotated[bool, typer.Option("--urls", help="Show each headline's address.")]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command()(stories)
    app.command(context_settings={"ignore_unknown_options": True})(headlines)  # else -1 would be an option
    app.command()(search)


def stories(
    context: typer.Context,
    status: Annotated[str, typer.Option(help="open, closed or all.")] = "open",
    sort: Annotated[Sort, typer.Option(help="Which come first.")] = "size",
    since: Since = None,
    source: Source = None,
    language: Language = None,
    limit: Limit = 30,
    as_json: AsJson = False,
) -> None:
    """Lists the stories, largest first."""
    from newstide_app import queries
    from newstide_app.cli import tables

    if status not in ("open", "closed", "all"):
        raise SettingsError(f"--status {status!r} is not one of open, closed, all.")
    wanted = StoryFilter(status, (), tuple(source or ()), tuple(language or ()), moment(since))  # type: ignore[arg-type]
    frame = queries.list_stories(settings_of(context, services=True), wanted, limit, sort)
    if as_json:
        print_json(queries.records(frame))
    else:
        tables.print_stories(frame, narrowed=status != "open" or any((since, source, language)))


def headlines(
    context: typer.Context,
    story: Annotated[int, typer.Argument(help="The story's number; -1 for noise.")],
    since: Since = None,
    source: Source = None,
    language: Language = None,
    urls: Urls = False,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """Lists a story's headlines, newest first."""
    from newstide_app import queries
    from newstide_app.cli import tables

    wanted = _headlines_of(since, source, language)
    found, frame = queries.list_headlines(settings_of(context, services=True), story, limit, wanted)
    if as_json:
        print_json({"story": found, "headlines": queries.records(frame)})
    else:
        tables.print_headlines(found, frame, urls=urls)


def search(
    context: typer.Context,
    text: Annotated[str, typer.Argument(help="Words, a sentence, a headline: in any language the model knows.")],
    since: Since = None,
    source: Source = None,
    language: Language = None,
    urls: Urls = False,
    limit: Limit = 10,
    as_json: AsJson = False,
) -> None:
    """Finds the headlines nearest in meaning."""
    from newstide_app import queries
    from newstide_app.cli import tables

    wanted = _headlines_of(since, source, language)
    frame = queries.search(settings_of(context, services=True), text, limit, wanted)
    if as_json:
        print_json(queries.records(frame))
    else:
        tables.print_hits(frame, urls=urls)


def moment(text: str | None) -> int | None:
    """The value of `--since` in epoch milliseconds: a time, or how long ago.

    Raises:
        SettingsError: The text is neither a time nor a duration.
    """
    if text is None:
        return None
    try:
        return parse_time(int(text) if text.isdecimal() else text)
    except InvalidHeadline:
        pass
    try:
        return int((time.time() - duration(text, "--since").total_seconds()) * 1000)
    except SettingsError:
        raise SettingsError(
            f"--since {text!r} is not a time.", "Write 2026-10-13T07:42:00Z, or 6h for six hours ago."
        ) from None


def _headlines_of(since: str | None, source: list[str] | None, language: list[str] | None) -> HeadlineFilter:
    return HeadlineFilter((), tuple(source or ()), tuple(language or ()), moment(since))
