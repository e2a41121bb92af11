"""Pairs of whole numbers, counted."""

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from clustering.pairs import counted_pairs, most_frequent

numbers = st.integers(-1, 5) | st.integers(0, 2**62)


@given(st.lists(st.tuples(numbers, numbers), max_size=60))
def test_pairs_are_ascending_and_each_is_counted(pairs: list[tuple[int, int]]) -> None:
    first, second = (np.array([pair[place] for pair in pairs], np.int64) for place in (0, 1))
    found = list(zip(*(part.tolist() for part in counted_pairs(first, second)), strict=True))
    assert found == [(*pair, count) for pair, count in sorted(Counter(pairs).items())]


@given(st.lists(st.tuples(numbers, numbers), max_size=60))
def test_what_stands_with_a_number_most_often_is_found_of_equals_the_smallest(pairs: list[tuple[int, int]]) -> None:
    first, second = (np.array([pair[place] for pair in pairs], np.int64) for place in (0, 1))
    found = list(zip(*(part.tolist() for part in most_frequent(first, second)), strict=True))
    ranked = sorted(Counter(pairs).items(), key=lambda one: (one[0][0], one[1], -one[0][1]))
    assert found == sorted({pair[0]: pair[1] for pair, _ in ranked}.items())
