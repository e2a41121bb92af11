import logging
import time
import warnings
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.manifold import trustworthiness

from clustering.map import layout as layout_module
from clustering.map.layout import Layout, lay_out
from newstide.core.settings import LayoutSettings

SETTINGS = LayoutSettings()
Vectors = npt.NDArray[np.float32]
Ids = npt.NDArray[np.object_]


def make_vectors(n: int, *, groups: int = 40, dim: int = 24, seed: int = 0) -> Vectors:
    """Unit rows in groups of different tightness, with some rows between them."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(groups, dim))
    member = rng.integers(0, groups, n)
    vectors = centres[member] + rng.normal(size=(n, dim)) * rng.uniform(0.3, 1.2, groups)[member][:, None]
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def neighbours(vectors: Vectors, k: int = 30) -> tuple[npt.NDArray[np.int32], Vectors]:
    """Brute force: the lists a run hands over, -1 where there are fewer rows than k."""
    n = len(vectors)
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -9)
    order = np.argsort(-cosines, axis=1, kind="stable")[:, :k]
    alike = np.take_along_axis(cosines, order, axis=1)
    indices = np.full((n, k), -1, np.int32)
    similarities = np.zeros((n, k), np.float32)
    width = min(k, max(n - 1, 0))
    indices[:, :width], similarities[:, :width] = order[:, :width], alike[:, :width]
    return indices, similarities


def make_ids(begin: int, end: int) -> Ids:
    return np.array([f"id-{number}" for number in range(begin, end)], dtype=object)


def laid(vectors: Vectors, ids: Ids, previous: Layout | None = None, k: int = 30) -> Layout:
    return lay_out(vectors, *neighbours(vectors, k), ids, previous, SETTINGS)


@pytest.fixture(scope="module")
def vectors() -> Vectors:
    return make_vectors(1500)


@pytest.fixture(scope="module")
def first(vectors: Vectors) -> Layout:
    """A fresh map of all rows but the last 15."""
    return laid(vectors[:-15], make_ids(0, 1485))


@pytest.fixture(scope="module")
def second(vectors: Vectors, first: Layout) -> Layout:
    """The next run's: 1 % of the rows is new."""
    return laid(vectors, make_ids(0, 1500), first)


def test_a_first_map_is_fresh_and_says_what_it_used(first: Layout) -> None:
    assert first.fresh
    assert first.moved is None
    assert first.neighbours == 31  # the graph's k and the row itself, fewer than the setting's 80
    assert first.positions.shape == (1485, 2)
    assert first.positions.dtype == np.float32
    assert np.isfinite(first.positions).all()


@pytest.mark.usefixtures("first")  # by which UMAP is loaded, whose import warns
def test_the_defaults_are_the_tutorials(monkeypatch: pytest.MonkeyPatch) -> None:
    import umap

    asked: dict[str, object] = {}

    class Spy(umap.UMAP):  # type: ignore[misc]
        def __init__(self, **options: object) -> None:
            asked.update(options)
            super().__init__(**options)

    monkeypatch.setattr(umap, "UMAP", Spy)
    layout = laid(make_vectors(330), make_ids(0, 330), k=90)
    assert (asked["n_neighbors"], asked["min_dist"], asked["random_state"]) == (80, 0.1, 42)
    assert layout.neighbours == 80


def test_the_map_follows_the_lists_not_the_vectors(vectors: Vectors) -> None:
    shuffled = vectors[np.random.default_rng(1).permutation(len(vectors))]
    layout = lay_out(shuffled, *neighbours(vectors), make_ids(0, 1500), None, SETTINGS)
    by_lists, by_vectors = (
        trustworthiness(source, layout.positions, n_neighbors=10, metric="cosine") for source in (vectors, shuffled)
    )
    assert by_lists > 0.85
    assert by_vectors < 0.6  # half: no more than by chance


def test_lists_that_umap_would_leave_unused_are_an_error(vectors: Vectors, monkeypatch: pytest.MonkeyPatch) -> None:
    def too_short(*_: object) -> tuple[npt.NDArray[np.int32], Vectors]:
        return np.zeros((100, 5), np.int32), np.zeros((100, 5), np.float32)

    monkeypatch.setattr(layout_module, "_with_self", too_short)
    with pytest.raises(UserWarning, match="precomputed_knn will be ignored"):
        laid(vectors[:100], make_ids(0, 100))


def test_survivors_stay_where_they_were(first: Layout, second: Layout) -> None:
    assert not second.fresh
    assert second.moved is not None
    assert second.moved <= 0.10
    spread = np.sqrt(((first.positions - first.positions.mean(axis=0)) ** 2).sum(axis=1).mean())
    moves = np.linalg.norm(second.positions[:1485] - first.positions, axis=1) / spread
    assert np.median(moves) == pytest.approx(second.moved, rel=1e-3)


def test_an_update_keeps_neighbourhoods_as_well_as_a_fresh_fit(vectors: Vectors, second: Layout) -> None:
    fresh = laid(vectors, make_ids(0, 1500))
    kept = trustworthiness(vectors, second.positions, n_neighbors=10, metric="cosine")
    assert kept >= trustworthiness(vectors, fresh.positions, n_neighbors=10, metric="cosine") - 0.01


def test_new_rows_come_down_among_their_neighbours(vectors: Vectors, second: Layout) -> None:
    near = neighbours(vectors)[0][-15:, :10]
    own = second.positions[-15:]
    there = np.median(second.positions[near], axis=1)
    distance = np.linalg.norm(own - there, axis=1)
    centre = np.linalg.norm(second.positions - second.positions.mean(axis=0), axis=1)
    assert np.median(distance) < 0.3 * np.median(centre)


def test_the_same_input_gives_the_same_map(vectors: Vectors, first: Layout, second: Layout) -> None:
    again = laid(vectors, make_ids(0, 1500), first)
    assert np.array_equal(again.positions, second.positions)


def test_the_order_of_the_last_maps_rows_does_not_matter(vectors: Vectors, first: Layout, second: Layout) -> None:
    shuffled = np.random.default_rng(3).permutation(len(first.ids))
    previous = Layout(first.ids[shuffled], first.positions[shuffled], False, 31, None)
    assert np.allclose(laid(vectors, make_ids(0, 1500), previous).positions, second.positions, atol=1e-2)


def test_a_map_neither_shrinks_nor_turns_over_many_runs() -> None:
    everything = make_vectors(700, groups=20)
    current = laid(everything[:400], make_ids(0, 400))
    begin = current
    for step in range(1, 21):  # 2 % new, 2 % gone each time
        rows = slice(8 * step, 8 * step + 400)
        current = laid(everything[rows], make_ids(rows.start, rows.stop), current)
    kept = slice(160, 400)  # rows of the first map that are on the last one
    before = begin.positions[kept] - begin.positions[kept].mean(axis=0)
    after = current.positions[:240] - current.positions[:240].mean(axis=0)
    assert 0.8 < np.linalg.norm(after) / np.linalg.norm(before) < 1.25
    turned = (after * before).sum() / (np.linalg.norm(after) * np.linalg.norm(before))
    assert turned > 0.7
    fresh = laid(everything[160:560], make_ids(160, 560))
    quality = [
        trustworthiness(everything[160:560], layout.positions, n_neighbors=10, metric="cosine")
        for layout in (current, fresh)
    ]
    assert quality[0] >= quality[1] - 0.03


def test_too_many_new_rows_make_a_fresh_map_fitted_onto_the_shared_ones(vectors: Vectors) -> None:
    old = laid(vectors[:400], make_ids(0, 400))
    mirrored = Layout(old.ids, old.positions * np.array([-3, 3], np.float32) + 100, False, 31, None)
    renewed = laid(vectors[:800], make_ids(0, 800), mirrored)
    assert renewed.fresh
    assert renewed.moved is not None
    target = mirrored.positions
    shared = renewed.positions[:400]
    assert np.allclose(shared.mean(axis=0), target.mean(axis=0), atol=0.05)
    assert np.std(shared - shared.mean(axis=0)) == pytest.approx(np.std(target - target.mean(axis=0)), rel=0.02)
    distance = np.median(np.linalg.norm(shared - target, axis=1))
    unturned = np.median(np.linalg.norm(shared * np.array([-1, 1]) + [200, 0] - target, axis=1))
    assert distance < unturned


def test_another_models_map_is_no_start_but_the_new_one_is_fitted_onto_it(vectors: Vectors) -> None:
    rows, ids = vectors[:400], make_ids(0, 400)
    lists = neighbours(rows)
    old = lay_out(rows, *lists, ids, None, SETTINGS, "one")
    away = Layout(ids, old.positions * 3 + 100, False, 31, None, "one")
    assert not lay_out(rows, *lists, ids, away, SETTINGS, "one").fresh
    renewed = lay_out(rows, *lists, ids, away, SETTINGS, "other")
    assert renewed.fresh
    assert renewed.weights == "other"
    assert renewed.moved is not None
    assert renewed.moved < 0.01  # the vectors are the same here, and so is their fresh map, once it is fitted back


def test_nothing_shared_with_the_last_map_is_a_fresh_one(vectors: Vectors, first: Layout) -> None:
    renewed = laid(vectors[:100], make_ids(90_000, 90_100), first)
    assert renewed.fresh
    assert renewed.moved is None


@pytest.mark.parametrize("n", [0, 1, 2, 3, 10, 14, 15, 16, 31, 40, 100])
def test_few_rows_have_a_map_too_and_keep_it(n: int) -> None:
    vectors = make_vectors(n, groups=3)
    layout = laid(vectors, make_ids(0, n))
    assert layout.positions.shape == (n, 2)
    assert np.isfinite(layout.positions).all()
    assert layout.neighbours == (0 if n < 15 else n // 4)
    assert len(np.unique(layout.positions, axis=0)) == n
    again = laid(vectors, make_ids(0, n), layout)
    assert again.moved is None if n == 0 else again.moved is not None and again.moved < 0.25


def test_lists_of_one_neighbour_need_no_umap() -> None:
    vectors = make_vectors(50)
    layout = laid(vectors, make_ids(0, 50), k=1)
    assert layout.neighbours == 0
    assert np.isfinite(layout.positions).all()


def test_an_empty_run_and_the_one_after_it_stand(first: Layout, vectors: Vectors) -> None:
    nothing = lay_out(
        np.empty((0, 24), np.float32),
        np.empty((0, 30), np.int32),
        np.empty((0, 30), np.float32),
        make_ids(0, 0),
        first,
        SETTINGS,
    )
    assert nothing.positions.shape == (0, 2)
    assert laid(vectors[:60], make_ids(0, 60), nothing).fresh


@pytest.mark.parametrize("copies", [12, 60, 200])
def test_copies_of_one_headline_do_not_break_the_map(copies: int) -> None:
    vectors = make_vectors(300)
    vectors[:copies] = vectors[0]
    layout = laid(vectors, make_ids(0, 300))
    assert np.isfinite(layout.positions).all()
    again = laid(vectors, make_ids(0, 300), layout)
    assert np.isfinite(again.positions).all()
    spread = np.std(again.positions)
    if copies <= 30:  # more than a list holds need not all know one another
        assert np.std(again.positions[:copies] - np.median(again.positions[:copies], axis=0)) < spread / 2


def test_a_window_of_copies_alone_has_a_map() -> None:
    vectors = np.repeat(make_vectors(1), 40, axis=0)
    layout = laid(vectors, make_ids(0, 40))
    assert np.isfinite(layout.positions).all()
    assert np.isfinite(laid(vectors, make_ids(0, 40), layout).positions).all()


def test_a_last_map_of_one_spot_is_no_trap() -> None:
    vectors = make_vectors(100)
    previous = Layout(make_ids(0, 100), np.ones((100, 2), np.float32), False, 31, None)
    layout = laid(vectors, make_ids(0, 100), previous)
    assert layout.fresh
    assert np.isfinite(layout.positions).all()


def test_islands_without_an_edge_between_them_are_all_on_the_map() -> None:
    rng = np.random.default_rng(0)
    islands = np.eye(6, dtype=np.float32).repeat(12, axis=0)
    islands = islands + rng.normal(scale=0.01, size=islands.shape).astype(np.float32)
    vectors = (islands / np.linalg.norm(islands, axis=1, keepdims=True)).astype(np.float32)
    layout = laid(vectors, make_ids(0, 72), k=5)
    assert np.isfinite(layout.positions).all()


def test_missing_neighbours_are_no_neighbours(vectors: Vectors) -> None:
    indices, similarities = neighbours(vectors[:200])
    indices[::3, 4:], similarities[::3, 4:] = -1, 0
    indices[7], similarities[7] = -1, 0
    layout = lay_out(vectors[:200], indices, similarities, make_ids(0, 200), None, SETTINGS)
    assert np.isfinite(layout.positions).all()


def test_a_new_storys_rows_that_know_only_one_another_start_where_the_first_of_them_does() -> None:
    indices = np.array([[1], [0], [0], [2], [3], [6], [5]], np.int32)
    previous = Layout(make_ids(0, 2), np.array([[10, 0], [20, 0]], np.float32), False, 0, None)
    start, known = layout_module._start(make_ids(0, 7), indices, previous)
    assert known.tolist() == [True, True, False, False, False, False, False]
    assert start[2:5].tolist() == [[10, 0]] * 3
    assert start[5:].tolist() == [[15, 0]] * 2  # nobody they know is on the map: its middle


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.05, 20), st.floats(0, 6.28), st.booleans())
def test_a_turned_mirrored_and_scaled_map_is_fitted_back(seed: int, scale: float, angle: float, mirror: bool) -> None:
    rng = np.random.default_rng(seed)
    target = rng.normal(size=(30, 2)).astype(np.float32)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    if mirror:
        turn[:, 0] *= -1
    known = np.zeros(30, bool)
    known[: rng.integers(3, 31)] = True
    moved = (target @ turn * scale + rng.normal(size=2) * 10).astype(np.float32)
    fitted = layout_module._fitted(moved, target, known)
    assert np.allclose(fitted, target, atol=5e-3)


def test_an_update_moves_what_is_new_and_what_lies_near_it_and_nothing_else(
    vectors: Vectors, first: Layout, second: Layout
) -> None:
    lists, _ = neighbours(vectors)
    near = {*lists[1485:, :10].ravel().tolist(), *np.flatnonzero((lists[:, :10] >= 1485).any(axis=1)).tolist()}
    still = np.array(sorted(set(range(1485)) - near))
    assert 500 < len(still) < 1485
    assert np.array_equal(second.positions[still], first.positions[still])
    moved = np.array(sorted(near & set(range(1485))))
    assert (second.positions[moved] != first.positions[moved]).any(axis=1).mean() > 0.9


def test_a_tenth_of_new_rows_later_the_whole_map_is_relaxed(vectors: Vectors) -> None:
    layout = laid(vectors[:1300], make_ids(0, 1300))
    drifts = []
    for end in range(1330, 1480, 30):
        before, layout = layout, laid(vectors[:end], make_ids(0, end), layout)
        drifts.append(layout.drift)
        still = (layout.positions[: len(before.ids)] == before.positions).all(axis=1).mean()
        assert not layout.fresh
        assert (still < 0.01) == (layout.drift == 0.0)
    assert drifts[:4] == pytest.approx([30 / 1330, 30 / 1330 + 30 / 1360, *drifts[2:4]])
    assert drifts.index(0.0) == 4  # 2.2 + 2.2 + 2.2 + 2.1 + 2.1 percent


def test_no_warning_reaches_the_log_of_a_run() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        laid(make_vectors(60), make_ids(0, 60))
    assert not [str(one.message) for one in caught if "numba" not in str(one.filename)]


def test_lengths_that_do_not_belong_together_are_refused(vectors: Vectors) -> None:
    with pytest.raises(ValueError, match="20 ids"):
        lay_out(vectors[:30], *neighbours(vectors[:30]), make_ids(0, 20), None, SETTINGS)


@pytest.mark.alone
def test_an_update_costs_a_fraction_of_a_fresh_fit(vectors: Vectors, first: Layout) -> None:
    logging.getLogger("numba").setLevel(logging.WARNING)
    lists = neighbours(vectors)

    def seconds(previous: Layout | None) -> float:
        begin = time.process_time()
        lay_out(vectors, *lists, make_ids(0, 1500), previous, SETTINGS)
        return time.process_time() - begin

    seconds(first)
    whole = seconds(None)
    assert min(seconds(first) for _ in range(3)) < whole / 6  # room for a busy machine: the benchmark says an eighth


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_rows_without_any_neighbour_are_laid_out_all_the_same(share: float) -> None:
    vectors = make_vectors(60)
    indices, similarities = neighbours(vectors, 10)
    alone = np.arange(60) < 60 * share
    indices[alone], similarities[alone] = -1, -1
    found = lay_out(vectors, indices, similarities, make_ids(0, 60), None, SETTINGS)
    assert found.positions.shape == (60, 2)
    assert np.isfinite(found.positions).all()
    assert np.ptp(found.positions, axis=0).min() > 0


@pytest.mark.parametrize("broken", ["one place", "all places", "too few places", "no columns"])
def test_a_broken_last_map_is_as_if_it_had_not_been_there(broken: str) -> None:
    vectors, ids = make_vectors(60), make_ids(0, 60)
    last = laid(vectors, ids, k=10)
    places = last.positions.copy()
    if broken == "one place":
        places[7] = np.nan
    elif broken == "all places":
        places[:] = np.inf
    last = replace(last, positions={"too few places": places[:40], "no columns": places[:, :0]}.get(broken, places))
    found = laid(vectors, ids, last, k=10)
    assert found.positions.shape == (60, 2)
    assert np.isfinite(found.positions).all()
    assert found.fresh == (broken != "one place")
