"""Texts that look like times and are not surely one: no time, never an error, whoever sends them."""

from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from newstide.core.times import parse_time


@pytest.mark.parametrize(
    "text",
    [
        "27 Nov 20o26",  # letters for digits
        "27 Nov 2026 1o0:00",
        "2026-11-27T10:00:00+0o100",
        "20e261127",
        "27 Nov 2026 10:3o0",
        "Nov 27, 2026 10:00 AM / 3 PM",  # two times
        "Nov 27, 2026 10 AM / 3 PM",
        "Nov 27 2026 10:00 and 12:00",
        "27 Nov 2026 10:00 - 18:00",
        "27 Nov 2026 30s",  # durations
        "27 Nov 2026 10:00 5m",
        "2026-11-27T10:00:00+15:00",  # offsets that no place has
        "2026-11-27T10:00:00+23:59",
        "179577360²",  # raised and circled digits
        "2026-11-2²",
        "2026-11-2①",
    ],
)
def test_what_is_not_surely_a_time_is_none(text: str) -> None:
    parsed = parse_time(text)
    assert parsed is None or parsed.milliseconds is None


@pytest.mark.parametrize("text", ["1970-01-01", "1970-01-01T00:00:00", "19700101"])
def test_a_zero_is_no_time_in_any_zone(text: str) -> None:
    parsed = parse_time(text, timezone=ZoneInfo("America/New_York"))
    assert parsed is None or parsed.milliseconds is None


@settings(max_examples=600, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            ["27", "2026", "11", "1", "Nov", "T", "Z", ":", "-", "/", ".", " ", "+", "o", "e", "th", "st", "h", "m", "s",
             "AM", "PM", "²", "年", "月", "日", "W", "GMT", "EST", ","]
        ),
        min_size=1,
        max_size=14,
    )
)  # fmt: skip
def test_no_text_of_a_times_parts_is_an_error(parts: list[str]) -> None:
    parse_time("".join(parts))
