"""The neighbour graph against brute force in double precision, through arrivals and departures."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustering.neighbours import ExactSearcher, MilvusSearcher, NeighbourGraph, choose_searcher, update_graph
from newstide.core.errors import InvalidGraph
from tests.harness.neighbour_lists import Array, Collection, Found, agrees, same_lists


def test_a_first_graph_holds_everyones_true_neighbours() -> None:
    collection = Collection(700)
    graph, report = update_graph(None, collection.ids, collection.fetch, ExactSearcher(), k=10, spare=5)
    agrees(graph, collection, collection.ids)
    assert graph.indices.shape == (700, 10)
    assert (report.new, report.searched, report.rebuilt, report.recall) == (700, 700, True, None)
    assert report.reason == "there was no graph"


@pytest.mark.parametrize("memory_mb", [0, 1])
def test_little_memory_changes_nothing(memory_mb: int) -> None:
    collection = Collection(900)
    graphs = [
        update_graph(None, collection.ids, collection.fetch, ExactSearcher(memory), k=10, spare=5)[0]
        for memory in (memory_mb, 1024)
    ]
    same_lists(*graphs)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_through_any_arrivals_and_departures_the_lists_are_those_of_a_rebuild(data: st.DataObject) -> None:
    seed = data.draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    n = data.draw(st.integers(1, 250))
    collection = Collection(n, dim=data.draw(st.integers(1, 8)), seed=seed)
    for _ in range(data.draw(st.integers(0, 3))):  # copies
        collection.vectors[rng.integers(0, n, rng.integers(1, 20))] = collection.vectors[rng.integers(0, n)]
    k, spare = data.draw(st.integers(1, 12)), data.draw(st.integers(0, 6))
    share = data.draw(st.sampled_from([0.02, 0.2, 0.6]))
    graph = None
    present = rng.random(n) < 0.7
    for _ in range(4):
        ids = [name for name, here in zip(collection.ids, present, strict=True) if here]
        graph, _ = update_graph(graph, ids, collection.fetch, ExactSearcher(), k=k, spare=spare)
        fresh, _ = update_graph(None, ids, collection.fetch, ExactSearcher(), k=k, spare=spare)
        same_lists(graph, fresh)
        present ^= rng.random(n) < share


def test_only_new_rows_are_read_and_searched() -> None:
    collection = Collection(600)
    first = collection.ids[:590]
    graph, _ = update_graph(None, first, collection.fetch, ExactSearcher(), k=10, spare=10)
    collection.asked.clear()
    graph, report = update_graph(graph, collection.ids[6:], collection.fetch, ExactSearcher(), k=10, spare=10)
    assert sorted(collection.asked) == sorted(collection.ids[590:])
    assert (report.new, report.removed, report.repaired, report.searched, report.rebuilt) == (10, 6, 0, 10, False)
    agrees(graph, collection, collection.ids[6:])


def test_lists_that_became_too_short_are_searched_again() -> None:
    collection = Collection(300)
    graph, _ = update_graph(None, collection.ids, collection.fetch, ExactSearcher(), k=10, spare=0)
    stay = collection.ids[30:]
    graph, report = update_graph(graph, stay, collection.fetch, ExactSearcher(), k=10, spare=0)
    assert 0 < report.repaired == report.searched < 270
    assert report.removed == 30
    agrees(graph, collection, stay)


def test_spare_neighbours_make_repairs_rare() -> None:
    collection = Collection(1000)
    for spare, repaired in ((0, True), (10, False)):
        graph, _ = update_graph(None, collection.ids, collection.fetch, ExactSearcher(), k=20, spare=spare)
        _, report = update_graph(graph, collection.ids[10:], collection.fetch, ExactSearcher(), k=20, spare=spare)
        assert bool(report.repaired) == repaired


def test_nothing_new_costs_nothing() -> None:
    collection = Collection(100)
    graph, _ = update_graph(None, collection.ids, collection.fetch, ExactSearcher(), k=10, spare=5)
    again, report = update_graph(graph, collection.ids[::-1], collection.fetch, ExactSearcher(), k=10, spare=5)
    same_lists(graph, again)
    assert again.vectors is graph.vectors
    assert (report.new, report.removed, report.searched) == (0, 0, 0)


def test_another_width_searches_all_rows_without_reading_their_vectors_again() -> None:
    collection = Collection(100)
    graph, _ = update_graph(None, collection.ids, collection.fetch, ExactSearcher(), k=10, spare=5)
    collection.asked.clear()
    graph, report = update_graph(graph, collection.ids, collection.fetch, ExactSearcher(), k=20, spare=5)
    assert report.rebuilt
    assert "25 wide now, and were 15" in report.reason
    assert collection.asked == []
    agrees(graph, collection, collection.ids)


def test_copies_are_each_others_nearest_at_exactly_one_in_order_of_id() -> None:
    collection = Collection(200)
    collection.vectors[:30] = collection.vectors[0]
    graph, _ = update_graph(None, collection.ids, collection.fetch, ExactSearcher(), k=10, spare=0)
    copies = np.sort([sorted(collection.ids).index(name) for name in collection.ids[:30]])
    for row in copies:
        assert (graph.similarities[row] == 1.0).all()
        np.testing.assert_array_equal(graph.indices[row], copies[copies != row][:10])


@pytest.mark.parametrize("n", [0, 1, 2, 7])
def test_few_rows_list_everyone_else_and_then_nobody(n: int) -> None:
    collection = Collection(10)
    graph, _ = update_graph(None, collection.ids[:n], collection.fetch, ExactSearcher(), k=10, spare=5)
    assert graph.indices.shape == (n, 10)
    assert (graph.indices >= 0).sum() == n * max(0, n - 1)
    assert (graph.similarities[graph.indices < 0] == -1).all()
    grown, _ = update_graph(graph, collection.ids, collection.fetch, ExactSearcher(), k=10, spare=5)
    agrees(grown, collection, collection.ids)


def test_an_emptied_collection_can_fill_again() -> None:
    collection = Collection(50)
    graph, _ = update_graph(None, collection.ids, collection.fetch, ExactSearcher(), k=5, spare=2)
    empty, report = update_graph(graph, [], collection.fetch, ExactSearcher(), k=5, spare=2)
    assert (len(empty.ids), report.removed) == (0, 50)
    again, _ = update_graph(empty, collection.ids, collection.fetch, ExactSearcher(), k=5, spare=2)
    same_lists(again, graph)


def test_the_milvus_searcher_gives_the_exact_searchers_lists_where_its_index_is_exact() -> None:
    collection = Collection(500)
    collection.vectors[:40] = collection.vectors[0]  # more copies than a list holds
    window = collection.ids[20:480]
    exact, _ = update_graph(None, window, collection.fetch, ExactSearcher(), k=10, spare=5)
    milvus, report = update_graph(
        None, window, collection.fetch, MilvusSearcher(collection.search, batch_rows=64), k=10, spare=5
    )
    same_lists(exact, milvus)
    assert report.recall is None


def test_the_milvus_searcher_inserts_new_rows_into_old_lists() -> None:
    collection = Collection(2000)
    searcher = MilvusSearcher(collection.search)
    graph, _ = update_graph(None, collection.ids[:1900], collection.fetch, searcher, k=10, spare=5)
    graph, report = update_graph(graph, collection.ids[50:], collection.fetch, searcher, k=10, spare=5)
    fresh, _ = update_graph(None, collection.ids[50:], collection.fetch, ExactSearcher(), k=10, spare=5)
    assert not report.rebuilt
    assert report.recall is not None
    assert report.recall >= 0.999
    assert (graph.indices == fresh.indices).all(axis=1).mean() > 0.99


def test_lists_of_a_search_that_may_miss_some_are_not_taken_for_exact_ones() -> None:
    collection = Collection(200)
    graph, _ = update_graph(None, collection.ids, collection.fetch, MilvusSearcher(collection.search), k=10, spare=5)
    graph, report = update_graph(graph, collection.ids, collection.fetch, ExactSearcher(), k=10, spare=5)
    assert report.rebuilt
    assert "to be exact now" in report.reason
    _, report = update_graph(graph, collection.ids, collection.fetch, MilvusSearcher(collection.search), k=10, spare=5)
    assert not report.rebuilt


def test_the_filter_and_a_bounded_batch_reach_the_search() -> None:
    collection = Collection(300)
    seen = []

    def search(vectors: Array, limit: int, where: str) -> "Found":
        seen.append((len(vectors), where))
        return collection.search(vectors, limit, where)

    searcher = MilvusSearcher(search, where="published_at > 5", batch_rows=100)
    update_graph(None, collection.ids, collection.fetch, searcher, k=10, spare=5)
    assert [count for count, _ in seen[:3]] == [100, 100, 100]
    assert {where for _, where in seen} == {"published_at > 5"}


def test_a_recall_below_the_floor_rebuilds_the_graph() -> None:
    collection = Collection(400)
    graph, _ = update_graph(None, collection.ids, collection.fetch, MilvusSearcher(collection.search), k=10, spare=5)
    rotten = NeighbourGraph(
        graph.ids, graph.vectors, np.roll(graph.wide_indices, 7, axis=0), graph.wide_similarities, graph.k
    )
    mended, report = update_graph(
        rotten, collection.ids, collection.fetch, MilvusSearcher(collection.search), k=10, spare=5, recall_sample=50
    )
    assert report.rebuilt
    assert report.recall is not None
    assert report.recall < 0.5
    assert f"recall was {report.recall:.3f}, below 0.950" in report.reason
    assert report.searched == 400
    same_lists(mended, graph)


def test_a_recall_above_the_floor_does_not() -> None:
    collection = Collection(400)
    searcher = MilvusSearcher(collection.search)
    graph, _ = update_graph(None, collection.ids, collection.fetch, searcher, k=10, spare=5)
    _, report = update_graph(graph, collection.ids, collection.fetch, searcher, k=10, spare=5, recall_sample=50)
    assert (report.recall, report.rebuilt) == (1.0, False)


@pytest.mark.parametrize(
    ("setting", "rows", "is_lite", "chosen"),
    [
        ("auto", 300_000, True, "exact"),
        ("auto", 300_001, True, "cells"),
        ("cells", 10, False, "cells"),
        ("auto", 10, False, "milvus"),
        ("exact", 10**7, False, "exact"),
        ("milvus", 10, True, "milvus"),
    ],
)
def test_auto_is_exact_on_lite_while_it_fits(setting: Any, rows: int, is_lite: bool, chosen: str) -> None:
    assert choose_searcher(setting, rows, is_lite=is_lite, exact_rows=300_000) == chosen


@pytest.mark.parametrize(
    ("exact", "rows", "chosen"),
    [
        (True, 1_000, "exact"),
        (True, 1_001, "cells"),
        (False, 1_000, "cells"),
        (False, 801, "cells"),
        (False, 800, "exact"),
    ],
)
def test_auto_goes_back_from_cells_a_fifth_below_the_limit(exact: bool, rows: int, chosen: str) -> None:
    collection = Collection(40)
    graph, _ = update_graph(None, collection.ids, collection.fetch, ExactSearcher(), k=3, spare=1)
    found = choose_searcher("auto", rows, is_lite=True, exact_rows=1_000, previous=replace(graph, exact=exact))
    assert found == chosen


def test_an_id_that_stands_twice_is_named() -> None:
    collection = Collection(10)
    with pytest.raises(InvalidGraph, match="'headline-00003' stands twice"):
        update_graph(None, [*collection.ids, "headline-00003"], collection.fetch, ExactSearcher(), k=3, spare=1)


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf, 3.0])
def test_a_vector_that_is_no_unit_vector_is_named(value: float) -> None:
    collection = Collection(10)
    collection.vectors[4] = value
    with pytest.raises(InvalidGraph, match=f"{collection.ids[4]!r} has length"):
        update_graph(None, collection.ids, collection.fetch, ExactSearcher(), k=3, spare=1)


def test_missing_vectors_are_noticed() -> None:
    collection = Collection(10)
    with pytest.raises(InvalidGraph, match=r"10 vectors of dimension 16 were asked for, and \(9, 16\) came"):
        update_graph(None, collection.ids, lambda ids: collection.fetch(ids)[1:], ExactSearcher(), k=3, spare=1)


def test_vectors_of_another_dimension_are_noticed() -> None:
    collection, other = Collection(10), Collection(10, dim=8)
    graph, _ = update_graph(None, collection.ids[:5], collection.fetch, ExactSearcher(), k=3, spare=1)
    with pytest.raises(InvalidGraph, match=r"5 vectors of dimension 16 were asked for, and \(5, 8\) came"):
        update_graph(graph, collection.ids, other.fetch, ExactSearcher(), k=3, spare=1)


@pytest.mark.parametrize(("k", "spare"), [(0, 5), (5, -1)])
def test_widths_out_of_range_are_named(k: int, spare: int) -> None:
    with pytest.raises(InvalidGraph, match=f"k is {k} and spare is {spare}"):
        update_graph(None, [], lambda _: np.empty((0, 2), np.float32), ExactSearcher(), k=k, spare=spare)


def test_a_row_that_was_removed_and_came_again_with_another_vector_is_searched_anew() -> None:
    collection = Collection(400)
    graph, _ = update_graph(None, collection.ids, collection.fetch, ExactSearcher(), k=10, spare=5)
    again, untouched = collection.ids[7], collection.ids[8]
    collection.vectors[7] = collection.vectors[200]
    collection.asked.clear()
    graph, report = update_graph(
        graph, collection.ids, collection.fetch, ExactSearcher(), k=10, spare=5, doubted={again, untouched, "unknown"}
    )
    assert sorted(set(collection.asked)) == sorted([again, untouched])
    assert (report.new, report.removed, report.rebuilt) == (1, 1, False)
    fresh, _ = update_graph(None, collection.ids, collection.fetch, ExactSearcher(), k=10, spare=5)
    same_lists(graph, fresh)


def test_a_sampled_vector_that_is_another_than_was_kept_makes_the_graph_be_built_anew() -> None:
    collection = Collection(400)
    graph, _ = update_graph(None, collection.ids, collection.fetch, ExactSearcher(), k=10, spare=5)
    collection.vectors = np.roll(collection.vectors, 1, axis=0)
    collection.asked.clear()
    graph, report = update_graph(
        graph, collection.ids[:390], collection.fetch, ExactSearcher(), k=10, spare=5, vector_sample=3
    )
    assert report.rebuilt
    assert f"the vector of {min(collection.asked[:3])!r} is no longer the one that was kept" in report.reason
    assert (report.new, report.searched) == (390, 390)
    agrees(graph, collection, collection.ids[:390])


def test_each_seed_compares_other_vectors() -> None:
    collection = Collection(400)
    graph, _ = update_graph(None, collection.ids, collection.fetch, ExactSearcher(), k=10, spare=5)
    seen = []
    for seed in range(3):
        collection.asked.clear()
        _, report = update_graph(
            graph, collection.ids, collection.fetch, ExactSearcher(), k=10, spare=5, vector_sample=5, seed=seed
        )
        assert (len(collection.asked), report.searched) == (5, 0)
        seen.append(tuple(collection.asked))
    assert len(set(seen)) == 3


def test_however_many_hits_a_search_is_asked_for_no_more_are_held_at_once() -> None:
    collection = Collection(1500)
    collection.vectors[:600] = collection.vectors[0]  # copies, whose lists are unclear until all of them were found
    most = []

    def search(vectors: Array, limit: int, where: str) -> "Found":
        most.append((limit, limit * len(vectors)))
        return collection.search(vectors, limit, where)

    searcher = MilvusSearcher(search, batch_rows=500)
    graph, _ = update_graph(None, collection.ids, collection.fetch, searcher, k=10, spare=5)
    fewest = min(limit for limit, _ in most)
    assert max(limit for limit, _ in most) > 600
    assert max(hits for _, hits in most) <= 500 * fewest
    fresh, _ = update_graph(None, collection.ids, collection.fetch, ExactSearcher(), k=10, spare=5)
    same_lists(graph, fresh)


PEAK = """
import sys
import numpy as np
from tests.harness.measured import measured
from clustering.neighbours import ExactSearcher, update_graph
n = 12_000
vectors = np.random.default_rng(0).standard_normal((n, 64), np.float32)
vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
ids = [f"{row:05d}" for row in range(n)]
build = lambda rows: update_graph(
    None, ids[:rows], lambda some: vectors[: len(some)], ExactSearcher(int(sys.argv[1])), k=10, spare=5
)
build(200)
with measured() as result:
    build(n)
print(result.peak_mb)
"""


def test_the_setting_bounds_the_memory_of_the_exact_searcher() -> None:
    peaks = {}
    for memory_mb in (16, 128):
        done = subprocess.run(
            [sys.executable, "-c", PEAK, str(memory_mb)],
            capture_output=True,
            text=True,
            check=True,
            timeout=250,
            cwd=Path(__file__).parents[1],
        )
        peaks[memory_mb] = float(done.stdout)
    beside = 12_000 * (64 * 4 + 15 * 8 + 500) / 2**20  # vectors, lists, ids and the like
    assert peaks[16] < 16 + beside + 32  # what the libraries take, once
    assert peaks[128] > peaks[16] + 64  # so the block is what was measured


@pytest.mark.parametrize("k", [2.5, "2", True, None])
def test_widths_that_are_no_whole_numbers_are_named(k: Any) -> None:
    collection = Collection(10)
    with pytest.raises(InvalidGraph, match=f"k is {k!r} and spare is 1"):
        update_graph(None, collection.ids, collection.fetch, ExactSearcher(), k=k, spare=1)
    with pytest.raises(InvalidGraph, match=f"k is 1 and spare is {k!r}"):
        update_graph(None, collection.ids, collection.fetch, ExactSearcher(), k=1, spare=k)


@pytest.mark.parametrize(
    ("ids", "said"),
    [(None, "The ids are None"), ("abc", "The ids are 'abc'"), (["a", 5], "An id is 5"), ([None], "is None")],
)
def test_ids_that_are_no_list_of_texts_are_named(ids: Any, said: str) -> None:
    with pytest.raises(InvalidGraph, match=said):
        update_graph(None, ids, Collection(10).fetch, ExactSearcher(), k=1, spare=1)


@pytest.mark.parametrize("given", [None, 5, "x", [None], [1.0, 2.0]])
def test_vectors_that_are_none_are_named(given: Any) -> None:
    with pytest.raises(InvalidGraph, match="fetch_vectors gives"):
        update_graph(None, ["a"], lambda _: given, ExactSearcher(), k=1, spare=1)
