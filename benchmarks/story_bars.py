"""Prints the bars of the stories' quality beside what the benchmarks measured last: `python -m benchmarks.story_bars`.

Reads what `benchmarks.quality`, `benchmarks.smoothing` and `benchmarks.identity` left in `benchmarks/results`; it leaves out
what is not there. One setting, the default, serves all sets and models. What the default was before rows were
smoothed, with title and description in one text, is called before.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.bars import Bar
from benchmarks.machine import RESULTS
from benchmarks.quality import SETS, code_version, kept
from benchmarks.smoothing import AS_BEFORE, DEFAULT, HOURS
from newstide.core.settings import DEFAULT_MODEL

Row = dict[str, Any]

_SETS = dict(zip(SETS, (0.92, 0.77, 0.645), strict=True))
_MEAN, _DAY, _RIGHT, _PRECISION = 0.79, 0.615, 0.55, 0.82
_ALLSIDES_BELOW, _ARRIVAL_BELOW, _LAST_ABOVE, _CHURN_ABOVE = 0.05, 0.01, 0.01, 0.007
_IDENTITY_BELOW = 0.15  # percentage points
_LOWEST_BEFORE = {  # of three draws, of all rows in a story before, in per cent
    ("abp_stream", "use-multilingual"): 99.69,
    ("abp_stream", "multilingual-e5-small"): 99.78,
    ("uci_stories", "use-multilingual"): 99.69,
    ("uci_stories", "multilingual-e5-small"): 99.88,
    ("allsides_roundups", "use-multilingual"): 99.58,
    ("allsides_roundups", "multilingual-e5-small"): 99.26,
}


def main() -> None:
    """Runs the command line; exits with 1 where a bar is missed."""
    results = [kept(RESULTS / f"{name}.json") for name in ("quality", "smoothing", "identity")]
    code = code_version()
    if any(row.get("code", code) != code for rows in results for row in rows):
        print("Some figures were measured with other code: run the benchmarks again.")
    bars = [*of_sets(results[0]), *of_the_day(results[1]), *of_identity(results[2])]
    if not bars:
        raise SystemExit(f"{RESULTS} has no figures of these benchmarks: run them first.")
    shown = Table("what", "figure", "bar", "met")
    for bar in bars:
        shown.add_row(bar.what, f"{bar.figure:.3f}", bar.cells()[2], bar.verdict, style="" if bar.met else "bold red")
    Console().print(shown)
    raise SystemExit(0 if all(bar.met for bar in bars) else 1)


def of_sets(rows: Sequence[Row]) -> Iterator[Bar]:
    """Of the three sets, by titles: each for the default model, and the mean for all models."""
    now, before = (
        {(row["model"], row["set"]): float(row["f1"]) for row in rows if row["method"] == method}
        for method in ("default", "default before")
    )
    for name, bound in _SETS.items():
        if (found := now.get((DEFAULT_MODEL, name))) is not None:
            yield Bar(f"{DEFAULT_MODEL}, {name}, F1", found, bound, "", at_least=True)
    for model in dict.fromkeys(model for model, _ in now):
        what = f"{model}, mean of the three"
        if not all((model, name) in now for name in SETS):
            continue
        mean = float(np.mean([now[model, name] for name in SETS]))
        if model == DEFAULT_MODEL:
            yield Bar(what, mean, _MEAN, "", at_least=True)
        elif all((model, name) in before for name in SETS):
            least = round(float(np.mean([before[model, name] for name in SETS])), 4)
            yield Bar(what, mean, least, "", at_least=True)
            tiny = SETS[-1]
            least = round(before[model, tiny] - _ALLSIDES_BELOW, 4)
            yield Bar(f"{model}, {tiny}, F1", now[model, tiny], least, "", at_least=True)


def of_the_day(rows: Sequence[Row]) -> Iterator[Bar]:
    """Of the bundled day with the default model: in one run, and replayed."""
    ours = {row["variant"]: row for row in rows if row["model"] == DEFAULT_MODEL}
    if DEFAULT not in ours:
        return
    now = ours[DEFAULT]
    yield Bar("the day in one run, F1", now["day"], _DAY, "", at_least=True)
    yield Bar(f"replayed every {HOURS[0]} h, right on arrival", now[f"{HOURS[0]} h, right"], _RIGHT, "", at_least=True)
    for hours in HOURS:
        of = f"{hours} h"
        yield Bar(f"replayed every {of}, precision", now[f"{of}, precision"], _PRECISION, "", at_least=True)
        if AS_BEFORE not in ours:
            continue
        before = ours[AS_BEFORE]
        arrival, last, churn = (before[f"{of}, {what}"] for what in ("arrival", "last", "churn"))
        lowest = round(arrival - _ARRIVAL_BELOW, 4)
        yield Bar(f"replayed every {of}, F1 on arrival", now[f"{of}, arrival"], lowest, "", at_least=True)
        yield Bar(f"replayed every {of}, last F1", now[f"{of}, last"], round(last + _LAST_ABOVE, 4), "", at_least=True)
        yield Bar(f"replayed every {of}, churn", now[f"{of}, churn"], round(churn + _CHURN_ABOVE, 4), "")


def of_identity(rows: Sequence[Row]) -> Iterator[Bar]:
    """The lowest draw of each set and model, in per cent."""
    for (name, model), before in _LOWEST_BEFORE.items():
        shares = [
            100 * row["kept_of_all"] for row in rows if (row["set"], row["model"]) == (name, model) and row["inertia"]
        ]
        if shares:
            lowest = round(before - _IDENTITY_BELOW, 2)
            yield Bar(
                f"{name}, {model}, keep their number, lowest draw", round(min(shares), 3), lowest, "%", at_least=True
            )


if __name__ == "__main__":
    main()
