"""What becomes of stories from run to run, as a reader would call it."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustering.stories.lineage import Lineage, label_stability, match
from newstide.core.errors import InvalidGraph


def rows(*runs: tuple[int, int]) -> npt.NDArray[np.int64]:
    """`rows((7, 3), (-1, 2))`: three rows of 7, then two of -1."""
    return np.concatenate([np.full(count, label, np.int64) for label, count in runs])


def kinds(lineage: Lineage) -> set[tuple[str, int]]:
    return {(event.kind, event.story) for event in lineage.events}


def test_clusters_of_a_first_run_are_born_in_order_of_their_rows() -> None:
    lineage = match(rows((-1, 7)), rows((1, 3), (0, 2), (-1, 2)), set(), 100)
    assert lineage.labels.tolist() == [100, 100, 100, 101, 101, -1, -1]
    assert kinds(lineage) == {("born", 100), ("born", 101)}
    assert lineage.next_number == 102


def test_a_story_survives_under_its_number_and_says_nothing_while_it_stays_the_same() -> None:
    lineage = match(rows((7, 9), (-1, 1)), rows((0, 10)), {7}, 50)
    assert set(lineage.labels) == {7}
    assert not lineage.events
    assert lineage.next_number == 50


def test_growth_by_a_third_and_by_three_is_said() -> None:
    assert kinds(match(rows((7, 9), (-1, 3)), rows((0, 12)), {7}, 50)) == {("grown", 7)}
    assert not match(rows((7, 9), (-1, 2)), rows((0, 11)), {7}, 50).events
    assert not match(rows((7, 30), (-1, 9)), rows((0, 39)), {7}, 50).events
    assert not match(rows((7, 2), (-1, 2)), rows((0, 4)), {7}, 50).events


def test_of_stories_that_merge_the_largest_goes_on_and_the_others_name_it() -> None:
    lineage = match(rows((7, 6), (8, 5)), rows((0, 11)), {7, 8}, 50)
    assert set(lineage.labels) == {7}
    events = {event.kind: event for event in lineage.events}
    assert events["merged"].story == 7
    assert events["merged"].parents == (8,)
    assert (events["closed"].story, events["closed"].successor) == (8, 7)


def test_a_small_supply_is_no_merge_but_its_story_closes_and_names_who_took_its_rows() -> None:
    lineage = match(rows((7, 9), (8, 2)), rows((0, 11)), {7, 8}, 50)
    assert kinds(lineage) == {("closed", 8)}
    assert lineage.events[0].successor == 7


def test_a_story_that_crumbles_closes_without_a_successor() -> None:
    lineage = match(rows((7, 40), (8, 4), (-1, 2)), rows((0, 41), (-1, 5)), {7, 8}, 50)
    assert [(event.story, event.successor) for event in lineage.events] == [(8, -1)]


def test_the_larger_part_keeps_the_number_even_where_others_joined_it() -> None:
    lineage = match(rows((7, 100), (8, 20), (9, 20), (10, 20)), rows((0, 40), (1, 120)), {7, 8, 9, 10}, 50)
    assert lineage.labels[0] == 50
    assert lineage.labels[-1] == 7


def test_of_stories_that_merge_into_a_new_one_the_largest_goes_on_even_where_a_smaller_one_is_more_alike() -> None:
    lineage = match(rows((7, 20), (8, 60), (-1, 5)), rows((0, 50), (-1, 35)), {7, 8}, 50)
    assert lineage.labels[0] == 8
    assert kinds(lineage) == {("merged", 8), ("closed", 7)}


def test_a_number_stays_with_most_of_its_story_where_a_small_part_of_it_meets_a_smaller_story() -> None:
    lineage = match(rows((7, 7), (8, 2)), rows((0, 5), (1, 4)), {7, 8}, 50)
    assert lineage.labels.tolist() == [7] * 5 + [8] * 4
    assert not lineage.events


def test_rows_of_closed_stories_do_not_count_against_a_survivor() -> None:
    lineage = match(rows((7, 2), (8, 30)), rows((0, 32)), {7}, 50)
    assert set(lineage.labels) == {7}


def test_of_the_parts_of_a_story_that_splits_the_largest_keeps_the_number() -> None:
    lineage = match(rows((7, 10)), rows((0, 4), (1, 6)), {7}, 50)
    assert lineage.labels.tolist() == [50] * 4 + [7] * 6
    events = {event.kind: event for event in lineage.events}
    assert events["born"].parents == (7,)
    assert (events["split"].story, events["split"].children) == (7, (50,))


def test_a_part_below_thirty_percent_is_born_without_parent() -> None:
    lineage = match(rows((7, 10)), rows((0, 2), (1, 8)), {7}, 50)
    assert kinds(lineage) == {("born", 50)}
    assert lineage.events[0].parents == ()


def test_a_story_whose_rows_are_noise_or_gone_closes() -> None:
    assert kinds(match(rows((7, 3)), rows((-1, 3)), {7, 9}, 50)) == {("closed", 7), ("closed", 9)}


def test_a_story_that_had_closed_for_its_age_goes_on_under_its_number_where_its_headlines_are_back() -> None:
    lineage = match(rows((7, 5), (8, 4)), rows((0, 5), (1, 4)), {8}, 50, resting={7})
    assert lineage.labels.tolist() == [7] * 5 + [8] * 4
    assert [(event.kind, event.story, event.size, event.previous_size) for event in lineage.events] == [
        ("reopened", 7, 5, 5)
    ]
    merged = match(rows((7, 5), (8, 6)), rows((0, 11)), {8}, 50, resting={7})
    assert {(event.kind, event.story, event.parents, event.successor) for event in merged.events} == {
        ("grown", 8, (), -1),
        ("merged", 8, (7,), -1),
        ("closed", 7, (), 8),
    }


def test_no_story_ends_by_what_a_part_of_it_does() -> None:
    assert not match(rows((7, 1), (-1, 3)), rows((-1, 4)), {7}, 50, seen_in_part={7}).events, (
        "its only row in sight is noise"
    )
    taken = match(rows((7, 2), (8, 4)), rows((0, 6)), {7, 8}, 50, seen_in_part={7})
    assert set(taken.labels) == {8}
    assert not taken.events, "neither merged into the other nor closed"
    assert match(rows((7, 2)), rows((0, 2)), {7}, 50, seen_in_part={7}).labels.tolist() == [7, 7]


def test_a_story_that_has_dissolved_does_not_reopen_but_is_named_as_parent() -> None:
    lineage = match(rows((7, 5)), rows((0, 5)), set(), 50)
    assert set(lineage.labels) == {50}
    assert lineage.events[0].parents == (7,)


def test_a_story_that_goes_on_and_takes_a_closed_one_s_rows_back_names_it_as_parent() -> None:
    lineage = match(rows((7, 6), (3, 2)), rows((0, 8)), {7}, 50)
    assert set(lineage.labels) == {7}
    assert [(event.kind, event.story, event.parents) for event in lineage.events] == [("grown", 7, (3,))]


def test_the_share_that_keeps_its_number_counts_noise_as_lost_and_new_rows_not_at_all() -> None:
    previous = rows((7, 6), (8, 2), (-1, 3), (3, 5))
    now = rows((7, 5), (-1, 1), (7, 2), (8, 3), (3, 5))
    assert label_stability(previous, now, {7, 8}) == 5 / 8
    assert label_stability(rows((-1, 2)), rows((0, 2)), set()) is None


def test_too_little_overlap_is_another_story() -> None:
    previous = rows((7, 2), (-1, 1), (7, 30))
    clusters = rows((0, 3), (-1, 30))
    assert match(previous, clusters, {7}, 50).labels[0] == 50


def test_nothing_at_all_is_nothing() -> None:
    empty = np.empty(0, np.int64)
    lineage = match(empty, empty, set(), 3)
    assert (len(lineage.labels), lineage.events, lineage.next_number) == (0, (), 3)


labellings = st.lists(st.tuples(st.integers(-1, 5), st.integers(-1, 4)), min_size=1, max_size=80)


@given(labellings, st.sets(st.integers(0, 5)), st.randoms(use_true_random=False))
def test_numbers_are_kept_or_new_never_shared_and_every_change_is_told(
    pairs: list[tuple[int, int]], were_open: set[int], random: object
) -> None:
    previous = np.array([pair[0] for pair in pairs], np.int64)
    raw = np.array([pair[1] for pair in pairs], np.int64)
    clusters = raw.copy()
    for number, label in enumerate(np.unique(raw[raw >= 0])):
        clusters[raw == label] = number
    lineage = match(previous, clusters, were_open, 10)
    numbers = lineage.story_of_cluster.tolist()
    assert len(set(numbers)) == len(numbers)
    assert all(number in were_open or number >= 10 for number in numbers)
    assert ((lineage.labels >= 0) == (clusters >= 0)).all()
    born = {event.story for event in lineage.events if event.kind == "born"}
    closed = {event.story for event in lineage.events if event.kind == "closed"}
    assert born == {number for number in numbers if number >= 10}
    assert closed == were_open - set(numbers)
    for event in lineage.events:
        if event.successor >= 0:
            assert event.successor in numbers
        assert not set(event.parents) & {event.story}
    order = np.argsort([hash((pair, 7)) for pair in pairs], kind="stable")
    again = match(previous[order], clusters[order], were_open, 10)
    kept = {number for number in numbers if number < 10}
    assert {number for number in again.story_of_cluster.tolist() if number < 10} == kept or _tied(previous, clusters)


def _tied(previous: npt.NDArray[np.int64], clusters: npt.NDArray[np.int64]) -> bool:
    """Whether two clusters overlap one story alike: then the order of rows may decide."""
    both = (previous >= 0) & (clusters >= 0)
    pairs, counts = np.unique(np.stack([clusters[both], previous[both]]), axis=1, return_counts=True)
    return any(len(set(counts[pairs[1] == story])) < (pairs[1] == story).sum() for story in set(pairs[1])) or any(
        len(set(counts[pairs[0] == cluster])) < (pairs[0] == cluster).sum() for cluster in set(pairs[0])
    )


def test_labels_of_two_lengths_are_refused() -> None:
    with pytest.raises(InvalidGraph, match="3 stories of rows and 4 clusters of rows"):
        match(rows((7, 3)), rows((0, 4)), {7}, 50)
    with pytest.raises(InvalidGraph, match="3 labels before and 4 labels now"):
        label_stability(rows((7, 3)), rows((7, 4)), {7})


def test_a_next_number_that_is_in_use_is_refused() -> None:
    for next_number, known in ((7, set()), (9, {9}), ("9", {7}), (9.5, {7}), (-1, set())):
        with pytest.raises(InvalidGraph, match=f"next_number is {next_number!r}"):
            match(rows((7, 3)), rows((0, 3)), known, next_number)  # type: ignore[arg-type]
    assert match(rows((7, 3)), rows((0, 3)), set(), 8).labels.tolist() == [8, 8, 8]
