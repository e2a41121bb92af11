"""The map of more rows than a page draws: as many are laid out, the others are placed among them."""

import numpy as np
import pytest
from sklearn.manifold import trustworthiness

from clustering.map.bounded import Map, lay_out_some, lists_among
from clustering.map.layout import Layout
from clustering.neighbours import NeighbourGraph
from newstide.core.settings import LayoutSettings
from tests.test_layout import Ids, Vectors, make_ids, make_vectors, neighbours

SETTINGS = LayoutSettings()
ROWS, DRAWN = 1_200, 400


@pytest.fixture(scope="module")
def vectors() -> Vectors:
    return make_vectors(ROWS)


def mapped(vectors: Vectors, ids: Ids, wanted: object, previous: Layout | None = None) -> Map:
    wide, alike = neighbours(vectors, 40)
    rows = np.asarray(wanted, np.int64)
    return lay_out_some(NeighbourGraph(ids, vectors, wide, alike, 30), rows, previous, settings=SETTINGS)


@pytest.fixture(scope="module")
def first(vectors: Vectors) -> Map:
    """Every third row is drawn."""
    return mapped(vectors, make_ids(0, ROWS), np.arange(0, ROWS, 3))


def test_as_many_rows_are_laid_out_as_are_drawn_and_the_others_lie_among_their_neighbours(
    vectors: Vectors, first: Map
) -> None:
    assert first.layout.ids.tolist() == [f"id-{row}" for row in range(0, ROWS, 3)]
    assert np.array_equal(first.positions[::3], first.layout.positions)
    assert np.isfinite(first.positions).all()
    assert trustworthiness(vectors, first.positions, n_neighbors=10, metric="cosine") > 0.85


def test_what_was_laid_out_stays_so_until_it_leaves_whatever_is_drawn_then(vectors: Vectors, first: Map) -> None:
    later = mapped(vectors[30:], make_ids(30, ROWS), np.arange(1, ROWS - 30, 3)[:DRAWN], first.layout)
    before, now = set(first.layout.ids), set(later.layout.ids)
    assert before - now == {f"id-{row}" for row in range(0, 30, 3)}
    assert len(now) == 390
    place = {id_: row for row, id_ in enumerate(first.layout.ids)}
    both = [(row, place[id_]) for row, id_ in enumerate(later.layout.ids) if id_ in place]
    here, there = (list(some) for some in zip(*both, strict=True))
    assert np.array_equal(later.layout.positions[here], first.layout.positions[there])  # nothing new was laid out


def test_rows_that_are_drawn_take_the_places_of_those_that_left(vectors: Vectors, first: Map) -> None:
    later = mapped(vectors[30:], make_ids(30, ROWS), np.arange(0, DRAWN), first.layout)
    assert len(later.layout.ids) == DRAWN
    assert sum(id_ in set(first.layout.ids) for id_ in later.layout.ids) == 390
    assert later.layout.drift == pytest.approx(10 / DRAWN)


def test_where_all_rows_are_drawn_all_are_laid_out(vectors: Vectors) -> None:
    found = mapped(vectors[:200], make_ids(0, 200), np.arange(200))
    assert found.positions is found.layout.positions


def test_nearest_among_some_rows_are_found_through_the_lists_of_all(vectors: Vectors) -> None:
    rows = np.arange(0, ROWS, 3)
    wide, cosines = neighbours(vectors, 40)
    lists, alike = lists_among(rows, wide, cosines, vectors[rows], 15)
    true, cosines = neighbours(vectors[rows], 15)
    recall = np.mean([np.isin(one, other).mean() for one, other in zip(true, lists, strict=True)])
    assert recall > 0.98
    assert (np.diff(alike, axis=1) <= 0).all()
    assert np.allclose(alike[:, 0], cosines[:, 0], atol=1e-5)


@pytest.mark.parametrize(("width", "k"), [(40, 5), (12, 8)], ids=["own lists are enough", "others' lists are needed"])
def test_lists_among_some_rows_are_those_of_a_search_of_what_is_listed(vectors: Vectors, width: int, k: int) -> None:
    rows = np.sort(np.random.default_rng(0).permutation(ROWS)[:DRAWN])
    wide, cosines = neighbours(vectors, width)
    lists, alike = lists_among(rows, wide, cosines, vectors[rows], k)
    products = vectors[rows].astype(np.float64) @ vectors[rows].astype(np.float64).T
    for own, row in enumerate(rows):
        listed = {*wide[row].tolist(), *wide[wide[row]].ravel().tolist()} - {row}
        some = [at for at, other in enumerate(rows) if other in listed]
        nearest = sorted(some, key=lambda at: (-products[own, at], at))[:k]
        there = lists[own][lists[own] >= 0].tolist()
        assert there == nearest
        assert np.allclose(alike[own][: len(there)], products[own, there], atol=1e-6)
        assert (alike[own][len(there) :] == -1).all()


def test_rows_without_listed_neighbours_among_the_drawn_have_empty_lists() -> None:
    lists = np.array([[1], [0], [3], [2]], np.int32)
    lists, alike = lists_among(np.array([0, 3]), lists, np.ones((4, 1), "f4"), np.eye(2, 3, dtype="f4"), 2)
    assert lists.tolist() == [[-1, -1], [-1, -1]]
    assert alike.tolist() == [[-1, -1], [-1, -1]]
