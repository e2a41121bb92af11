"""Search by cosine, against brute force."""

import numpy as np
import pytest
from pymilvus import MilvusClient

from newstide.core.errors import StoreLimit
from newstide.milvus import Store, collection
from tests.harness.store_rows import DIM, headline_rows, story_frame, unit_vectors


@pytest.mark.parametrize("flushed", [False, True])
def test_it_finds_what_brute_force_finds_best_first(store: Store, flushed: bool) -> None:
    store.insert_headlines(headline_rows(400))
    if flushed:
        store.settle()
    queries = unit_vectors(25, seed=9)
    cosines = queries @ unit_vectors(400).T

    hits = store.search_headlines(queries, 10)

    expected = np.argsort(-cosines, axis=1)[:, :10]
    assert hits.similarities.dtype == np.float32
    assert [list(row) for row in hits.ids] == [[f"h{number:05}" for number in row] for row in expected]
    np.testing.assert_allclose(hits.similarities, np.take_along_axis(cosines, expected, 1), atol=1e-5)


def test_length_does_not_matter_to_a_query(store: Store) -> None:
    store.insert_headlines(headline_rows(50))
    query = unit_vectors(1, seed=9)
    once, thrice = store.search_headlines(query, 5), store.search_headlines(query * 3, 5)
    assert once.ids.tolist() == thrice.ids.tolist()
    np.testing.assert_allclose(once.similarities, thrice.similarities, atol=1e-6)


def test_only_rows_that_the_filter_holds_for_are_found_and_gaps_say_so(store: Store) -> None:
    store.insert_headlines(headline_rows(100))
    hits = store.search_headlines(unit_vectors(3, seed=9), 6, "published_at >= 40 and published_at < 44")
    assert {id_ for row in hits.ids for id_ in row[:4]} == {"h00040", "h00041", "h00042", "h00043"}
    assert (hits.ids[:, 4:] == None).all()  # noqa: E711 - element by element
    assert (hits.similarities[:, 4:] == -np.inf).all()


def test_many_queries_are_asked_in_portions_and_answered_in_order(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.insert_headlines(headline_rows(100))
    whole = store.search_headlines(unit_vectors(100), 3)
    assert whole.ids[:, 0].tolist() == [f"h{number:05}" for number in range(100)]  # each row's nearest is itself

    asked = []
    search = MilvusClient.search

    def counted(self: MilvusClient, name: str, data: list[object], **options: object) -> object:
        asked.append(len(data))
        return search(self, name, data, **options)

    monkeypatch.setattr(MilvusClient, "search", counted)
    monkeypatch.setattr(collection, "_HITS", 21)
    split = store.search_headlines(unit_vectors(100), 3)
    assert asked == [7] * 14 + [2]
    assert split.ids.tolist() == whole.ids.tolist()


def test_no_queries_have_no_hits(store: Store) -> None:
    assert store.search_headlines(np.empty((0, DIM), np.float32), 4).ids.shape == (0, 4)


def test_a_query_on_an_empty_store_finds_nothing(store: Store) -> None:
    assert store.search_headlines(unit_vectors(1), 2).ids.tolist() == [[None, None]]


@pytest.mark.parametrize("limit", [0, -1, 16_385])
def test_limits_that_a_server_refuses_are_refused_on_lite_too(store: Store, limit: int) -> None:
    with pytest.raises(StoreLimit, match="outside 1 to 16,384"):
        store.search_headlines(unit_vectors(1), limit)


@pytest.mark.parametrize(
    ("vectors", "fault"),
    [
        (np.full((2, DIM), np.nan, np.float32), "Search vector 0 is zero or not finite"),
        (np.vstack([unit_vectors(1), np.zeros((1, DIM), np.float32)]), "Search vector 1 is zero or not finite"),
        (np.ones((2, DIM + 1), np.float32), r"shape \(2, 9\)"),
        (np.ones(DIM, np.float32), r"shape \(8,\)"),
    ],
)
def test_a_query_that_cannot_be_right_is_refused(store: Store, vectors: np.ndarray, fault: str) -> None:
    with pytest.raises(StoreLimit, match=fault):
        store.search_headlines(vectors, 3)


def test_stories_are_found_by_centroid_among_the_open_ones(store: Store) -> None:
    stories = story_frame([1, 2, 3])
    stories.loc[1, "status"] = "closed"
    store.upsert_stories(stories)
    query = np.stack(stories["centroid"].tolist())[1:2]
    hits = store.search_stories(query, 3)
    assert set(hits.ids[0].tolist()) == {1, 3, None}
    assert store.search_stories(query, 1, where="").ids.tolist() == [[2]]
