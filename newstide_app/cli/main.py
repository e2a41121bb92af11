"""The command line: `newstide COMMAND`. Each command reads the settings in force and calls one function."""

import os
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from newstide import __version__
from newstide.core import logs
from newstide.core.errors import NewstideError
from newstide.core.threads import let_idle_threads_sleep
from newstide_app.cli import dead_letters, look, maintenance, produce, watch
from newstide_app.cli.groups import Grouped
from newstide_app.cli.options import (
    AsJson,
    Columns,
    Selection,
    Tutorial,
    duration,
    given,
    mapping_of,
    print_json,
    settings_of,
)

_YIELDS = 15  # steps of priority by which the scheduled reclusterer lets consumers and readers go first

app = typer.Typer(
    name="newstide",
    cls=Grouped,
    help="Turns a live stream of news headlines into stories that keep their identity.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

look.register(app)
maintenance.register(app)
dead_letters.register(app)
watch.register(app)


def main() -> None:
    """Runs a command; deliberate errors become one message and exit code 1, without a traceback."""
    let_idle_threads_sleep()
    try:
        app()
    except NewstideError as error:
        console = Console(stderr=True)
        console.print(Text.assemble(("newstide: ", "bold red"), error.message))
        if error.way_out:
            console.print(Text(error.way_out))
        sys.exit(1)
    except BrokenPipeError:  # the reader of our output has gone, as `head` does
        sys.stderr.close()
        sys.exit(141)


@app.callback()
def _options(
    context: typer.Context,
    config: Annotated[
        Path | None, typer.Option(help="Settings file; default: newstide.toml here.", envvar="NEWSTIDE_CONFIG")
    ] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Folder for all that newstide keeps on disk.")] = None,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error.")] = None,
) -> None:
    chosen = {"config": config, "data_dir": data_dir and data_dir.expanduser().absolute(), "log_level": log_level}
    context.obj = {name: value for name, value in chosen.items() if value is not None}


@app.command()
def version() -> None:
    """Prints the version."""
    print(__version__)  # noqa: T201


produce.register(app)


@app.command()
def consume(
    context: typer.Context,
    drain: Annotated[bool, typer.Option(help="End once the topic has been read to its end.")] = False,
    as_json: AsJson = False,
) -> None:
    """Embeds headlines from Kafka into Milvus, until stopped."""
    from newstide_app.services.run import run_consumer
    from newstide_app.services.supervisor import stop_on_signals

    settings = settings_of(context, services=True)
    tally = run_consumer(settings, stop=stop_on_signals(), drain=drain)
    if as_json:
        print_json({**vars(tally), "seconds": dict(tally.seconds)})


@app.command()
def recluster(
    context: typer.Context,
    once: Annotated[bool, typer.Option(help="One run, then end.")] = False,
    every: Annotated[str, typer.Option(help="Time between runs.")] = "5m",
    window: Annotated[str | None, typer.Option(help="How far back headlines are clustered: 3d, 12h, none.")] = None,
    selection: Selection = None,
    neighbours: Annotated[int | None, typer.Option(min=2, help="k of the top-k graph.")] = None,
    tutorial: Tutorial = False,
    force: Annotated[bool, typer.Option(help="Run even when nothing is new.")] = False,
    keep: Annotated[str | None, typer.Option(help="After a run, remove headlines older than this: 90d, none.")] = None,
    as_json: AsJson = False,
) -> None:
    """Clusters headlines into stories; writes labels and the map."""
    from newstide_app.services.run import run_reclusterer
    from newstide_app.services.supervisor import stop_on_signals

    chosen = given(window=window, selection=selection, neighbours=neighbours, tutorial=tutorial)
    context.obj |= {} if keep is None else {"keep": keep}
    settings = settings_of(context, services=True, clustering=chosen)
    if not once:
        os.nice(_YIELDS)
    report = run_reclusterer(
        settings, stop=stop_on_signals(), every=None if once else duration(every, "--every"), force=force
    )
    if report is not None:
        if as_json:
            print_json(report.as_dict())
        else:
            Console(stderr=True).print(Text(report.describe()))


@app.command()
def web(
    context: typer.Context,
    host: Annotated[str | None, typer.Option(help="Address to bind; default: this machine only.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65_535)] = None,
) -> None:
    """Serves the pages, and a read-only API under /api."""
    from newstide_app.web import serve

    settings = settings_of(context)
    bound = (host or settings.pages.host, port or settings.pages.port)
    signal.signal(
        signal.SIGTERM, lambda *_: sys.exit(0)
    )  # the server ends in order, then sends itself the signal again
    logs.get("web").info("serving", pages=f"http://{bound[0]}:{bound[1]}", directory=str(settings.snapshots_dir))
    serve(settings, *bound)


@app.command()
def export(
    context: typer.Context,
    run: Annotated[int, typer.Argument(help="The run's number.")],
    to: Annotated[Path | None, typer.Option(help="File to write; default: newstide-run-N.html here.")] = None,
) -> None:
    """Makes one file of a run's page, to send to someone."""
    from clustering.pages.run_page import export_page

    directory = settings_of(context).snapshots_dir
    try:
        target = export_page(directory, run, to or Path(f"newstide-run-{run}.html"))
    except FileNotFoundError:
        raise NewstideError(
            f"There is no page of run {run} in {directory}.", "`index.html` there lists them."
        ) from None
    except OSError as error:
        raise NewstideError(f"The page cannot be written: {error}.", "Make room, or choose another folder.") from None
    print(target)  # noqa: T201


@app.command()
def up(
    context: typer.Context,
    rss: Annotated[list[str] | None, typer.Option(metavar="URL", help="Poll this feed; repeatable.")] = None,
    every: Annotated[str, typer.Option(help="Time between reclustering runs.")] = "1m",
) -> None:
    """Runs everything on this machine, until stopped."""
    from newstide_app.services import supervisor
    from producers.fetch import require_address

    duration(every, "--every")
    for url in rss or ():
        require_address(url)
    settings = settings_of(context)
    supervisor.up(settings, feeds=rss or [], every=every, stop=supervisor.stop_on_signals())


@app.command()
def demo(
    context: typer.Context,
    as_json: AsJson = False,
) -> None:
    """Sends the bundled day of headlines through everything."""
    from newstide_app.demo import print_report, run_demo

    report = run_demo(settings_of(context), quiet=as_json)
    if as_json:
        print_json(report.as_dict())
    else:
        print_report(report)


@app.command()
def evaluate(
    context: typer.Context,
    file: Annotated[
        Path,
        typer.Argument(help="A file that `newstide produce` reads, with a column story_id, or --column story_id=NAME."),
    ],
    embedder: Annotated[str | None, typer.Option(help="The embedding model.")] = None,
    text: Annotated[str | None, typer.Option(help="What is embedded: both, title+description or title.")] = None,
    use_time: Annotated[bool, typer.Option("--use-time", help="Damp similarity by distance in time.")] = False,
    replay: Annotated[str | None, typer.Option(help="Replay by time, with a run at this interval: 6h.")] = None,
    selection: Selection = None,
    tutorial: Tutorial = False,
    column: Columns = None,
    labels: Annotated[Path | None, typer.Option(help="Write id, cluster_label to this CSV or Parquet file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Scores the clustering on a labelled file."""
    from newstide_app.evaluation import evaluate_file, print_evaluation

    settings = settings_of(
        context,
        services=True,
        clustering=given(selection=selection, tutorial=tutorial),
        embedding=given(model=embedder or None),
    )
    report = evaluate_file(
        file,
        settings,
        text=text,
        use_time=use_time,
        replay=None if replay is None else duration(replay, "--replay"),
        mapping=mapping_of(column or [], "story_id"),
        labels_out=labels,
    )
    if as_json:
        print_json(report)
    else:
        print_evaluation(report)


@app.command()
def doctor(
    context: typer.Context,
    as_json: AsJson = False,
    acknowledge_losses: Annotated[
        bool, typer.Option("--acknowledge-losses", help="Report the messages lost until now no more.")
    ] = False,
) -> None:
    """Says which settings differ, what is wrong, and what to do."""
    from newstide_app.maintenance.doctor import examine, print_findings

    settings = settings_of(context, services=True)
    if acknowledge_losses:
        from newstide.kafka.losses import acknowledge_losses as acknowledge

        acknowledge(settings.kafka)
    findings = examine(settings)
    if as_json:
        print_json(findings.as_dict())
    else:
        print_findings(findings)
    if not findings.well:
        raise typer.Exit(1)


@app.command()
def health(
    context: typer.Context,
    service: Annotated[str, typer.Argument(help="consumer, reclusterer, producer, web or watch.")],
    max_age: Annotated[str | None, typer.Option(hidden=True)] = None,
) -> None:
    """Asks a service's /healthz; goes with the next version."""
    from newstide_app.services.cards import check_health

    if max_age is not None:
        duration(max_age, "--max-age")
    address = check_health(settings_of(context).data_dir, service)
    print(f"{service} is alive")  # noqa: T201
    notice = f"`newstide health` goes with the next version: ask {address}"
    if max_age is not None:
        notice += ", whose patience is monitoring.silence, not --max-age"
    Console(stderr=True).print(Text(f"{notice}."))
