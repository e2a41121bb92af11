"""The contract of the store, against Milvus Lite.

Or against the server whose address is in MILVUS_TEST_URI, or the one that `make test-milvus` starts: then only what asks
that server runs, and what it lacks is expected to fail, by name.
"""

import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from newstide.core.settings import MilvusSettings
from newstide.milvus import Store, open_store
from newstide.milvus.local_server import LocalMilvus
from tests.harness.second_milvus import GAPS, PROGRAM, SecondMilvus
from tests.harness.store_rows import CARD

_HERE = Path(__file__).parent


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With the second server: leaves out what does not ask it, and marks what it lacks."""
    if PROGRAM not in os.environ:
        return
    ours = [item for item in items if item.path.is_relative_to(_HERE)]
    asking = [item for item in ours if "milvus_settings" in getattr(item, "fixturenames", ())]
    left_out = [item for item in ours if item not in asking or "mortal_milvus" in getattr(item, "fixturenames", ())]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]
    gaps = {test: feature for feature, tests in GAPS.items() for test in tests}
    names = {test for item in items for test in (item.name, getattr(item, "originalname", item.name))}
    if len(asking) > 60 and (strange := set(gaps) - names):  # all of them, not a few that somebody chose
        raise pytest.UsageError(f"GAPS names tests that there are not: {', '.join(sorted(strange))}")
    for item in items:
        for name in (item.name, getattr(item, "originalname", item.name)):
            if name in gaps:
                item.add_marker(pytest.mark.xfail(strict=True, reason=f"Milvus 2.3.5: {gaps[name]}"))
                break


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the Milvus that the contract is tried against."""
    if PROGRAM in os.environ:
        with SecondMilvus(tmp_path_factory.mktemp("second")) as second:
            yield second.uri
    else:
        yield os.environ.get("MILVUS_TEST_URI") or request.getfixturevalue("local_milvus").uri


@pytest.fixture
def milvus_settings(server: str) -> MilvusSettings:
    """Settings with collections of this test's own."""
    return MilvusSettings(uri=server, prefix=f"t{uuid.uuid4().hex[:8]}_")


@pytest.fixture
def store(milvus_settings: MilvusSettings) -> Iterator[Store]:
    """An empty store for vectors of `CARD`."""
    opened = open_store(milvus_settings, CARD)
    yield opened
    opened.close()


@pytest.fixture(scope="package")
def mortal_milvus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalMilvus]:
    """A server to be killed; a test that does starts it again."""
    with LocalMilvus(tmp_path_factory.mktemp("mortal"), port=0) as milvus:
        yield milvus


@pytest.fixture(params=["its own way of reading", "as from a server"])
def reading(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[Store], None]:
    """Lets a store on Lite read as it would from a server; both ways must give the same rows."""

    def choose(store: Store) -> None:
        if request.param == "as from a server":
            monkeypatch.setattr(store._connection, "lite", False)

    return choose
