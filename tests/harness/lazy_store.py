"""A store that is opened when it is first asked: its collections are made by what a test ingests."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from newstide.core.settings import Settings
from newstide.milvus import Store, open_store


@contextmanager
def opened_when_asked(settings: Settings) -> Iterator[Store]:
    """The store of these settings; closed at the end, where it was opened."""
    opened: list[Store] = []

    class Lazily:
        def __getattr__(self, name: str) -> Any:
            if not opened:
                opened.append(open_store(settings.milvus, None))
            return getattr(opened[0], name)

    yield Lazily()  # type: ignore[misc]
    for one in opened:
        one.close()
