"""What was a story in the last run stays one where that is as good."""

import numpy as np
import numpy.typing as npt
import pytest

from clustering.stories.leaf_order import leaf_order
from clustering.stories.reattach import reattached
from clustering.stories.selection import select_calibrated
from clustering.stories.story_bonus import resemblance
from clustering.time_damping import TimeDamping
from clustering.tree import build_hierarchy

Numbers = npt.NDArray[np.int64]
Vectors = npt.NDArray[np.float32]


def unit(rows: npt.ArrayLike) -> Vectors:
    vectors = np.asarray(rows, np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def at_angles(*degrees: float) -> Vectors:
    angles = np.radians(degrees)
    return np.stack((np.cos(angles), np.sin(angles)), axis=1).astype(np.float32)


def tree_of(vectors: Vectors) -> npt.NDArray[np.int32]:
    similarity = vectors @ vectors.T
    np.fill_diagonal(similarity, -np.inf)
    nearest = np.argsort(-similarity, axis=1)[:, :-1].astype(np.int32)
    distances = np.sqrt(np.maximum(0, 2 - 2 * np.take_along_axis(similarity, nearest, axis=1)))
    return build_hierarchy(nearest, distances, min_samples=1, vectors=vectors).parent


@pytest.mark.parametrize("seed", range(20))
def test_resemblance_is_the_jaccard_index_with_the_story_that_has_most_of_a_node(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 60))
    parent = tree_of(unit(rng.standard_normal((n, 4)).round(1) + 0.01))
    stories = rng.integers(-1, max(1, n // 6), n)
    leaves = leaf_order(parent, n)
    jaccard, size = resemblance(parent, leaves, stories)
    for node in range(n, len(parent)):
        members = leaves.order[leaves.first[node] : leaves.last[node]]
        best, best_size = 0.0, 0
        for story in set(stories.tolist()) - {-1}:
            shared = int((stories[members] == story).sum())
            among = int((stories[members] >= 0).sum()) + int((stories == story).sum()) - shared
            if shared / among > 0.5:
                best, best_size = shared / among, int((stories == story).sum())
        assert (jaccard[node - n], size[node - n]) == (pytest.approx(best), best_size)


def test_of_two_choices_that_are_as_good_the_one_that_was_is_kept() -> None:
    vectors = at_angles(0, 20, 43, 63)  # two pairs that could as well be one story
    parent = tree_of(vectors)

    def chosen(stories: list[int], inertia: float) -> list[int]:
        found = select_calibrated(parent, vectors, theta=0.63, stories=np.array(stories), inertia=inertia)
        return [int(label) for label in found.labels]

    together, apart = [0, 0, 0, 0], [0, 0, 1, 1]
    assert chosen(together, 0.1) == together
    assert chosen(apart, 0.1) == apart
    assert chosen(apart, 0.0) == chosen(together, 0.0) == chosen([-1] * 4, 0.1)


def test_a_headline_that_no_cluster_takes_in_any_more_stays_while_it_belongs() -> None:
    vectors = at_angles(0, 5, 10, 40, 80, 170)
    labels = np.array([0, 0, 0, -1, -1, -1])
    stories = np.array([7, 7, 7, 7, 7, -1])
    assert reattached(labels, stories, vectors, theta=0.7).tolist() == [0, 0, 0, 0, -1, -1]


def test_a_story_that_no_cluster_is_left_of_stays_while_its_headlines_are_alike() -> None:
    vectors = at_angles(0, 10, 90, 100, 180, 250)
    labels = np.array([0, 0, -1, -1, -1, -1])
    stories = np.array([3, 3, 5, 5, 9, 9])
    assert reattached(labels, stories, vectors, theta=0.7).tolist() == [0, 0, 1, 1, -1, -1]


def test_fewer_headlines_than_a_cluster_needs_do_not_stay_one() -> None:
    vectors = at_angles(0, 10, 90, 100, 95)
    stories = np.array([3, 3, 5, 5, 5])
    none = np.full(5, -1)
    assert reattached(none, stories, vectors, theta=0.7, min_size=3).tolist() == [-1, -1, 0, 0, 0]


def test_a_pair_that_was_a_story_is_none_where_a_cluster_needs_three() -> None:
    vectors = at_angles(0, 10, 90, 100)
    stories = np.array([0, 0, 1, 1])
    chosen = select_calibrated(tree_of(vectors), vectors, theta=0.9, min_size=3, stories=stories, inertia=5.0)
    assert chosen.labels.tolist() == [-1] * 4


@pytest.mark.parametrize("seed", range(10))
def test_who_stays_is_decided_by_the_mean_over_all_pairs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = 60
    vectors = unit(rng.standard_normal((n, 3)))
    labels, stories = rng.integers(-1, 3, n), rng.integers(-1, 5, n)
    labels[stories == 4] = -1
    days = rng.integers(0, 9, n).astype(np.float64)
    theta, weight, scale = 0.1, 0.3, 5.0
    pairs = vectors.astype(np.float64) @ vectors.T - weight * (1 - np.exp(-abs(days[:, None] - days) / scale))
    expected = labels.copy()
    for story in range(5):
        lost = np.flatnonzero((labels < 0) & (stories == story))
        holders = labels[(labels >= 0) & (stories == story)]
        if len(holders):
            heir = int(np.bincount(holders).argmax())
            stay = lost[pairs[np.ix_(lost, labels == heir)].mean(axis=1) >= theta]
            expected[stay] = heir
        elif len(lost) > 1:
            block = pairs[np.ix_(lost, lost)]
            if (block.sum() - np.trace(block)) / (len(lost) * (len(lost) - 1)) >= theta:
                expected[lost] = labels.max() + 1
    found = reattached(labels, stories, vectors, theta, damping=TimeDamping(days, weight, scale))
    assert found.tolist() == expected.tolist()


def test_staying_is_damped_by_distance_in_time_as_everything_is() -> None:
    vectors = at_angles(0, 5, 40)
    labels, stories = np.array([0, 0, -1]), np.array([1, 1, 1])
    days = np.array([0.0, 0.0, 30.0])
    alone = reattached(labels, stories, vectors, 0.7, damping=TimeDamping(days, 0.2, 7.0))
    assert alone.tolist() == [0, 0, -1]
    assert reattached(labels, stories, vectors, 0.7).tolist() == [0, 0, 0]
