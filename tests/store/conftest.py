"""The contract of the store runs against Milvus Lite, or against the server whose address is in MILVUS_TEST_URI."""

import os
import uuid
from collections.abc import Callable, Iterator

import pytest
from store_rows import CARD

from newstide.milvus_lite import LocalMilvus
from newstide.settings import MilvusSettings
from newstide.store import Store, open_store


@pytest.fixture
def milvus_settings(request: pytest.FixtureRequest) -> MilvusSettings:
    """Settings with collections of this test's own."""
    uri = os.environ.get("MILVUS_TEST_URI") or request.getfixturevalue("local_milvus").uri
    return MilvusSettings(uri=uri, prefix=f"t{uuid.uuid4().hex[:8]}_")


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
