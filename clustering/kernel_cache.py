"""Numba's cache of compiled code with checksums: what is damaged is compiled anew, what cannot be kept is done without.

By itself, numba raises at each start what a damaged file of its cache makes pickle raise, and what a full disk says; and it
runs machine code whatever has become of it on disk. `careful_caches` spares the packages that we import the same end.
"""

import hashlib
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event
from typing import Any

from numba.core import caching
from numba.core.dispatcher import Dispatcher
from numba.np.ufunc.ufuncbuilder import UFuncDispatcher

from newstide.core import logs
from newstide.core.text import shorten

_DIGEST = hashlib.sha256().digest_size
_MARK = b"sha256:"  # before the digest; a file that numba wrote by itself begins as a pickle does, and has none
_PICKLE = b"\x80"

_numba: Any = caching  # it has no types
_DISPATCHERS: tuple[Any, ...] = (Dispatcher, UFuncDispatcher)

_refused = Event()  # the last code that was compiled could not be kept, which has been said

log = logs.get("kernels")


class CarefulCacheFile(_numba.IndexDataCacheFile):  # type: ignore[misc]
    """The cache of one compiled function: numba's own, in its format, without which one can do.

    Args:
        cache_path: The folder.
        filename_base: Of its files.
        source_stamp: Of the kernel's source.
    """

    def load(self, key: Any) -> Any:
        """The code under a key, or None where it is not there or damaged."""
        try:
            return super().load(key)
        except Exception as error:  # noqa: BLE001 - whatever pickle makes of damaged bytes
            self._forget(error)
            return None

    def save(self, key: Any, data: Any) -> None:
        """Keeps code under a key, where that can be done."""
        try:
            try:
                super().save(key, data)
            except OSError:
                raise
            except Exception as error:  # noqa: BLE001 - a damaged index
                self._forget(error)
                super().save(key, data)
        except OSError as error:
            if not _refused.is_set():  # a first run on a full disk compiles 150 functions
                log.warning("compiled code cannot be kept; the next start compiles it again", reason=str(error))
            _refused.set()
        else:
            _refused.clear()

    def _forget(self, error: Exception) -> None:
        log.warning(
            "compiled code is damaged and is compiled anew", file=self._index_path, reason=shorten(repr(error), 200)
        )
        with suppress(OSError):
            self.flush()


class CheckedCacheFile(CarefulCacheFile):
    """The cache of one kernel, with a digest before each file of code."""

    def _load_data(self, name: str) -> Any:
        path = Path(self._data_path(name))
        content = path.read_bytes()
        if not content.startswith(_PICKLE):
            start = len(_MARK) + _DIGEST
            expected, content = content[:start], content[start:]
            if expected != _MARK + hashlib.sha256(content).digest():
                raise ValueError(f"the checksum of {path.name} is wrong")
        return pickle.loads(content)  # noqa: S301 - numba's own format, from a folder of this user

    def _save_data(self, name: str, data: Any) -> None:
        content = self._dump(data)
        with self._open_for_write(self._data_path(name)) as file:
            file.write(_MARK + hashlib.sha256(content).digest() + content)


def checked(compiled: Any) -> Any:
    """A dispatcher of `numba.njit(cache=True)`, whose cache is checked from now on; code of other options is none of it."""
    plain = getattr(compiled._cache, "_cache_file", None)
    if plain is None:  # there is no folder for it
        return compiled
    compiled._cache._cache_file = CheckedCacheFile(
        cache_path=plain._cache_path,
        filename_base=plain._index_name.removesuffix(".nbi"),
        source_stamp=(plain._source_stamp, compiled.targetoptions),
    )
    return compiled


def lacks_code(compiled: Any) -> bool:
    """Whether a kernel's code can be kept on disk, and none is there that was compiled of its source as it is."""
    file = getattr(compiled._cache, "_cache_file", None)
    if file is None:  # there is no folder for it
        return False
    try:
        return not file._load_index()
    except Exception:  # noqa: BLE001 - whatever pickle makes of damaged bytes
        return True


@contextmanager
def careful_caches() -> Iterator[None]:
    """While this lasts, functions that a package compiles with the cache on do without one that cannot be had or read."""
    plain = _numba.IndexDataCacheFile
    enabling = [(kind, kind.enable_caching) for kind in _DISPATCHERS]
    _numba.IndexDataCacheFile = CarefulCacheFile
    for kind, enable in enabling:
        kind.enable_caching = _where_possible(enable)
    try:
        yield
    finally:
        _numba.IndexDataCacheFile = plain
        for kind, enable in enabling:
            kind.enable_caching = enable


def _where_possible(enable: Callable[[Any], None]) -> Callable[[Any], None]:
    def enable_if_possible(function: Any) -> None:
        with suppress(RuntimeError):  # no folder can be written
            enable(function)

    return enable_if_possible
