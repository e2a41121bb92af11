"""The Milvus searcher against a real Milvus Lite server, through the store."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pytest

from clustering.neighbours import ExactSearcher, MilvusSearcher, NeighbourGraph, update_graph
from newstide.core.headline import Headline
from newstide.core.settings import MilvusSettings
from newstide.embedding.base import ModelCard
from newstide.milvus import Store, open_store
from newstide.milvus.local_server import LocalMilvus
from newstide.milvus.rows import HeadlineRow

ROWS, DIM = 800, 32
OLDEST = 1_700_000_000_000
HOUR = 3_600_000


def vectors() -> npt.NDArray[np.float32]:
    rng = np.random.default_rng(11)
    found = rng.normal(size=(60, DIM))[rng.integers(0, 60, ROWS)] + 0.4 * rng.normal(size=(ROWS, DIM))
    found[100:140] = found[100]  # more copies than a list holds
    unit: npt.NDArray[np.float32] = (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)
    return unit


def rows_between(store: Store, start: int, end: int) -> tuple[list[str], str]:
    where = f"published_at >= {OLDEST + start * HOUR} and published_at < {OLDEST + end * HOUR}"
    return store.headlines(where, ["id"])["id"].tolist(), where


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with LocalMilvus(tmp_path_factory.mktemp("milvus"), port=0) as milvus:
        opened = open_store(MilvusSettings(uri=milvus.uri), ModelCard("a model", DIM, "00"))
        opened.insert_headlines(
            [
                HeadlineRow(Headline(id=f"h{row:04d}", title="x", published_at=OLDEST + row * HOUR), vector, OLDEST)
                for row, vector in enumerate(vectors())
            ]
        )
        yield opened
        opened.close()


def same_lists(one: NeighbourGraph, two: NeighbourGraph) -> None:
    np.testing.assert_array_equal(one.ids, two.ids)
    np.testing.assert_array_equal(one.vectors, two.vectors)
    np.testing.assert_array_equal(one.indices, two.indices)
    np.testing.assert_array_equal(one.similarities, two.similarities)


def test_a_window_searched_in_milvus_has_the_lists_of_the_exact_searcher(store: Store) -> None:
    ids, where = rows_between(store, 50, 650)
    assert len(ids) == 600
    searcher = MilvusSearcher(store.search_headlines, where, batch_rows=250)
    milvus, _ = update_graph(None, ids, store.embeddings, searcher, k=15, spare=5)
    exact, _ = update_graph(None, ids, store.embeddings, ExactSearcher(), k=15, spare=5)
    same_lists(milvus, exact)
    np.testing.assert_array_equal(exact.vectors, vectors()[50:650])


def test_a_window_that_moves_stays_close_to_the_truth_and_knows_how_close(store: Store) -> None:
    graph = None
    for start in (0, 20, 40, 60):
        ids, where = rows_between(store, start, start + 600)
        searcher = MilvusSearcher(store.search_headlines, where)
        graph, report = update_graph(graph, ids, store.embeddings, searcher, k=15, spare=5, recall_sample=100)
        truth, _ = update_graph(None, ids, store.embeddings, ExactSearcher(), k=15, spare=5)
        recall = np.mean([np.isin(truth.indices[row], graph.indices[row]).mean() for row in range(len(ids))])
        assert recall > 0.99
        if start:
            assert (report.new, report.removed, report.rebuilt) == (20, 20, False)
            assert report.recall == pytest.approx(recall, abs=0.01)
