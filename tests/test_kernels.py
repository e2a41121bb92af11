"""Every compiled kernel is held to an oracle: plain code, or a library, that computes the same in another way."""

import importlib
import pkgutil
import time
from pathlib import Path
from threading import Event, Thread

import numba.core.caching
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba.core.dispatcher import Dispatcher

import clustering
from clustering import kernel_cache
from clustering.arrays import Indices
from clustering.kernels import dot, find, inverse_norms, kernel, parallel_range
from clustering.stories import copies as copies_module
from clustering.stories.leaf_order import leaf_order
from clustering.stories.selection import select_calibrated
from tests.harness.word_vectors import word_vectors

ROOT = Path(__file__).parents[1]

_BRUTE_FORCE = "tests/test_neighbours.py::test_through_any_arrivals_and_departures_the_lists_are_those_of_a_rebuild"
_FIRST_GRAPH = "tests/test_neighbours.py::test_a_first_graph_holds_everyones_true_neighbours"
_EXACT_INDEX = (
    "tests/test_neighbours.py::test_the_milvus_searcher_gives_the_exact_searchers_lists_where_its_index_is_exact"
)
_NEW_ROWS = "tests/test_neighbours.py::test_the_milvus_searcher_inserts_new_rows_into_old_lists"
_SINGLE_LINKAGE = "tests/test_hierarchy.py::test_any_lists_give_the_single_linkage_of_their_union_graph"
_SCIPY_FOREST = (
    "tests/test_hierarchy.py::test_the_forest_weighs_what_scipys_weighs_on_a_large_graph_whatever_the_threads"
)
_BRIDGES = "tests/test_hierarchy.py::test_bridges_are_the_spanning_tree_of_the_components_true_distances"
_PERMUTED = "tests/test_hierarchy.py::test_permuting_the_rows_leaves_the_tree_as_it_is"
_LIBRARY = "tests/test_hierarchy_labels.py::test_the_shortcut_into_the_library_gives_what_its_public_interface_gives"
_ABOVE_THE_BOUND = (
    "tests/test_hierarchy_labels.py::test_above_the_bound_the_choice_is_still_the_librarys_to_the_last_bit"
)
_TUTORIAL = "tests/test_tutorial_mode.py::test_labels_and_probabilities_are_the_tutorials_bit_for_bit"
_BEST_CHOICE = "tests/test_selection.py::test_the_selection_is_the_best_of_all_disjoint_choices"
_CLOSENESS = "tests/test_selection.py::test_closeness_in_time_is_the_mean_over_all_pairs"
_ALL_CELLS = "tests/test_neighbours_cells.py::test_in_all_cells_the_lists_are_those_of_the_exact_searcher"
_LATER_ROWS = (
    "tests/test_neighbours_cells.py::test_rows_that_come_later_find_their_lists_and_their_places_in_the_lists_of_others"
)
_FOLLOWED_LISTS = (
    "tests/test_neighbours_cells.py::test_a_pass_finds_the_best_of_what_is_listed_by_the_listed_and_by_who_lists_a_row"
)
_AS_WRITTEN = "tests/test_settling.py::test_forces_are_the_same_compiled_and_as_written"
_NUMPYS_MEANS = "tests/test_settling.py::test_means_and_closeness_are_numpys"
_LISTED = "tests/test_layout_bounded.py::test_lists_among_some_rows_are_those_of_a_search_of_what_is_listed"
ORACLES: dict[str, str] = {
    "kernels.dot": "tests/test_kernels.py::test_products_are_numpys_in_double_precision",
    "kernels.inverse_norms": "tests/test_kernels.py::test_products_are_numpys_in_double_precision",
    "kernels.find": "tests/test_kernels.py::test_the_root_is_the_one_that_a_walk_ends_at",
    "time_damping.damped": "tests/test_selection.py::test_edges_are_weighed_by_cosine_less_distance_in_time",
    "neighbours.vector_file._digests": "tests/test_vector_file.py::test_a_digest_is_fnv_of_a_vectors_numbers",
    "neighbours.exact._search": _FIRST_GRAPH,
    "neighbours.largest.kth_largest": _FIRST_GRAPH,
    "neighbours.largest._keep_largest": _FIRST_GRAPH,
    "neighbours.largest.at_least": _FIRST_GRAPH,
    "neighbours.largest._largest": _FIRST_GRAPH,
    "neighbours.exact._offer_to_all": _BRUTE_FORCE,
    "neighbours.neighbour_lists._carry_over": _BRUTE_FORCE,
    "neighbours.neighbour_lists.gather": _BRUTE_FORCE,
    "neighbours.neighbour_lists.offer": _BRUTE_FORCE,
    "neighbours.neighbour_lists.similarity": _BRUTE_FORCE,
    "neighbours.neighbour_lists.write_most_similar": _FIRST_GRAPH,
    "neighbours.neighbour_lists.write_ranked": _BRUTE_FORCE,
    "neighbours.cells._rank_cells": "tests/test_neighbours_cells.py::"
    "test_a_rows_cells_are_the_nearest_centres_the_smaller_number_first_among_equals",
    "neighbours.cells._means": "tests/test_neighbours_cells.py::"
    "test_what_all_rows_have_in_common_does_not_draw_them_into_few_cells",
    "neighbours.by_cells._offer_members": _ALL_CELLS,
    "neighbours.by_cells._look_into": _LATER_ROWS,
    "neighbours.by_cells._least": _ALL_CELLS,
    "neighbours.neighbour_lists.offer_new": _ALL_CELLS,
    "neighbours.by_cells._follow": _FOLLOWED_LISTS,
    "neighbours.by_cells._listing": _FOLLOWED_LISTS,
    "neighbours.by_cells._mark_met": _FOLLOWED_LISTS,
    "neighbours.neighbour_lists.single": _FOLLOWED_LISTS,
    "map.layout.medians": "tests/test_settling.py::test_a_row_is_placed_at_the_median_of_its_nearest_placed_neighbours",
    "map.layout._median": "tests/test_settling.py::test_a_row_is_placed_at_the_median_of_its_nearest_placed_neighbours",
    "map.settling._memberships": "tests/test_settling.py::test_weights_are_umaps",
    "map.settling._move": _AS_WRITTEN,
    "map.settling._next": _AS_WRITTEN,
    "map.settling._clipped": _AS_WRITTEN,
    "map.bounded._nearest_among": _LISTED,
    "map.bounded._find_further": _LISTED,
    "stories.naming._means": _NUMPYS_MEANS,
    "stories.naming._closeness": _NUMPYS_MEANS,
    "neighbours.by_search._rank": _EXACT_INDEX,
    "neighbours.insertion._listers_of": _NEW_ROWS,
    "neighbours.insertion._most": _NEW_ROWS,
    "neighbours.insertion._find": _NEW_ROWS,
    "neighbours.insertion._offer_groups": _NEW_ROWS,
    "tree.validation._first_bad_distance": "tests/test_kernels.py::test_the_first_bad_distance_is_named",
    "tree.reachability._own_core": _SINGLE_LINKAGE,
    "tree.reachability._keep_nearest": _SINGLE_LINKAGE,
    "tree.reachability._shorter_edges_from_others": _SINGLE_LINKAGE,
    "tree.reachability._lowering_edges": _SINGLE_LINKAGE,
    "tree.reachability._add_edges": _SINGLE_LINKAGE,
    "tree.forest._precedes": _PERMUTED,
    "tree.forest._place_precedes": _PERMUTED,
    "tree.forest._nearest_listed": _SCIPY_FOREST,
    "tree.forest._lighter_edges_from_others": _SINGLE_LINKAGE,
    "tree.forest._improves_target": _SINGLE_LINKAGE,
    "tree.forest._offer_to_others": _SINGLE_LINKAGE,
    "tree.forest._gives_edge": _SCIPY_FOREST,
    "tree.forest._roots": _SCIPY_FOREST,
    "tree.forest._collect_crossing": _SCIPY_FOREST,
    "tree.forest._lightest_crossing": _SCIPY_FOREST,
    "tree.forest._drop_inner_edges": _SCIPY_FOREST,
    "tree.bridging._nearest_outside": _BRIDGES,
    "tree.dendrogram._reordered": _SINGLE_LINKAGE,
    "tree.dendrogram._sort_tied": _PERMUTED,
    "tree.dendrogram.dendrogram": _SINGLE_LINKAGE,
    "tree.dendrogram._find_or_node": _SINGLE_LINKAGE,
    "tree.dendrogram._without_merged": _SINGLE_LINKAGE,
    "tree.dendrogram.single_linkage": _LIBRARY,
    "tree.prim._by_row": _LIBRARY,
    "tree.prim.walk": _TUTORIAL,
    "tree.prim._precedes": _TUTORIAL,
    "tree.prim._push": _TUTORIAL,
    "tree.prim._pop": _TUTORIAL,
    "tree.extraction._labels_of_clusters": _ABOVE_THE_BOUND,
    "tree.extraction._labels_of_rows": _ABOVE_THE_BOUND,
    "stories.similarity._edge_similarities": "tests/test_selection.py::"
    "test_edges_are_weighed_by_cosine_less_distance_in_time",
    "stories.smoothing._smoothed": "tests/test_smoothing.py::test_rows_are_what_the_formula_says",
    "stories.leaf_order._ranges": "tests/test_kernels.py::test_each_nodes_members_lie_side_by_side",
    "stories.selection._add_squared_sums": _BEST_CHOICE,
    "stories.selection._best_antichain": _BEST_CHOICE,
    "stories.selection._fill_probabilities": "tests/test_kernels.py::"
    "test_a_probability_is_how_far_a_row_is_above_theta_by_the_most_in_its_cluster",
    "stories.time_decay._largest_child": _CLOSENESS,
    "stories.time_decay._pair_sums": _CLOSENESS,
    "stories.time_decay._decays": _CLOSENESS,
    "stories.time_decay._switch": _CLOSENESS,
    "stories.story_bonus._resemblance": "tests/test_inertia.py::"
    "test_resemblance_is_the_jaccard_index_with_the_story_that_has_most_of_a_node",
    "stories.reattach._decayed": "tests/test_inertia.py::test_who_stays_is_decided_by_the_mean_over_all_pairs",
    "stories.copies._merged_lists": "tests/test_kernels.py::test_a_point_lists_the_nearest_points_that_its_copies_list",
    "stories.copies._completed": "tests/test_copies.py::"
    "test_points_among_copies_list_what_they_would_alone_or_among_many_points_almost",
}


def test_every_kernel_has_an_oracle() -> None:
    found = set()
    for module in pkgutil.walk_packages(clustering.__path__, "clustering."):
        if ".pages" not in module.name:
            members = vars(importlib.import_module(module.name)).values()
            kernels = {one.py_func for one in members if isinstance(one, Dispatcher)}
            found |= {f"{one.__module__}.{one.__qualname__}".removeprefix("clustering.") for one in kernels}
    assert found == set(ORACLES)


@pytest.mark.parametrize("oracle", sorted(set(ORACLES.values())))
def test_the_oracles_tests_are_there(oracle: str) -> None:
    file, _, name = oracle.partition("::")
    assert f"def {name}(" in (ROOT / file).read_text(encoding="utf-8")


def test_where_no_folder_can_be_written_kernels_are_compiled_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numba.core.caching.CacheImpl, "_locator_classes", [])
    with pytest.raises(RuntimeError, match="no locator available"):
        numba.njit(cache=True)(lambda: 0)

    def twice(value: int) -> int:
        return 2 * value

    assert kernel()(twice)(21) == 42


@pytest.mark.parametrize("parallel", [False, True])
def test_other_threads_run_beside_a_kernel(parallel: bool) -> None:
    @kernel(parallel=parallel)
    def busy(steps: int) -> npt.NDArray[np.int64]:
        states = np.ones(2, np.int64)
        for part in parallel_range(2):
            for step in range(steps):
                states[part] = (states[part] * 1_103_515_245 + step) % 2_147_483_647
        return states

    busy(1)
    steps, seconds = 1_000_000, 0.0
    while seconds < 0.3:
        steps, began = 2 * steps, time.perf_counter()
        busy(steps)
        seconds = time.perf_counter() - began
    beats, done = 0, Event()

    def beat() -> None:
        nonlocal beats
        while not done.wait(0.01):
            beats += 1

    thread = Thread(target=beat)
    thread.start()
    before = beats
    busy(steps)
    beside = beats - before
    done.set()
    thread.join()
    assert beside >= 3  # a thread that has to wait for the kernel has one at most


@settings(max_examples=25, deadline=None)
@given(n=st.integers(1, 20), dim=st.integers(1, 70), seed=st.integers(0, 10_000))
def test_products_are_numpys_in_double_precision(n: int, dim: int, seed: int) -> None:
    vectors = np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)
    vectors[0] = 0
    products = vectors.astype(np.float64) @ vectors.T.astype(np.float64)
    found = np.array([[dot(vectors, one, two) for two in range(n)] for one in range(n)])
    np.testing.assert_allclose(found, products, rtol=1e-12, atol=1e-12)
    assert np.array_equal(found, found.T)
    with np.errstate(divide="ignore"):
        np.testing.assert_allclose(inverse_norms(vectors), 1 / np.sqrt(np.diag(products)), rtol=1e-12)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 1_000), min_size=1, max_size=30))
def test_the_root_is_the_one_that_a_walk_ends_at(chosen: list[int]) -> None:
    above = np.array(
        [number % (row + 1) for row, number in enumerate(chosen)]
    )  # a forest: no row stands above an earlier
    before = above.copy()
    for row in range(len(above)):
        root = row
        while before[root] != root:
            root = before[root]
        assert find(above, row) == root


@settings(max_examples=40, deadline=None)
@given(n=st.integers(1, 12), k=st.integers(1, 5), seed=st.integers(0, 10_000), single=st.booleans())
def test_the_first_bad_distance_is_named(n: int, k: int, seed: int, single: bool) -> None:
    from clustering.tree.validation import validated_neighbours
    from newstide.core.errors import InvalidGraph

    rng = np.random.default_rng(seed)
    indices = rng.integers(-1, n, (n, k)).astype(np.int32)
    distances = rng.choice([0.0, 0.5, 1.0, -1.0, np.nan, np.inf], (n, k), p=[0.2, 0.4, 0.3, 0.04, 0.03, 0.03])
    distances = distances.astype(np.float32 if single else np.float64)
    bad = np.argwhere((indices >= 0) & ~((distances >= 0) & np.isfinite(distances)))
    if not len(bad):
        rows, lengths = validated_neighbours(indices, distances)
        assert np.array_equal(rows, indices)
        assert np.array_equal(lengths, distances, equal_nan=True)
        return
    with pytest.raises(InvalidGraph, match=f"^Row {bad[0][0]} has distance"):
        validated_neighbours(indices, distances)


def _members(parent: Indices, n: int) -> list[set[int]]:
    below: list[set[int]] = [{row} if row < n else set() for row in range(len(parent))]
    for node, above in enumerate(parent):
        if above >= 0:
            below[above] |= below[node]
    return below


def _any_tree(n: int, rng: np.random.Generator) -> Indices:
    """Parents of a tree, or of several, in which a parent's number is larger than its children's."""
    parent = np.full(2 * n - 1, -1, np.int32)
    roots = list(range(n))
    for node in range(n, 2 * n - 1):
        for _ in range(2):
            parent[roots.pop(rng.integers(len(roots)))] = node
        roots.append(node)
        if rng.random() < 0.1:
            return parent[: node + 1]
    return parent


@settings(max_examples=40, deadline=None)
@given(n=st.integers(2, 15), seed=st.integers(0, 10_000))
def test_each_nodes_members_lie_side_by_side(n: int, seed: int) -> None:
    parent = _any_tree(n, np.random.default_rng(seed))
    leaves = leaf_order(parent, n)
    assert sorted(leaves.order.tolist()) == list(range(n))
    for node, below in enumerate(_members(parent, n)):
        assert set(leaves.order[leaves.first[node] : leaves.last[node]].tolist()) == below


@settings(max_examples=40, deadline=None)
@given(n=st.integers(2, 12), seed=st.integers(0, 10_000), theta=st.floats(-0.2, 0.6))
def test_a_probability_is_how_far_a_row_is_above_theta_by_the_most_in_its_cluster(
    n: int, seed: int, theta: float
) -> None:
    rng = np.random.default_rng(seed)
    vectors = word_vectors([f"{rng.integers(4)} {rng.integers(4)} {row}" for row in range(n)])
    chosen = select_calibrated(_any_tree(n, rng), vectors, theta)
    for cluster in range(len(chosen.nodes)):
        rows = np.flatnonzero(chosen.labels == cluster)
        products = vectors[rows].astype(np.float64) @ vectors[rows].T.astype(np.float64)
        above = np.maximum((products.sum(axis=1) - 1) / (len(rows) - 1) - theta, 0)
        expected = above / above.max() if above.max() > 0 else np.ones(len(rows))
        np.testing.assert_allclose(chosen.probabilities[rows], expected, atol=1e-4)


@settings(max_examples=40, deadline=None)
@given(n=st.integers(1, 12), k=st.integers(1, 6), seed=st.integers(0, 10_000))
def test_a_point_lists_the_nearest_points_that_its_copies_list(n: int, k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    point = np.unique(rng.integers(0, n, n), return_inverse=True)[1].astype(np.int64)  # of each row
    first = np.unique(point, return_index=True)[1]
    indices = rng.integers(-1, n, (n, k)).astype(np.int32)
    similarities = -np.sort(-rng.random((n, k)).astype(np.float32), axis=1)
    copies = np.argsort(point, kind="stable")
    start = np.searchsorted(point[copies], np.arange(len(first) + 1))
    listed_by_each = int(rng.integers(1, k + 1))
    found = copies_module._merged_lists(indices, similarities, point, copies, start, k, listed_by_each)
    for own in range(len(first)):
        nearest: dict[int, float] = {}
        for row in np.flatnonzero(point == own):
            for other, alike in list(zip(indices[row], similarities[row], strict=True))[:listed_by_each]:
                if other >= 0 and point[other] != own:
                    nearest[int(point[other])] = max(float(alike), nearest.get(int(point[other]), -1.0))
        listed = found[own][found[own] >= 0].tolist()
        assert len(set(listed)) == len(listed) == min(k, len(nearest))
        assert [nearest[one] for one in listed] == sorted(nearest.values(), reverse=True)[: len(listed)]


def test_code_that_cannot_be_kept_is_told_once_until_some_can_be_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    def said() -> int:
        return capsys.readouterr().err.count("cannot be kept")

    files = [kernel_cache.CarefulCacheFile(str(tmp_path), f"f{number}", "stamp") for number in range(30)]
    with monkeypatch.context() as patch:
        patch.setattr(numba.core.caching.IndexDataCacheFile, "save", full)
        for file in files:
            file.save("key", b"code")
        assert said() == 1
    files[0].save("key", b"code")
    with monkeypatch.context() as patch:
        patch.setattr(numba.core.caching.IndexDataCacheFile, "save", full)
        files[1].save("key", b"code")
        assert said() == 1
