"""The compiled kernels where nothing can be written to disk."""

import numba.core.caching
import pytest

from clustering.kernels import kernel


def test_where_no_folder_can_be_written_kernels_are_compiled_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numba.core.caching.CacheImpl, "_locator_classes", [])
    with pytest.raises(RuntimeError, match="no locator available"):
        numba.njit(cache=True)(lambda: 0)

    def twice(value: int) -> int:
        return 2 * value

    assert kernel()(twice)(21) == 42
