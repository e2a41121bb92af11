"""Rows smoothed over their neighbours: against the formula in plain numpy, and what must hold for any rows and lists."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustering.stories.similarity import random_pair_threshold
from clustering.stories.smoothing import smoothed
from clustering.time_damping import TimeDamping
from newstide.core.errors import InvalidGraph

Vectors = npt.NDArray[np.float32]
Lists = npt.NDArray[np.int32]


def unit(vectors: npt.NDArray[np.float64]) -> Vectors:
    rows: Vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return rows


def made(rng: np.random.Generator, n: int, k: int, dim: int = 6) -> tuple[Lists, Vectors]:
    """Rows in a few directions, and lists of others in no order, with places left empty."""
    vectors = unit(rng.standard_normal((4, dim))[rng.integers(0, 4, n)] + 0.4 * rng.standard_normal((n, dim)))
    indices = np.full((n, k), -1, np.int32)
    for row in range(n):
        others = np.delete(np.arange(n), row)
        some = rng.permutation(others)[: rng.integers(0, min(k, n - 1) + 1)]
        indices[row, rng.permutation(k)[: len(some)]] = some
    return indices, vectors


def by_the_formula(
    indices: Lists, vectors: Vectors, theta: float, days: npt.NDArray[np.float64] | None, strength: float
) -> Vectors:
    """Row by row, over all pairs, in double precision."""
    n = len(vectors)
    rows = vectors.astype(np.float64)
    listed = np.zeros((n, n), bool)
    for row in range(n):
        listed[row, indices[row][indices[row] >= 0]] = True
    weights = np.maximum(0, (rows @ rows.T - theta) / (1 - theta)) * listed
    if days is not None:
        weights *= np.exp(-np.abs(days[:, None] - days) / 2.0)
    together = rows + strength * (weights @ rows) / (1 + weights.sum(axis=1, keepdims=True))
    return unit(together)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 40),
    st.integers(1, 12),
    st.floats(-0.5, 0.9),
    st.booleans(),
    st.floats(0, 1),
)
def test_rows_are_what_the_formula_says(seed: int, n: int, k: int, theta: float, timed: bool, strength: float) -> None:
    rng = np.random.default_rng(seed)
    indices, vectors = made(rng, n, k)
    days = rng.random(n) * 5 if timed else None
    damping = None if days is None else TimeDamping(days, 0.2, 7.0)
    found = smoothed(indices, vectors, theta, damping, strength=strength)
    np.testing.assert_allclose(found, by_the_formula(indices, vectors, theta, days, strength), atol=2e-6)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 40))
def test_the_order_of_rows_and_of_lists_does_not_matter(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    indices, vectors = made(rng, n, 8)
    damping = TimeDamping(rng.random(n) * 5, 0.2, 7.0)
    order = rng.permutation(n)
    place = np.append(np.argsort(order), -1).astype(np.int32)  # the last is that of a missing neighbour
    shuffled = rng.permuted(place[indices][order], axis=1)
    found = smoothed(shuffled, vectors[order], 0.1, TimeDamping(damping.times[order], 0.2, 7.0))
    np.testing.assert_allclose(found, smoothed(indices, vectors, 0.1, damping)[order], atol=1e-6)


def test_rows_that_stand_among_others_are_smoothed_as_if_they_stood_alone() -> None:
    rng = np.random.default_rng(5)
    indices, vectors = made(rng, 200, 8)
    damping = TimeDamping(rng.random(200) * 5, 0.2, 7.0)
    among = made(rng, 350, 8)[1]
    rows = rng.permutation(350)[:200]
    among[rows] = vectors
    for theta in (0.1, 1.0):
        alone = smoothed(indices, vectors, theta, damping)
        assert smoothed(indices, among, theta, damping, rows).tobytes() == alone.tobytes()
    assert random_pair_threshold(among, 2.0, 1, rows=rows) == random_pair_threshold(vectors, 2.0, 1)
    with pytest.raises(InvalidGraph, match="200 lists for 199 rows"):
        smoothed(indices, among, 0.1, rows=rows[1:])


def test_the_same_input_gives_the_same_bits_and_is_left_as_it_was() -> None:
    indices, vectors = made(np.random.default_rng(3), 500, 10)
    before = indices.copy(), vectors.copy()
    one, two = smoothed(indices, vectors, 0.1), smoothed(indices, vectors, 0.1)
    assert one.tobytes() == two.tobytes()
    np.testing.assert_array_equal(indices, before[0])
    np.testing.assert_array_equal(vectors, before[1])


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 40))
def test_a_row_never_leaves_its_own_side(seed: int, n: int) -> None:
    """Neighbours above theta >= 0 and no longer together than the row: it turns by less than 45 degrees."""
    indices, vectors = made(np.random.default_rng(seed), n, 10)
    found = smoothed(indices, vectors, 0.0)
    assert (np.einsum("ij,ij->i", found, vectors) > 0.7).all()


def test_a_story_s_rows_come_closer_and_other_rows_stay_where_they_are() -> None:
    rng = np.random.default_rng(0)
    story = unit(np.eye(16)[0] + 0.2 * rng.standard_normal((5, 16)))
    vectors = np.concatenate([story, np.eye(16, dtype=np.float32)[8:11]])
    indices = np.array([[other for other in range(8) if other != row] for row in range(8)], np.int32)
    found = smoothed(indices, vectors, 0.5)
    closer = (found[:5] @ found[:5].T - story @ story.T)[~np.eye(5, dtype=bool)]
    assert (closer > 0).all()
    np.testing.assert_array_equal(found[5:], vectors[5:])


def test_a_neighbour_of_the_same_day_pulls_more() -> None:
    vectors = unit(np.array([[1.0, 0, 0], [0.8, 0.6, 0], [0.8, -0.6, 0]]))
    indices = np.array([[1, 2], [-1, -1], [-1, -1]], np.int32)
    days = np.array([0.0, 0.0, 3.0])
    assert smoothed(indices, vectors, 0.2, TimeDamping(days, 0.2, 7.0))[0, 1] > 0.05
    assert abs(smoothed(indices, vectors, 0.2)[0, 1]) < 1e-6
    assert abs(smoothed(indices, vectors, 0.2, TimeDamping(days, 0.0, 7.0))[0, 1]) < 1e-6


@pytest.mark.parametrize("n", [0, 1])
def test_no_row_and_one_row_stay_as_they_are(n: int) -> None:
    vectors = np.eye(4, dtype=np.float32)[:n]
    found = smoothed(np.full((n, 3), -1, np.int32), vectors, 0.2)
    np.testing.assert_array_equal(found, vectors)
    assert found is not vectors


def test_rows_without_neighbours_stay_to_the_last_bit() -> None:
    _, vectors = made(np.random.default_rng(1), 30, 5)
    np.testing.assert_array_equal(smoothed(np.full((30, 5), -1, np.int32), vectors, 0.0), vectors)
    np.testing.assert_array_equal(smoothed(np.empty((30, 0), np.int32), vectors, 0.0), vectors)


def test_copies_pull_one_another_nowhere() -> None:
    vectors = np.repeat(unit(np.array([[1.0, 2, 3]])), 4, axis=0)
    indices = np.array([[other for other in range(4) if other != row] for row in range(4)], np.int32)
    np.testing.assert_allclose(smoothed(indices, vectors, 0.2), vectors, atol=1e-7)


def test_where_even_copies_are_chance_nothing_is_smoothed() -> None:
    indices, vectors = made(np.random.default_rng(2), 20, 5)
    np.testing.assert_array_equal(smoothed(indices, vectors, 1.0), vectors)


def test_times_are_of_the_same_rows() -> None:
    indices, vectors = made(np.random.default_rng(2), 20, 5)
    with pytest.raises(InvalidGraph, match="3 times for 20 rows"):
        smoothed(indices, vectors, 0.2, TimeDamping(np.zeros(3), 0.2, 7.0))
