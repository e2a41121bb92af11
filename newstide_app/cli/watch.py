"""`newstide watch`: tells of what happens to stories."""

import time
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from newstide.core.errors import SettingsError
from newstide_app.cli.options import AsJson, duration, print_json, settings_of


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(watch)


def watch(
    context: typer.Context,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would have been sent; send nothing.")] = False,
    since: Annotated[str | None, typer.Option(help="--dry-run: of the events of this time until now: 24h.")] = None,
    test: Annotated[
        str | None, typer.Option(metavar="NAME", help="Send a marked test to this watch's targets.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Tells of stories by webhook, mail or topic, until stopped."""
    if test is not None and (dry_run or since is not None):
        raise SettingsError("--test sends something, and --dry-run sends nothing.", "Give one of the two.")
    if since is not None and not dry_run:
        raise SettingsError("--since belongs to --dry-run.", "Give both, or none.")
    if dry_run:
        _show_dry_run(context, since or "24h", as_json=as_json)
    elif test is not None:
        _test(context, test, as_json=as_json)
    else:
        from newstide_app.services.supervisor import stop_on_signals
        from newstide_app.watch.service import run_watch

        run_watch(settings_of(context, services=True), stop=stop_on_signals())


def _show_dry_run(context: typer.Context, since: str, *, as_json: bool) -> None:
    from newstide_app.watch.trial import dry_run

    span = duration(since, "--since").total_seconds()
    found, counts = dry_run(settings_of(context, services=True), int((time.time() - span) * 1000))
    if as_json:
        print_json({"alerts": [one.as_dict() for one in found], **counts})
        return
    console = Console()
    table = Table(box=None, pad_edge=False)
    for heading in ("at", "to", "alert"):
        table.add_column(heading, overflow="fold")
    for one in found:
        held = "held for a digest: " if one.outcome == "held" else ""
        table.add_row(Text(one.at), Text("\n".join(one.targets)), Text(held + one.text))
    console.print(table)
    console.print(
        Text(
            f"{len(found):,} alerts of {counts['events']:,} events; {counts['quiet']:,} events of runs that alert nobody, "
            f"{counts['told']:,} of stories that were told of. Nothing was sent."
        )
    )


def _test(context: typer.Context, name: str, *, as_json: bool) -> None:
    from newstide_app.watch.trial import send_test

    outcomes = send_test(settings_of(context, services=True), name)
    if as_json:
        print_json(outcomes)
    else:
        console = Console()
        for target, reason in outcomes.items():
            console.print(Text(f"{target}: {reason or 'sent'}"))
    if any(outcomes.values()):
        raise typer.Exit(1)
