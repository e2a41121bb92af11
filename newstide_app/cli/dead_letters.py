"""The commands `newstide dead-letters list`, `replay` and `skip`."""

from dataclasses import asdict
from itertools import islice
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from newstide_app.cli.options import AsJson, Limit, print_json, settings_of

Reason = Annotated[str | None, typer.Option(metavar="TEXT", help="Only dead letters whose reason contains this.")]

letters_app = typer.Typer(
    help="Shows messages that were no headlines, and sends them again.", no_args_is_help=True, rich_markup_mode=None
)


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.add_typer(letters_app, name="dead-letters")


@letters_app.command("list")
def list_letters(context: typer.Context, reason: Reason = None, limit: Limit = 50, as_json: AsJson = False) -> None:
    """Shows what was refused, why, and where it came from."""
    from newstide_app.maintenance.dead_letters import letters, matching, print_letters

    found = filter(matching(reason), letters(settings_of(context, services=True).kafka))
    shown = list(islice(found, limit))
    if as_json:
        print_json([letter.as_dict() for letter in shown])
    else:
        print_letters(shown, len(shown) + sum(1 for _ in found))


@letters_app.command("replay")
def replay_letters(
    context: typer.Context,
    reason: Reason = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most this many.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say how many would be sent; send nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Sends refused messages again, once their cause is mended."""
    from newstide_app.maintenance.dead_letters import replay

    report = replay(settings_of(context, services=True).kafka, reason=reason, limit=limit, dry_run=dry_run)
    print_json(asdict(report)) if as_json else Console().print(Text(report.describe()))


@letters_app.command("skip")
def skip_batch(
    context: typer.Context,
    partition: Annotated[int, typer.Argument(min=0, help="The partition that waits.")],
    offset: Annotated[int | None, typer.Option(min=0, help="Refuse unless the group's offset is this.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Skip the batch; without this, only show it.")] = False,
    as_json: AsJson = False,
) -> None:
    """Passes over a batch that holds its partition up."""
    from newstide_app.maintenance.skipping import look_at_batch, skip

    settings = settings_of(context, services=True).kafka
    batch = look_at_batch(settings, partition, offset)
    if yes:
        skip(settings, batch)
    if as_json:
        print_json({**asdict(batch), "skipped": yes})
        return
    Console().print(Text(f"{batch.describe()} {'are skipped' if yes else 'would be skipped; --yes does it'}."))
