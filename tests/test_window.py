"""The rows of a run's window: one query finds what several find."""

from datetime import timedelta

import numpy as np
import pytest

from clustering.run.newest import find_newest
from clustering.run.window import fix_window, read_fresh
from newstide.milvus import RunRow, Store
from tests.faults.test_clocks import DAYS, DIM, HOUR, NOW, add, last_run, store

__all__ = ["store"]


@pytest.mark.parametrize("newest", [NOW - 3 * HOUR, NOW - HOUR, NOW + 400 * DAYS, NOW - HOUR // 2])
@pytest.mark.parametrize("length", [None, timedelta(days=7), timedelta(hours=2)])
def test_one_query_finds_what_several_find(store: Store, newest: int, length: timedelta | None) -> None:
    add(store, "known", [NOW - number * HOUR for number in range(1, 31)])
    add(store, "new", [NOW - number * DAYS for number in range(12)], label_run=0)
    add(store, "ahead", [NOW + 2 * HOUR, NOW + 400 * DAYS], label_run=0)
    last = last_run(store, newest)
    fresh = read_fresh(store, last)
    assert fresh is not None
    at = find_newest(store, last, NOW, HOUR)
    assert find_newest(store, last, NOW, HOUR, fresh["published_at"].to_numpy(np.int64)) == at
    one, several = fix_window(store, length, at, fresh), fix_window(store, length, at)
    assert (one.where, one.begin, one.too_old) == (several.where, several.begin, several.too_old)
    assert sorted(one.unlabelled["id"]) == sorted(several.unlabelled["id"])
    assert len(one.unlabelled)
    many = RunRow(2, np.zeros(DIM, np.float32), 0.5, 1, 2, counts={"newest": newest, "too_old": 1_000_000})
    assert read_fresh(store, many) is read_fresh(store, None) is None
