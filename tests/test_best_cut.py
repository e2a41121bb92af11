"""The ceiling: the cut of a tree that one would choose who knew the labels."""

from itertools import combinations

import numpy as np
import pytest

from benchmarks.best_cut import chosen_by_labels

PARENT = np.array([5, 5, 6, 6, 7, 7, 8, 8, -1], np.int32)  # ((0 1) 4) and (2 3)


def own_f1(labels: list[int], truth: list[int]) -> float:
    total = 0.0
    for row, label in enumerate(labels):
        members = [other for other in range(len(labels)) if other == row or (label >= 0 and labels[other] == label)]
        same = sum(truth[other] == truth[row] for other in members)
        total += 2 * same / (len(members) + truth.count(truth[row]))
    return total


def cuts() -> list[list[int]]:
    """Every choice of nodes none of which lies below another, as labels of the five points."""
    below = {5: {0, 1}, 6: {2, 3}, 7: {0, 1, 4}, 8: {0, 1, 2, 3, 4}}
    chosen = (nodes for count in range(4) for nodes in combinations(below, count))
    apart = (nodes for nodes in chosen if all(not below[one] & below[two] for one, two in combinations(nodes, 2)))
    return [[next((node for node in nodes if point in below[node]), -1) for point in range(5)] for nodes in apart]


@pytest.mark.parametrize("seed", range(30))
def test_no_other_cut_of_the_tree_has_a_larger_sum_of_the_rows_own_f1(seed: int) -> None:
    truth = np.random.default_rng(seed).integers(0, 3, 5)
    truth = np.unique(truth, return_inverse=True)[1]
    labels = chosen_by_labels(PARENT, np.arange(5), truth).tolist()
    best = max(own_f1(one, truth.tolist()) for one in cuts())
    assert own_f1(labels, truth.tolist()) == pytest.approx(best)


def test_copies_of_a_point_are_together_whatever_the_cut() -> None:
    labels = chosen_by_labels(PARENT, np.array([0, 0, 1, 2, 3, 4]), np.array([0, 0, 1, 2, 2, 3]))
    assert labels[0] == labels[1] >= 0
    assert labels[3] == labels[4] >= 0
    assert labels[[2, 5]].tolist() == [-1, -1]
