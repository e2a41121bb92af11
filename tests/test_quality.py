"""The default settings on real labelled headlines: titles only, no time, one setting for all."""

from functools import cache
from pathlib import Path

import pytest

from newstide.app.evaluation import evaluate_file
from newstide.settings import Settings


@cache
def _report(path: Path, model: str, *, tutorial: bool) -> dict[str, float]:
    chosen = {"tutorial": True, "neighbours": 50} if tutorial else {}
    settings = Settings().updated(embedding={"model": model}, clustering=chosen)
    return evaluate_file(path, settings, text="title")


@pytest.mark.parametrize(
    ("file", "model", "least_f1"),
    [
        ("giveme5w1h", "use-multilingual", 0.88),
        ("giveme5w1h", "multilingual-e5-small", 0.89),
        ("uci_stories", "use-multilingual", 0.73),
    ],
)
def test_stories_are_as_right_as_promised_and_better_than_the_tutorial_s(
    real_headlines: Path, file: str, model: str, least_f1: float
) -> None:
    path = real_headlines / f"{file}.parquet"
    ours = _report(path, model, tutorial=False)
    theirs = _report(path, model, tutorial=True)
    assert ours["f1"] >= least_f1
    assert ours["f1"] >= theirs["f1"] + 0.05
    assert ours["noise_share"] < 0.2
