"""The commands for living with an installation: `forget`, `prune`, `backup`, `restore`, `reembed`, `upgrade`."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from newstide.core.errors import SettingsError
from newstide.core.settings import Settings
from newstide.core.settings_faults import told_plainly
from newstide_app.cli.options import AsJson, print_json, settings_of

_SHOWN = 10  # headlines listed before they go


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    for command in (forget, prune, backup, restore, reembed, upgrade):
        app.command()(command)


def forget(
    context: typer.Context,
    id_: Annotated[str | None, typer.Option("--id", help="Take down the headline with this id.")] = None,
    url: Annotated[str | None, typer.Option(help="Take down all headlines with this url.")] = None,
    source: Annotated[
        str | None, typer.Option(help="Take down all headlines of this source, now and in future.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go; touch nothing.")] = False,
    undo: Annotated[
        bool, typer.Option("--undo", help="Admit such headlines again; removed ones stay removed.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Takes headlines down everywhere, and keeps them out."""
    from newstide_app.maintenance import takedown

    given = [(kind, value) for kind, value in (("id", id_), ("url", url), ("source", source)) if value is not None]
    if len(given) != 1:
        raise SettingsError("Name exactly one of --id, --url and --source.")
    ((kind, value),) = given
    console = Console(stderr=as_json)
    with milvus_of(settings_of(context, services=True)) as settings:
        if undo:
            _admit_again(settings, kind, value, as_json)
            return
        target = takedown.look_up(settings, kind, value)
        if dry_run and as_json:
            print_json(
                {
                    "kind": kind,
                    "value": target.value,
                    "headlines": target.headlines.to_dict("records"),
                    "stories": target.stories,
                    "pages": [page.name for page in target.pages],
                }
            )
            return
        for row in target.headlines.head(_SHOWN).to_dict("records"):
            console.print(Text(f"  {row['title']}  ({row['source'] or 'no source'}, id {row['id']})"))
        if len(target.headlines) > _SHOWN:
            console.print(Text(f"  and {len(target.headlines) - _SHOWN:,} more"))
        console.print(Text(f"{'Would go' if dry_run else 'To go'}: {target.describe()}."))
        if dry_run:
            return
        if not yes:
            typer.confirm("Remove them for good, and keep them out?", abort=True, err=as_json)
        done = takedown.forget(settings, kind, value)
        if as_json:
            print_json(asdict(done))
        else:
            console.print(
                Text(
                    f"Gone. Headlines removed: {done.headlines:,}; stories cleaned: {done.stories:,}; "
                    f"pages: {done.pages:,}. Consumers keep them out from 2 s on; the next run clears caches and "
                    "what was on its way."
                )
            )


def _admit_again(settings: Settings, kind: str, value: str, as_json: bool) -> None:
    from newstide_app.maintenance import takedown

    count = takedown.allow_again(settings, kind, value)
    if as_json:
        print_json({"kind": kind, "value": value, "tombstones_removed": count})
        return
    blocked = f"Tombstones removed: {count:,}. It may come in again."
    Console().print(Text(blocked if count else "Nothing with this value was blocked."))


def prune(
    context: typer.Context,
    keep: Annotated[
        str | None, typer.Option(help="Age, counted from the newest headline; default: `keep` of the settings.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go; touch nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Deletes headlines that are older than `keep`; asks first."""
    from newstide_app.maintenance import prune as pruning

    context.obj |= {} if keep is None else {"keep": keep}
    console = Console(stderr=as_json)
    with milvus_of(settings_of(context, services=True)) as settings:
        found = pruning.look_up(settings)
        if found is None:
            console.print(Text("No headline is older than that."))
        else:
            for row in found.sample:
                console.print(Text(f"  {row['published_at']}  {row['title']}  ({row['source'] or 'no source'})"))
            if found.due.headlines > len(found.sample):
                console.print(Text(f"  and {found.due.headlines - len(found.sample):,} more"))
            console.print(Text(f"{'Would go' if dry_run else 'To go'}: {found.describe()}."))
        gone = 0
        if found is not None and not dry_run:
            if not yes:
                typer.confirm("Remove them for good?", abort=True, err=as_json)
            gone = pruning.prune(settings, found)
            console.print(Text(f"Gone. Headlines removed: {gone:,}."))
    if as_json:
        print_json({"due": 0 if found is None else found.due.headlines, "removed": gone})


def backup(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="The Parquet file to write.")],
    as_json: AsJson = False,
) -> None:
    """Writes everything in Milvus to one Parquet file."""
    from newstide_app.maintenance.backup import back_up

    with milvus_of(settings_of(context, services=True)) as settings:
        report = back_up(settings, file)
    print_json(report.as_dict()) if as_json else Console().print(Text(report.describe()))


def restore(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A file that `newstide backup` wrote.")],
    prefix: Annotated[
        str | None, typer.Option(help="Prefix of the collections to restore into; default: as set.")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Read and check the whole file; write nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Brings a backup into Milvus; rows that are there stay."""
    from newstide_app.maintenance.restore import check_file
    from newstide_app.maintenance.restore import restore as restore_file

    own = settings_of(context, services=not check)
    if check:
        report = check_file(file, own.limits)
    else:
        with told_plainly(own.config):
            chosen = own if prefix is None else own.updated(milvus={"prefix": prefix})
        with milvus_of(chosen) as settings:
            report = restore_file(settings, file, apart=chosen.milvus.prefix != own.milvus.prefix)
    print_json(report.as_dict()) if as_json else Console().print(Text(report.describe()))


def reembed(
    context: typer.Context,
    to: Annotated[str, typer.Option(metavar="EMBEDDER", help="The new model, as in NEWSTIDE_EMBEDDING_MODEL.")],
    text: Annotated[
        str | None, typer.Option(help="The new NEWSTIDE_EMBEDDING_TEXT: both, title+description or title.")
    ] = None,
    drop_old: Annotated[
        bool, typer.Option("--drop-old", help="Remove the old model's collections afterwards.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Embeds all headlines by another model or text; turns to it."""
    from newstide_app.maintenance.reembed import reembed as reembed_all

    with milvus_of(settings_of(context, services=True)) as settings:
        report = reembed_all(settings, to, text=text, drop_old=drop_old, progress=not as_json)
    print_json(asdict(report)) if as_json else Console().print(Text(report.describe()))
    if not report.swapped:
        raise typer.Exit(1)


def upgrade(context: typer.Context, as_json: AsJson = False) -> None:
    """Brings what an earlier version made in Milvus up to date."""
    from newstide_app.maintenance.upgrade import upgrade as upgrade_all

    with milvus_of(settings_of(context, services=True)) as settings:
        done = upgrade_all(settings)
    if as_json:
        print_json(asdict(done))
        return
    text = f"Up to date: {done.stories:,} stories of {done.models} model{'' if done.models == 1 else 's'}."
    Console().print(Text(text if done.models else "Everything is up to date already."))


@contextmanager
def milvus_of(settings: Settings) -> Iterator[Settings]:
    """Settings with a Milvus: the one in use, or the local one, started for as long as it is needed."""
    if settings.milvus.uri is not None:
        yield settings
        return
    from newstide.milvus.local_server import LocalMilvus

    with LocalMilvus(settings.data_dir / "milvus", port=settings.milvus.local_port) as milvus:
        yield settings.updated(milvus={"uri": milvus.uri})
