"""The approximate first build: true lists but for a few neighbours, and the same whatever the threads."""

from pathlib import Path

import numba
import numpy as np
import numpy.typing as npt
import pytest
from structlog.testing import capture_logs
from threadpoolctl import threadpool_limits

from clustering.neighbours import (
    CellSearcher,
    ExactSearcher,
    NeighbourGraph,
    by_cells,
    cells,
    load_graph,
    save_graph,
    update_graph,
)
from clustering.neighbours.neighbour_lists import NeighbourLists, Points, Searcher
from newstide.embedding.base import ModelCard

ROWS, DIM, K, SPARE = 3_000, 32, 15, 5


@pytest.fixture(scope="module")
def vectors() -> npt.NDArray[np.float32]:
    rng = np.random.default_rng(7)
    around = rng.standard_normal((200, DIM))[rng.integers(0, 200, ROWS)] + 0.6 * rng.standard_normal((ROWS, DIM))
    found: npt.NDArray[np.float32] = (around / np.linalg.norm(around, axis=1, keepdims=True)).astype(np.float32)
    return found


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells, "_ROWS_A_CELL", 50)
    monkeypatch.setattr(by_cells, "_COMPARED_WITH_ALL", 1_000)
    monkeypatch.setattr(by_cells, "_LATER_CELLS", 8)
    monkeypatch.setattr(by_cells, "_FIRST_CELLS", 1)
    monkeypatch.setattr(by_cells, "_SAMPLE", 200)


def built(
    vectors: npt.NDArray[np.float32], searcher: Searcher, previous: NeighbourGraph | None = None
) -> NeighbourGraph:
    ids = [f"{row:06d}" for row in range(len(vectors))]
    return update_graph(
        previous, ids, lambda some: vectors[[int(name) for name in some]], searcher, k=K, spare=SPARE, recall_floor=0
    )[0]


def recall(one: NeighbourGraph, true: NeighbourGraph) -> float:
    return float(np.mean([np.isin(a, b).mean() for a, b in zip(true.indices, one.indices, strict=True)]))


@pytest.mark.parametrize("gain", [0.002, 1.0])
def test_neighbours_are_followed_and_cells_added_until_the_lists_of_a_sample_are_true(
    vectors: npt.NDArray[np.float32], monkeypatch: pytest.MonkeyPatch, gain: float
) -> None:
    monkeypatch.setattr(by_cells, "_GAIN", gain)
    with capture_logs() as logged:
        found = built(vectors, CellSearcher(width=K))
    assert [entry["looked_into"] for entry in logged] == [2**step for step in range(len(logged))]
    assert all(entry["recall"] < 0.98 for entry in logged[:-1])
    assert len(logged) > 1 or gain < 1
    assert (max(entry["passes"] for entry in logged) > 1) == (gain < 1)
    assert recall(found, built(vectors, ExactSearcher())) >= 0.975
    assert not found.exact


def test_in_all_cells_the_lists_are_those_of_the_exact_searcher(
    vectors: npt.NDArray[np.float32], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(by_cells, "_FIRST_CELLS", 10_000)
    found, true = built(vectors, CellSearcher()), built(vectors, ExactSearcher())
    assert np.array_equal(found.wide_indices, true.wide_indices)
    assert np.array_equal(found.wide_similarities, true.wide_similarities)


def test_lists_are_the_same_whatever_the_threads(vectors: npt.NDArray[np.float32]) -> None:
    before = built(vectors[:-100], CellSearcher(width=K))
    with threadpool_limits(2):
        found = built(vectors, CellSearcher(width=K))
        later = built(vectors, CellSearcher(width=K), before)
    threads = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        with threadpool_limits(1):
            alone = built(vectors, CellSearcher(width=K))
            later_alone = built(vectors, CellSearcher(width=K), before)
    finally:
        numba.set_num_threads(threads)
    assert np.array_equal(found.wide_indices, alone.wide_indices)
    assert np.array_equal(later.wide_indices, later_alone.wide_indices)


@pytest.mark.parametrize(("all_below", "least"), [(10_000, 1.0), (1_000, 0.98)])
def test_rows_that_come_later_find_their_lists_and_their_places_in_the_lists_of_others(
    vectors: npt.NDArray[np.float32], monkeypatch: pytest.MonkeyPatch, all_below: int, least: float
) -> None:
    monkeypatch.setattr(by_cells, "_COMPARED_WITH_ALL", all_below)
    before = built(vectors[:-100], CellSearcher(width=K))
    found, true = built(vectors, CellSearcher(width=K), before), built(vectors, ExactSearcher())
    hit = [np.isin(a, b).mean() for a, b in zip(true.indices[-100:], found.indices[-100:], strict=True)]
    assert np.mean(hit) >= least
    new = np.arange(ROWS - 100, ROWS)
    listed = [a[np.isin(a, new)] for a in true.indices[:-100]]
    kept = [np.isin(own, b).sum() for own, b in zip(listed, found.indices, strict=False)]
    assert sum(map(len, listed)) > 500
    assert sum(kept) >= min(least, 0.99) * sum(map(len, listed))


def test_cells_are_kept_on_disk_and_found_anew_once_most_rows_came_later(
    vectors: npt.NDArray[np.float32], tmp_path: Path
) -> None:
    path, card = tmp_path / "graph.bin", ModelCard("m", DIM, "f")
    ids = [f"{row:06d}" for row in range(ROWS)]
    fetch = lambda some: vectors[[int(name) for name in some]]  # noqa: E731
    graph: NeighbourGraph | None = None
    later = []
    for first in range(0, 1_200, 120):
        graph, report = update_graph(
            graph, ids[first : first + 1_500], fetch, CellSearcher(width=5), k=5, spare=15, recall_floor=0
        )
        assert report.rebuilt == (first == 0)
        save_graph(path, graph, card)
        kept = load_graph(path, card).cells
        assert kept is not None
        assert graph.cells is not None
        assert np.array_equal(kept.of_row, graph.cells.of_row)
        assert np.array_equal(kept.centres, graph.cells.centres)
        assert (kept.of_row >= 0).all()
        later.append(kept.later)
    assert later == [0, 120, 240, 360, 480, 600, 720, 840, 0, 120]


def test_a_rows_cells_are_the_nearest_centres_the_smaller_number_first_among_equals() -> None:
    rng = np.random.default_rng(1)
    centres = rng.standard_normal((40, DIM)).astype(np.float32)
    centres[7] = centres[31]
    rows = np.concatenate([centres[[7, 31]], rng.standard_normal((300, DIM)).astype(np.float32)])
    found = cells._nearest_cells(rows, centres, 5)
    exact = rows.astype(np.float64) @ centres.T.astype(np.float64)
    assert np.array_equal(found, np.argsort(-exact, axis=1, kind="stable")[:, :5])
    assert found[:2, 0].tolist() == [7, 7]


def test_what_all_rows_have_in_common_does_not_draw_them_into_few_cells(vectors: npt.NDArray[np.float32]) -> None:
    shifted = vectors + 3 * vectors[0]
    shifted /= np.linalg.norm(shifted, axis=1, keepdims=True)
    sizes = [
        np.sort(np.bincount(cells.Cells.found(some, 1, 1)[0].of_row))
        for some in (vectors, np.ascontiguousarray(shifted))
    ]
    assert sizes[1][-5:].sum() < 1.5 * sizes[0][-5:].sum()


def test_a_pass_finds_the_best_of_what_is_listed_by_the_listed_and_by_who_lists_a_row(
    vectors: npt.NDArray[np.float32],
) -> None:
    n, width = 300, 6
    points = Points.of([str(row) for row in range(n)], vectors[:n])
    listed = np.stack([np.random.default_rng(row).choice(np.delete(np.arange(n), row), width) for row in range(n)])
    lists = NeighbourLists.empty(n, width)
    cosines = vectors[:n].astype(np.float64) @ vectors[:n].T
    for row, own in enumerate(listed.tolist()):
        for place, other in enumerate(sorted(dict.fromkeys(own), key=lambda other: (-cosines[row, other], other))):
            lists.indices[row, place], lists.similarities[row, place] = other, cosines[row, other]
            lists.lengths[row] = place + 1
    before, met = lists.indices.copy(), np.zeros((n, width), np.bool_)
    listing, starts = by_cells._listing(before, met)
    by_cells._follow(np.arange(n, dtype=np.int32), before, met, listing, starts, points.arrays, lists.arrays)
    for row in range(n):
        who_lists = np.flatnonzero((before == row).any(axis=1))
        assert listing[starts[row] : starts[row + 1]].tolist() == who_lists.tolist()
        seen = {*before[row], *before[before[row][before[row] >= 0]].ravel(), *who_lists} - {-1, row}
        best = sorted(seen, key=lambda other, row=row: (-cosines[row, other], other))[:width]  # type: ignore[misc]
        assert lists.indices[row].tolist() == best
    by_cells._mark_met(before, met, lists.indices)
    assert met.tolist() == [np.isin(now, was).tolist() for now, was in zip(lists.indices, before, strict=True)]
    rest, ends = by_cells._listing(lists.indices, met)
    new = [
        [other for other, known in zip(*both, strict=True) if not known]
        for both in zip(lists.indices, met, strict=True)
    ]
    assert len(rest) == ends[-1] == sum(map(len, new))
