"""Kills every part of newstide while headlines stream in, and counts what is lost: `python -m benchmarks.faults`.

    python -m benchmarks.faults --headlines 20000 --kills 20    # 20 kills of each
    python -m benchmarks.faults --fuzz 10000                    # fuzzed messages instead, see `tests.harness.fuzz`

The real services run as processes of their own: Kafka, Milvus Lite, `newstide consume`, `newstide recluster`. Headlines
come in portions at a steady rate; during each, one of the four gets SIGKILL at a moment drawn from a fixed seed, and is
started again. While it is dead, its state shows what it was doing. After everything is read and one more run is made,
each headline must be in Milvus once or among the dead letters, and rows, stories, the run and its page must agree.
`tests/faults` runs a short form. The JSON goes to `benchmarks/results`, the table into `docs/reliability.md`.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import document
from benchmarks.machine import RESULTS, machine_card, machine_line, write_json
from newstide.core import logs
from tests.harness.kills import SEED, run
from tests.harness.services import local_servers

PAGE = Path(__file__).parents[1] / "docs" / "reliability.md"


def table(result: dict[str, Any]) -> Table:
    """The result as a table."""
    shown = Table("headlines", "kills", "lost", "duplicated", "finished runs", "disagreements", "seconds")
    kills = ", ".join(f"{name} {count}" for name, count in result["kills"].items())
    shown.add_row(
        *(f"{result['headlines']:,}", kills, str(result["lost"]), str(result["duplicated"]), str(result["runs"])),
        *("; ".join(result["disagreements"]) or "none", f"{result['seconds']:.0f}"),
    )
    return shown


def figures(result: dict[str, Any], card: dict[str, Any]) -> str:
    """The result as Markdown."""
    each = ", ".join(f"{count} of the {name}" for name, count in result["kills"].items())
    rows = {
        "headlines": f"{result['headlines']:,}",
        "kills": each.replace("the Milvus", "Milvus"),
        "lost": result["lost"],
        "duplicated": result["duplicated"],
        "rows written again": result["written_again"],
        "dead letters": result["dead_letters"],
        "finished runs; stories": f"{result['runs']}; {result['stories']}",
        "disagreements of rows, stories, run and page after one more run": "; ".join(result["disagreements"]) or "none",
        **{f"kills that met: {what}": count for what, count in result["met"].items()},
        **{f"times the {name} ended unkilled": count for name, count in result["ended_by_itself"].items()},
        "minutes": f"{result['seconds'] / 60:.0f}",
    }
    lines = [f"| {name} | {value} |" for name, value in rows.items()]
    where = machine_line(card)
    return "\n".join(["| what | figure |", "|---|---|", *lines, "", where])


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--headlines", type=int, default=20_000)
    parser.add_argument("--kills", type=int, default=20, help="kills of each: consumer, reclusterer, broker, Milvus")
    parser.add_argument("--fuzz", type=int, help="number of fuzzed messages to send, instead of kills")
    parser.add_argument("--json", type=Path, help="default: faults.json or fuzz.json in benchmarks/results")
    parser.add_argument("--write", action="store_true", help="put the table into docs/reliability.md")
    parser.add_argument("--folder", type=Path, help="folder for all data, which is kept; default: a temporary one")
    chosen = parser.parse_args()
    card = machine_card(SEED)
    logs.configure("warning", json=False)
    console = Console(width=140)
    with tempfile.TemporaryDirectory() as temporary:
        folder = chosen.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if chosen.fuzz:
            from tests.harness import fuzz

            with local_servers(folder) as (settings, _):
                result = fuzz.run(chosen.fuzz, settings)
            name, text, wrong = "fuzz", fuzz.figures(result, card), fuzz.wrong(result)
            console.print(result)
        else:
            result = run(chosen.headlines, chosen.kills, folder, on_kill=console.print)
            name, text = "faults", figures(result, card)
            wrong = result["lost"] or result["duplicated"] or result["disagreements"]
            console.print(table(result), result["met"], result["ended_by_itself"])
    write_json(chosen.json or RESULTS / f"{name}.json", card, [result])
    if chosen.write:
        document.replace(PAGE, name, text)
    if wrong:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
