"""Pairs of whole numbers, counted."""

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from clustering.pairs import counted_pairs

numbers = st.integers(-1, 5) | st.integers(0, 2**62)


@given(st.lists(st.tuples(numbers, numbers), max_size=60))
def test_pairs_are_ascending_and_each_is_counted(pairs: list[tuple[int, int]]) -> None:
    first, second = (np.array([pair[place] for pair in pairs], np.int64) for place in (0, 1))
    found = list(zip(*(part.tolist() for part in counted_pairs(first, second)), strict=True))
    assert found == [(*pair, count) for pair, count in sorted(Counter(pairs).items())]
