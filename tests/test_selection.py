"""Similarity, its threshold, and the calibrated selection of clusters, against brute force."""

from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster.hierarchy import linkage

from clustering.stories.leaf_order import leaf_order
from clustering.stories.selection import select_calibrated
from clustering.stories.similarity import collapse_titles, random_pair_threshold, reweigh, to_distance
from clustering.stories.time_decay import pair_closeness
from clustering.time_damping import TimeDamping
from newstide.core.errors import InvalidGraph
from newstide.core.language_means import centre, language_means

Vectors = npt.NDArray[np.float32]


def unit(rows: int, dim: int, seed: int) -> Vectors:
    vectors = np.random.default_rng(seed).normal(size=(rows, dim)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def tree(vectors: Vectors) -> npt.NDArray[np.int32]:
    """Parents of scipy's average linkage."""
    n = len(vectors)
    parent = np.full(2 * n - 1, -1, np.int32)
    for node, (a, b, _, _) in enumerate(linkage(vectors, "average"), n):
        parent[int(a)] = parent[int(b)] = node
    return parent


def members(parent: npt.NDArray[np.int32], n: int) -> list[set[int]]:
    below: list[set[int]] = [{row} if row < n else set() for row in range(len(parent))]
    for node, above in enumerate(parent):
        if above >= 0:
            below[above] |= below[node]
    return below


def worth(rows: set[int], similarity: npt.NDArray[np.float64], theta: float, exponent: float) -> float:
    some = sorted(rows)
    block = similarity[np.ix_(some, some)]
    size = len(some)
    mean = (block.sum() - np.trace(block)) / (size * (size - 1))
    return float((mean - theta) * size**exponent)


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 9), st.integers(0, 10_000), st.floats(-0.2, 0.6), st.sampled_from([1.0, 1.5, 2.0]))
def test_the_selection_is_the_best_of_all_disjoint_choices(n: int, seed: int, theta: float, exponent: float) -> None:
    vectors = unit(n, 3, seed)
    parent = tree(vectors)
    below = members(parent, n)
    similarity = (vectors.astype(np.float64) @ vectors.T).astype(np.float64)
    best = 0.0
    for choice in product([False, True], repeat=n - 1):
        nodes = [below[n + number] for number, taken in enumerate(choice) if taken]
        if sum(map(len, nodes)) == len(set().union(*nodes)):
            best = max(best, sum(worth(rows, similarity, theta, exponent) for rows in nodes))
    chosen = select_calibrated(parent, vectors, theta, exponent=exponent)
    found = sum(worth(below[node], similarity, theta, exponent) for node in chosen.nodes)
    assert found == pytest.approx(best, abs=1e-4)
    for cluster, node in enumerate(chosen.nodes):
        assert set(np.flatnonzero(chosen.labels == cluster)) == below[node]
        assert chosen.similarity[cluster] == pytest.approx(
            worth(below[node], similarity, 0, 1) / len(below[node]), abs=1e-4
        )
    assert ((chosen.probabilities >= 0) & (chosen.probabilities <= 1)).all()
    assert not chosen.probabilities[chosen.labels < 0].any()


def test_the_time_term_parts_what_lies_far_apart_in_time() -> None:
    vectors = np.repeat(unit(1, 8, 0), 6, axis=0) + 0.05 * unit(6, 8, 1)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    days = np.array([0.0, 0.1, 0.2, 60.0, 60.1, 60.2])
    # A tree that joins by time first: {0,1,2}, {3,4,5}, all.
    parent = np.array([6, 6, 6, 7, 7, 7, 8, 8, -1], np.int32)
    together = select_calibrated(parent, vectors, 0.85)
    apart = select_calibrated(parent, vectors, 0.85, damping=TimeDamping(days, 0.4, 3.0))
    assert set(together.labels) == {0}
    assert apart.labels.tolist() == [0, 0, 0, 1, 1, 1]


def test_nothing_to_choose_from_is_no_cluster() -> None:
    for n in (0, 1):
        chosen = select_calibrated(np.full(n, -1, np.int32), unit(n, 4, 0), 0.5)
        assert chosen.labels.tolist() == [-1] * n


def test_a_tree_over_other_rows_is_refused() -> None:
    with pytest.raises(InvalidGraph, match="2 nodes"):
        select_calibrated(np.array([1, -1], np.int32), unit(3, 4, 0), 0.5)


def test_theta_follows_random_pairs_and_leaves_copies_out() -> None:
    vectors = unit(2_000, 64, 3)
    threshold = random_pair_threshold(vectors, 2.0, seed=1)
    assert threshold.mean == pytest.approx(0, abs=0.01)
    assert threshold.theta == pytest.approx(2 / np.sqrt(64), abs=0.01)
    copies = random_pair_threshold(np.concatenate([vectors[:500]] * 4), 2.0, seed=1)
    assert copies.theta == pytest.approx(threshold.theta, abs=0.01)


@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_theta_of_few_rows_is_a_number(n: int) -> None:
    assert -1 <= random_pair_threshold(unit(n, 4, 0), 2.0, seed=1).theta <= 1


def test_two_stories_alone_are_told_apart() -> None:
    first, second = unit(2, 16, 5)
    vectors = np.concatenate([first + 0.1 * unit(5, 16, 6), second + 0.1 * unit(5, 16, 7)])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    chosen = select_calibrated(tree(vectors), vectors, random_pair_threshold(vectors, 2.0, seed=1).theta)
    assert chosen.labels.tolist() == [0] * 5 + [1] * 5


def test_titles_that_differ_in_case_and_punctuation_are_one_point() -> None:
    first, points = collapse_titles(["Rates held", "RATES HELD!", "Rates  held…", "Rates cut", "!!!", "???", "!!!"])
    assert first.tolist() == [0, 3, 4, 5, 6]
    assert points.tolist() == [0, 0, 0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("अमेरिका की सेना", "अमेरिका का सेना"),
        ("ปากี", "ปากา"),
        ("தமிழ் கதை", "தமிழ் கதா"),
        ("Cafe\u0301", "Cafe"),
    ],
)
def test_titles_that_differ_in_a_mark_alone_are_two_points(one: str, other: str) -> None:
    assert collapse_titles([one, other, f"«{one}»!", f"{other}_"])[1].tolist() == [0, 1, 0, 1]


def test_lines_below_and_invisible_joiners_part_no_titles() -> None:
    titles = ["می\u200cخواهد", "میخواهد", "snake_case", "snake case", "a\tb", "A B"]
    assert collapse_titles(titles)[1].tolist() == [0, 0, 1, 1, 2, 2]


def test_edges_are_weighed_by_cosine_less_distance_in_time() -> None:
    vectors = unit(4, 5, 0)
    indices = np.array([[1, 2], [0, -1], [3, 0], [2, -1]], np.int32)
    days = np.array([0.0, 1.0, 2.0, 30.0])
    found = reweigh(indices, vectors, TimeDamping(days, 0.2, 7.0))
    assert found[1, 1] == -np.inf
    assert found[2, 0] == pytest.approx(vectors[2] @ vectors[3] + 0.2 * (np.exp(-28 / 7) - 1), abs=1e-6)
    assert reweigh(indices, vectors)[0, 1] == pytest.approx(vectors[0] @ vectors[2], abs=1e-6)
    assert to_distance(np.array([1.0, 0.5, -np.inf], np.float32)).tolist() == [0.0, 1.0, np.inf]


def test_centring_takes_a_language_s_mean_away_and_spares_the_unknown() -> None:
    region = unit(2, 32, 8)
    vectors = np.concatenate([region[0] + 0.5 * unit(200, 32, 9), region[1] + 0.5 * unit(200, 32, 10)])
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    languages = ["de"] * 200 + ["fr-CA"] * 200
    means = language_means(vectors, languages)
    centred = centre(vectors, languages, means)
    assert set(means.by_language) == {"de", "fr"}
    assert np.linalg.norm(centred, axis=1) == pytest.approx(1, abs=1e-5)
    assert abs((vectors[:200] @ vectors[:200].T).mean()) > 0.5
    assert abs((centred[:200] @ centred[:200].T).mean()) < 0.05
    stranger = centre(vectors[:1], ["xx"], means)
    assert stranger[0] @ (vectors[0] - means.overall) / np.linalg.norm(vectors[0] - means.overall) == pytest.approx(1)


def test_the_only_row_keeps_its_direction() -> None:
    vectors = unit(1, 8, 0)
    assert centre(vectors, ["en"], language_means(vectors, ["en"])) == pytest.approx(vectors)


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 12), st.integers(0, 10_000), st.sampled_from([0.5, 3.0, 40.0]))
def test_closeness_in_time_is_the_mean_over_all_pairs(n: int, seed: int, scale: float) -> None:
    parent = tree(unit(n, 3, seed))
    days = np.random.default_rng(seed).integers(0, 8, n).astype(np.float64)
    found = pair_closeness(parent, leaf_order(parent, n), days, scale)
    for node, rows in enumerate(members(parent, n)[n:]):
        some = days[sorted(rows)]
        close = np.exp(-abs(some[:, None] - some) / scale)[np.triu_indices(len(some), 1)]
        assert found[node] == pytest.approx(close.mean())


def test_a_chain_of_thousands_and_a_node_of_thousands_are_chosen_from_alike() -> None:
    n = 5_000
    vectors = (unit(1, 48, 0) + 0.05 * unit(n, 48, 1)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    days = np.linspace(0, 1, n)
    chain = np.concatenate([[n], np.arange(n, 2 * n - 1), np.arange(n + 1, 2 * n - 1), [-1]]).astype(np.int32)
    star = np.append(np.full(n, n), -1).astype(np.int32)
    for parent in (chain, star):
        chosen = select_calibrated(parent, vectors, 0.3, damping=TimeDamping(days, 0.2, 7.0))
        assert set(chosen.labels) == {0}
        close = np.exp(-abs(days[:, None] - days) / 7.0)[np.triu_indices(n, 1)].mean()
        alike = ((vectors.sum(0, dtype=np.float64) ** 2).sum() - n) / (n * (n - 1))
        assert chosen.similarity[0] == pytest.approx(alike + 0.2 * (close - 1), abs=1e-6)
        assert chosen.probabilities.max() == 1


def test_a_tree_whose_parents_come_before_their_children_is_refused() -> None:
    with pytest.raises(InvalidGraph, match="has the parent 1"):
        select_calibrated(np.array([3, 3, 1, -1], np.int32), unit(3, 4, 0), 0.5)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"theta": np.nan}, "theta is nan"),
        ({"theta": "fail"}, "theta is 'fail'"),
        ({"exponent": np.inf}, "exponent is inf"),
        ({"inertia": np.nan}, "inertia is nan"),
        ({"min_size": 1}, "min_size is 1"),
        ({"min_size": 2.0}, "min_size is 2.0"),
        ({"stories": np.zeros(3, np.int64)}, "3 stories of the last run for 2 rows"),
    ],
)
def test_an_argument_out_of_range_is_named(change: dict[str, Any], named: str) -> None:
    arguments: dict[str, Any] = {
        "parent": np.array([2, 2, -1], np.int32),
        "vectors": unit(2, 5, 0),
        "theta": 0.3,
        **change,
    }
    with pytest.raises(InvalidGraph, match=named):
        select_calibrated(**arguments)
