"""The outbox: what is queued, held back, told once, dropped and forgotten, and that it survives its process."""

from pathlib import Path
from typing import Any

import pytest

from newstide.core.errors import NewstideError
from newstide_app.watch.delivery import pause
from newstide_app.watch.outbox import HOUR, Outbox
from tests.harness.watching import as_event, made_event

NOW = 1_790_000_000.0
AT = int(NOW * 1000)
TARGETS = ["floods/webhook", "floods/mail"]


@pytest.fixture
def outbox() -> Outbox:
    return Outbox(":memory:")


def add(outbox: Outbox, story: int, kind: str = "born", *, limit: int = 1000, now: float = NOW, **fields: Any) -> str:
    return outbox.add(as_event(made_event(story, kind, at=AT, **fields)), "floods", TARGETS, limit, now)


def waiting(outbox: Outbox) -> list[int]:
    return [state.waiting for state in outbox.states(TARGETS).values()]


def test_an_event_is_queued_once_for_each_target_however_often_it_comes(outbox: Outbox) -> None:
    assert add(outbox, 1) == "queued"
    assert add(outbox, 1) == "known"
    assert waiting(outbox) == [1, 1]


def test_a_story_is_told_of_once_a_kind_unless_it_doubles(outbox: Outbox) -> None:
    assert add(outbox, 1, "grown", run=1, size=10) == "queued"
    assert add(outbox, 1, "grown", run=2, size=19) == "told"
    assert add(outbox, 1, "merged", run=2, size=19) == "queued"
    assert add(outbox, 1, "grown", run=3, size=20) == "queued"
    assert add(outbox, 1, "grown", run=4, size=39) == "told"
    assert add(outbox, 2, "grown", run=4, size=10) == "queued"


def test_what_one_watch_was_told_is_news_to_another(outbox: Outbox) -> None:
    assert add(outbox, 1) == "queued"
    event = as_event(made_event(1, at=AT))
    assert outbox.add(event, "storms", ["storms/webhook"], 1000, NOW) == "queued"
    assert outbox.add(as_event(made_event(1, run=8, at=AT)), "storms", ["storms/webhook"], 1000, NOW) == "told"


def test_a_story_that_ended_is_told_of_once_though_its_size_is_nothing(outbox: Outbox) -> None:
    assert add(outbox, 1, "closed", run=1, size=0, previous_size=6) == "queued"
    assert add(outbox, 1, "closed", run=2, size=0, previous_size=7) == "told"


def test_collections_made_anew_count_runs_again_and_their_stories_are_others(outbox: Outbox) -> None:
    assert add(outbox, 1, run=5) == "queued"
    later = as_event(made_event(1, run=5, at=AT + 60_000))
    assert outbox.add(later, "floods", TARGETS, 1000, NOW) == "queued"
    assert outbox.add(later, "floods", TARGETS, 1000, NOW) == "known"


def test_more_than_the_hours_limit_comes_as_one_digest(outbox: Outbox) -> None:
    outcomes = [add(outbox, story, limit=3, now=NOW + story) for story in range(8)]
    assert outcomes == ["queued"] * 3 + ["held"] * 5
    assert outbox.release("floods", 3, NOW + 100) == 0
    assert outbox.release("floods", 3, NOW + HOUR + 1) == 5
    assert outbox.release("floods", 3, NOW + HOUR + 1) == 0
    for target in TARGETS:
        kinds = []
        while (queued := outbox.next(target)) is not None:
            kinds.append((queued.alert.kind, len(queued.alert.events)))
            outbox.delivered(target, queued.number)
        assert kinds == [("alert", 1)] * 3 + [("digest", 5)]
    assert waiting(outbox) == [0, 0]


def test_a_digest_counts_as_a_message_of_its_hour(outbox: Outbox) -> None:
    add(outbox, 1, limit=1)
    add(outbox, 2, limit=1)
    assert outbox.release("floods", 1, NOW + HOUR + 1) == 1
    assert add(outbox, 3, limit=1, now=NOW + HOUR + 2) == "held"


def test_a_full_queue_drops_the_oldest_but_the_one_that_may_be_on_its_way_and_counts() -> None:
    outbox = Outbox(":memory:", queue=3)
    for story in range(6):
        add(outbox, story)
    state = outbox.states(TARGETS)[TARGETS[0]]
    assert (state.waiting, state.dropped) == (3, 3)
    found = []
    while (queued := outbox.next(TARGETS[0])) is not None:
        found.append(queued.alert.events[0].story)
        outbox.delivered(TARGETS[0], queued.number)
    assert found == [0, 4, 5]


def test_failures_stand_with_their_reason_until_the_target_takes_something(outbox: Outbox) -> None:
    add(outbox, 1)
    queued = outbox.next(TARGETS[0])
    assert queued is not None
    outbox.failed(TARGETS[0], queued.number, "it answers 500", NOW)
    outbox.failed(TARGETS[0], queued.number, "it answers 502", NOW + 9)
    state = outbox.states(TARGETS)[TARGETS[0]]
    assert (state.failing_since, state.reason) == (NOW, "it answers 502")
    outbox.delivered(TARGETS[0], queued.number)
    state = outbox.states(TARGETS)[TARGETS[0]]
    assert (state.failing_since, state.reason, state.delivered) == (None, "", 1)


def test_what_waits_for_a_target_that_is_gone_is_dropped_and_what_is_long_done_forgotten(outbox: Outbox) -> None:
    add(outbox, 1)
    queued = outbox.next(TARGETS[1])
    assert queued is not None
    outbox.delivered(TARGETS[1], queued.number)
    assert outbox.forget(TARGETS[1:], NOW + 1) == 1
    assert add(outbox, 1) == "known"
    outbox.forget(TARGETS[1:], NOW + 31 * 86_400)
    assert add(outbox, 1) == "told"


def test_what_is_inside_a_step_that_breaks_off_is_not_there(outbox: Outbox) -> None:
    def half() -> None:
        with outbox.writing():
            add(outbox, 1)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        half()
    assert waiting(outbox) == [0, 0]
    assert add(outbox, 1) == "queued"


def test_the_outbox_is_there_for_the_next_process(tmp_path: Path) -> None:
    first = Outbox(tmp_path / "new" / "watch.sqlite")
    add(first, 1)
    second = Outbox(tmp_path / "new" / "watch.sqlite")  # as after a kill: the first was never closed
    assert add(second, 1) == "known"
    queued = second.next(TARGETS[0])
    assert queued is not None
    assert queued.alert.events[0].title == "Flood closes bridge 1"


def test_a_file_that_is_no_outbox_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "watch.sqlite").write_text("this is no database, and long enough to be looked at " * 20)
    with pytest.raises(NewstideError, match=r"watch\.sqlite cannot be used as the outbox"):
        Outbox(tmp_path / "watch.sqlite")


def test_waits_grow_to_the_longest_are_spread_and_heed_what_a_target_asks() -> None:
    assert all(0.5 <= pause(0, 900) <= 1 for _ in range(100))
    assert all(8 <= pause(4, 900) <= 16 for _ in range(100))
    assert all(450 <= pause(500, 900) <= 900 for _ in range(100))
    assert len({pause(3, 900) for _ in range(10)}) > 1
    assert pause(0, 900, asked=120) == 120
