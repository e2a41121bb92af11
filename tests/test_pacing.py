"""Replay by published time, on a clock that only sleeping moves."""

from collections.abc import Sequence

import pytest

from newstide.core.errors import SettingsError
from newstide.core.headline import Headline
from producers.pacing import paced, parse_pace
from producers.rows import Rejected, Row


class Clock:
    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def row(seconds: float, *, published: bool = True) -> Row:
    return Row(Headline("id", "title", int(seconds * 1000)), published)


def arrivals(rows: Sequence[Row | Rejected], speed: float) -> list[float]:
    clock = Clock()
    return [round(clock.now - 100.0, 6) for _ in paced(rows, speed, clock, clock.sleep)]


@pytest.mark.parametrize(
    ("text", "speed"),
    [
        ("60x", 60.0),
        ("1x", 1.0),
        ("0.5x", 0.5),
        ("1000X", 1000.0),
        ("real", 1.0),
        ("max", 0.0),
        ("0", 0.0),
        (" 0x ", 0),
    ],
)
def test_paces_are_understood(text: str, speed: float) -> None:
    assert parse_pace(text) == speed


@pytest.mark.parametrize("text", ["", "fast", "-1x", "60", "nanx", "infx", "x", "60 times"])
def test_what_is_no_pace_is_refused_by_name(text: str) -> None:
    with pytest.raises(SettingsError, match="is no pace"):
        parse_pace(text)


def test_an_hour_passes_in_a_minute_at_60x() -> None:
    assert arrivals([row(1000), row(1060), row(1060), row(4600)], 60) == [0, 1, 1, 60]


def test_the_rhythm_is_kept_at_real_speed() -> None:
    assert arrivals([row(0), row(2.5), row(10)], 1) == [0, 2.5, 10]


def test_nothing_waits_at_full_speed() -> None:
    assert arrivals([row(0), row(1e6)], 0) == [0, 0]


def test_rows_out_of_order_rejected_or_without_time_come_at_once_and_shift_nothing() -> None:
    rows: list[Row | Rejected] = [
        row(100),
        row(160),
        row(130),
        Rejected("f", 1, "r", "t"),
        row(9e9, published=False),
        row(220),
    ]
    assert arrivals(rows, 60) == [0, 1, 1, 1, 1, 2]


def test_time_lost_by_a_slow_reader_is_made_up() -> None:
    clock = Clock()
    seen = []
    for item in paced([row(0), row(10), row(20)], 1, clock, clock.sleep):
        assert isinstance(item, Row)
        seen.append(clock.now - 100)
        clock.now += 12 if item.headline.published_at == 0 else 0
    assert seen == [0, 12, 20]
