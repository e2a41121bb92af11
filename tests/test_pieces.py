"""How many headlines are embedded together, by how long the model takes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.pieces import AHEAD, FIRST, Pace


def test_a_quick_model_is_given_twice_as_much_up_to_a_quarter_of_a_batch() -> None:
    pace = Pace()
    pieces = []
    for _ in range(5):
        pieces.append(pace.piece)
        pace = pace.after(pace.piece, 0.1, 512)
    assert pieces == [16, 32, 64, 128, 128]


def test_a_slow_model_is_given_half_of_what_it_had() -> None:
    assert Pace(64).after(64, 2.1, 512).piece == 32
    assert Pace(64).after(10, 2.1, 512).piece == 5
    assert Pace(1).after(1, 60, 512).piece == 1


def test_a_piece_that_is_not_whole_says_nothing_of_larger_ones() -> None:
    assert Pace(64).after(10, 0.1, 512).piece == 64


@pytest.mark.parametrize(("seconds", "at_once"), [(0.1, AHEAD), (0.99, AHEAD), (1.0, 1), (1.5, 1)])
def test_a_model_is_given_the_next_piece_early_where_both_take_no_longer_than_one_may(
    seconds: float, at_once: int
) -> None:
    assert Pace().at_once == 1, "until it is known"
    assert Pace().after(FIRST, seconds, 512).at_once == at_once


def test_pieces_become_smaller_towards_the_end_for_which_nothing_runs_beside() -> None:
    pace, left, pieces = Pace(64, fast=True), 200, []
    while left:
        pieces.append(pace.next(left))
        left -= pieces[-1]
    assert pieces == [64, 64, 36, 18, 16, 2]


@given(st.integers(1, 4096), st.integers(1, 10_000))
def test_a_piece_is_never_empty_and_never_larger_than_allowed(piece: int, left: int) -> None:
    assert 1 <= Pace(piece).next(left) <= piece
