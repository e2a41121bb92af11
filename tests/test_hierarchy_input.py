"""What the tree does with input of which little or no tree can be made."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from clustering.stories.selection import select_calibrated
from clustering.stories.smoothing import smoothed
from clustering.time_damping import TimeDamping
from clustering.tree import build_hierarchy, cluster_neighbours
from clustering.tree.tutorial import tutorial_labels
from newstide.core.errors import InvalidGraph

Array = npt.NDArray[Any]


def ring(n: int, k: int = 3) -> tuple[Array, Array]:
    indices = (np.arange(n)[:, None] + np.arange(1, k + 1)) % n
    return indices.astype(np.int32), np.broadcast_to(np.arange(1, k + 1) / 10, (n, k)).copy()


@pytest.mark.parametrize(("value", "shown"), [(np.nan, "nan"), (np.inf, "inf"), (-0.5, "-0.5")])
def test_a_distance_that_is_none_is_named(value: float, shown: str) -> None:
    indices, distances = ring(20)
    distances[7, 1] = value
    with pytest.raises(InvalidGraph, match=f"Row 7 has distance {shown} to row 9"):
        build_hierarchy(indices, distances)


def test_a_missing_neighbour_may_have_any_distance() -> None:
    indices, distances = ring(20)
    indices[7, 1], distances[7, 1] = -1, np.nan
    assert len(build_hierarchy(indices, distances).edges) == 19


@pytest.mark.parametrize("value", [20, -2])
def test_a_row_number_out_of_range_is_named(value: float) -> None:
    indices, distances = ring(20)
    indices[3, 0] = value
    with pytest.raises(InvalidGraph, match=f"Row 3 names {value} as a neighbour, and there are 20 rows"):
        build_hierarchy(indices, distances)


def test_lists_of_two_shapes_are_refused() -> None:
    with pytest.raises(InvalidGraph, match=r"\(20, 3\) with distances of shape \(20, 2\)"):
        build_hierarchy(ring(20)[0], ring(20, 2)[1])


def test_lists_whose_rows_have_different_lengths_are_refused() -> None:
    with pytest.raises(InvalidGraph, match="Neighbour lists are no array"):
        build_hierarchy([[1, 2], [0]], [[0.1, 0.2], [0.1]])


@pytest.mark.parametrize("value", [None, "x", 5, [[1, 2]], np.ones(3), np.full((20, 2), "x"), np.full((20, 2), None)])
def test_arrays_of_another_kind_are_named_by_each_step(value: Any) -> None:
    lists, vectors = np.zeros((20, 2), np.int32), np.eye(20, dtype=np.float32)
    parents = np.full(20, -1, np.int32)
    calls: dict[str, Callable[[], object]] = {
        "Neighbour lists": lambda: smoothed(value, vectors, 0.1),
        "Vectors": lambda: smoothed(lists, value, 0.1),
        "A tree's parents": lambda: select_calibrated(value, vectors, 0.1),
        "Stories": lambda: select_calibrated(parents, vectors, 0.1, stories=value),
        "Similarities": lambda: tutorial_labels(lists, value),
    }
    for named, call in calls.items():
        if value is None and named == "Stories":
            continue
        with pytest.raises(InvalidGraph, match=f"{named} are "):
            call()


def test_row_numbers_that_are_no_integers_are_refused() -> None:
    with pytest.raises(InvalidGraph, match="float64"):
        build_hierarchy(ring(20)[0].astype(float), ring(20)[1])


def test_fewer_neighbours_than_min_samples_are_refused() -> None:
    with pytest.raises(InvalidGraph, match="min_samples is 4, and the lists hold 3 neighbours"):
        build_hierarchy(*ring(20), min_samples=4)


def test_as_many_neighbours_as_min_samples_do() -> None:
    tree = build_hierarchy(*ring(20), min_samples=3)
    assert (tree.core == 0.2).all()  # two rows on either side, at .1 and at .2
    assert len(tree.edges) == 19


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"min_samples": 0}, "min_samples is 0"),
        ({"min_cluster_size": 1}, "min_cluster_size is 1"),
        ({"min_samples": "fail"}, "min_samples is 'fail'"),
        ({"min_samples": 2.5}, "min_samples is 2.5"),
        ({"min_samples": True}, "min_samples is True"),
        ({"min_samples": None}, "min_samples is None"),
        ({"min_cluster_size": "3"}, "min_cluster_size is '3'"),
        ({"memory_mb": 0}, "memory_mb is 0"),
        ({"vectors": np.full((20, 2), "x")}, "Vectors of type <U1"),
        ({"vectors": [[1.0, 2.0], [3.0]]}, "Vectors are no array"),
        ({"selection": "best"}, "'best'"),
        ({"selection": np.array(["eom", "leaf"])}, "The selection is array"),
        ({"damping": [1.0, 2.0]}, r"The damping is \[1.0, 2.0\]"),
        ({"vectors": np.ones((19, 2), np.float32)}, "19 vectors for 20 rows"),
        ({"vectors": np.ones(20, np.float32)}, r"shape \(20,\)"),
        (
            {"vectors": np.ones((20, 2), np.float32), "damping": TimeDamping(np.ones(3), 0.2, 7.0)},
            "3 times for 20 rows",
        ),
    ],
)
def test_parameters_out_of_range_are_named(arguments: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidGraph, match=named):
        cluster_neighbours(*ring(20), **arguments)


@pytest.mark.parametrize(
    ("times", "weight", "scale", "named"),
    [
        (np.full(20, np.nan), 0.2, 7.0, "Row 0 has the time nan"),
        (np.zeros(20), 0.2, 0.0, "scale of the damping by time is 0.0"),
        (np.zeros(20), -0.1, 7.0, "weight of the damping by time is -0.1"),
        (np.zeros(20), np.nan, 7.0, "weight of the damping by time is nan"),
        (np.zeros(20), "fail", 7.0, "weight of the damping by time is 'fail'"),
        (np.zeros(20), 0.2, None, "scale of the damping by time is None"),
        (np.zeros((20, 2)), 0.2, 7.0, r"the shape \(20, 2\)"),
        (["soon"] * 20, 0.2, 7.0, "'soon'"),
        ([10**400] * 20, 0.2, 7.0, "The times are"),
    ],
)
def test_a_damping_by_time_names_what_it_cannot_be_made_of(times: Any, weight: Any, scale: Any, named: str) -> None:
    with pytest.raises(InvalidGraph, match=named):
        TimeDamping(times, weight, scale)


@pytest.mark.parametrize(("value", "shown"), [(np.nan, "nan"), (np.inf, "inf"), (-np.inf, "-inf")])
def test_a_vector_that_is_not_finite_is_named_where_components_are_joined_by_it(value: float, shown: str) -> None:
    indices, distances = ring(10)
    apart = np.concatenate((indices, indices + 10)), np.concatenate((distances, distances))
    vectors = np.ones((20, 2), np.float32)
    vectors[13, 1] = value
    with pytest.raises(InvalidGraph, match=f"The vector of row 13 holds {shown} at place 1"):
        build_hierarchy(*apart, vectors=vectors)


def test_a_vector_of_zeros_is_as_far_from_all_others_as_can_be_without_a_direction() -> None:
    indices, distances = ring(10)
    apart = np.concatenate((indices, indices + 10)), np.concatenate((distances, distances))
    vectors = np.tile(np.array([3, 4], np.float32), (20, 1))
    vectors[:10] = 0
    tree = build_hierarchy(*apart, vectors=vectors)
    assert tree.components == 2
    assert tree.height[-1] == pytest.approx(np.sqrt(2))


def test_an_empty_collection_has_an_empty_tree() -> None:
    found = cluster_neighbours(np.empty((0, 30), np.int32), np.empty((0, 30)))
    assert found.labels.shape == found.probabilities.shape == (0,)
    assert found.hierarchy.n == len(found.hierarchy.parent) == 0


def test_one_row_is_noise_and_its_own_root() -> None:
    found = cluster_neighbours(np.full((1, 30), -1), np.zeros((1, 30)))
    assert found.labels.tolist() == [-1]
    assert found.hierarchy.parent.tolist() == [-1]


def test_fewer_rows_than_a_cluster_takes_are_noise() -> None:
    found = cluster_neighbours(*ring(4), min_cluster_size=5)
    assert found.labels.tolist() == [-1] * 4
    assert len(found.hierarchy.edges) == 3


def test_fewer_rows_than_min_samples_ask_for_all_there_are() -> None:
    tree = build_hierarchy([[1, 2], [0, 2], [0, 1]], [[0.1, 0.3], [0.1, 0.2], [0.3, 0.2]], min_samples=7)
    np.testing.assert_allclose(tree.core, [0.3, 0.2, 0.3])


def test_rows_all_alike_meet_at_once_and_the_library_copes() -> None:
    indices, _ = ring(50, 5)
    vectors = np.tile(np.array([1, 0], np.float32), (50, 1))
    found = cluster_neighbours(indices, np.zeros((50, 5)), vectors=vectors)
    assert len(found.hierarchy.parent) == 51
    assert found.hierarchy.height[-1] == 0.0
    assert np.isfinite(found.probabilities).all()


def test_the_row_itself_in_its_list_changes_nothing_wherever_it_stands() -> None:
    indices, distances = ring(30)
    without = build_hierarchy(indices, distances, min_samples=3)
    for column in (0, 2, 3):
        among = np.insert(indices, column, np.arange(30), axis=1)
        lengths = np.insert(distances, column, 0.0, axis=1)
        tree = build_hierarchy(among, lengths, min_samples=3)
        np.testing.assert_array_equal(tree.edges, without.edges)
        np.testing.assert_array_equal(tree.core, without.core)


def test_a_neighbour_listed_twice_counts_once() -> None:
    indices = np.array([[1, 1, 2], [0, 0, 2], [0, 1, 1]])
    distances = np.array([[0.1, 0.15, 0.3], [0.1, 0.15, 0.2], [0.3, 0.2, 0.25]])
    np.testing.assert_allclose(build_hierarchy(indices, distances, min_samples=2).core, [0.3, 0.2, 0.3])


def test_a_row_with_too_few_neighbours_stays_apart_and_the_others_do_not_mind() -> None:
    indices, distances = ring(30)
    indices[0] = -1
    indices[indices == 0] = -1
    tree = build_hierarchy(indices, distances, min_samples=3)
    assert np.isinf(tree.core[0])
    assert tree.components == 2
    assert tree.parent[0] == len(tree.parent) - 1
    assert np.isfinite(tree.core[1:]).all()


def test_float32_distances_give_the_tree_of_float64() -> None:
    indices, distances = ring(40)
    single = build_hierarchy(indices, distances.astype(np.float32))
    double = build_hierarchy(indices, distances.astype(np.float32).astype(np.float64))
    np.testing.assert_array_equal(single.edges, double.edges)
    np.testing.assert_array_equal(single.height, double.height)


def test_masked_arrays_and_complex_numbers_are_refused() -> None:
    indices, distances = ring(20)
    hidden = np.zeros((20, 3), bool)
    hidden[4, 1] = True
    vectors = np.ones((20, 2), np.float32)
    calls: dict[str, Callable[[], object]] = {
        "Neighbour lists are a masked": lambda: build_hierarchy(np.ma.array(indices, mask=hidden), distances),
        "Distances are a masked array, with 1 places": lambda: build_hierarchy(
            indices, np.ma.array(distances, mask=hidden)
        ),
        "Vectors are a masked": lambda: build_hierarchy(indices, distances, vectors=np.ma.array(vectors)),
        "Distances are of complex128": lambda: build_hierarchy(indices, distances.astype(complex)),
        "Vectors are of complex64": lambda: build_hierarchy(indices, distances, vectors=vectors.astype(np.complex64)),
        "The times are a masked": lambda: TimeDamping(np.ma.array(np.zeros(20)), 0.2, 7.0),
        "The times are array": lambda: TimeDamping(np.zeros(20, complex), 0.2, 7.0),
    }
    for said, call in calls.items():
        with pytest.raises(InvalidGraph, match=said):
            call()


def test_a_damping_that_was_changed_unchecked_is_checked_where_it_is_used() -> None:
    sound = TimeDamping(np.zeros(20), 0.2, 7.0)
    made = TimeDamping._make((np.zeros(20), 0.2, 0.0))
    for damping, said in (
        (sound._replace(times=np.full(20, np.nan)), "Row 0 has the time nan"),
        (sound._replace(weight=-1.0), "weight of the damping by time is -1.0"),
        (sound._replace(weight=0, times=np.full(20, np.nan)), "Row 0 has the time nan"),
        (made, "scale of the damping by time is 0.0"),
    ):
        for use in (build_hierarchy, cluster_neighbours):
            with pytest.raises(InvalidGraph, match=said):
                use(*ring(20), damping=damping)
