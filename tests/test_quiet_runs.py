"""Which runs alert nobody: the first, and those that compare more than the news; their events say so."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from clustering.run.reclusterer import _Run, recluster
from newstide.core.settings import Settings
from newstide.core.watch_settings import WatchSettings
from newstide.kafka.consumer import records_of
from newstide_app.maintenance.backup import back_up
from newstide_app.maintenance.reembed import reembed
from newstide_app.maintenance.restore import restore
from newstide_app.watch.events import StoryEvent, read_event
from newstide_app.watch.matching import Watch
from producers.sample import day_file
from tests.harness.newsroom import PLAIN_MAP, add_headlines, for_the_day

EVERYTHING = Watch(WatchSettings(
    name="all", kinds=("born", "reopened", "grown", "merged", "split", "closed", "retitled"), kafka=({"topic": "told"},)
))  # fmt: skip


def test_events_of_the_first_run_say_that_they_are_to_alert_nobody_and_those_of_the_next_do_not(
    newsroom: Settings,
) -> None:
    events = events_of(newsroom)
    assert {event.quiet for event in events if event.run == 1} == {"first run"}
    assert {event.quiet for event in events if event.run == 2} == {""}


@pytest.mark.parametrize(
    ("counts", "parameters", "why"),
    [
        ({}, {"window": "7d"}, ""),
        ({}, {"window": "3d"}, "other settings"),
        ({}, {"window": "7d", "model": "bge-m3"}, "another model"),
        ({"restored": True}, {"window": "7d"}, "restored"),
    ],
)
def test_a_run_after_a_restore_another_model_or_other_settings_is_quiet(
    counts: dict[str, Any], parameters: dict[str, Any], why: str
) -> None:
    run: Any = object.__new__(_Run)
    run._last, run._parameters = SimpleNamespace(counts=counts, parameters=parameters), {"window": "7d"}
    assert run._why_quiet() == why


def events_of(settings: Settings) -> list[StoryEvent]:
    """As a watch reads them from the topic."""
    return [read_event(record.value) for record in records_of(settings.kafka, settings.kafka.events_topic)]


class Day:
    """A day whose headlines come in parts, with a run after each."""

    def __init__(self) -> None:
        self._lines = iter(day_file().read_text(encoding="utf-8").splitlines())

    def run(self, settings: Settings, headlines: int = 60) -> str:
        """The next part and its run: `told` or `quiet`; the run had something to tell."""
        add_headlines(settings, [json.loads(line) for line, _ in zip(self._lines, range(headlines), strict=False)])
        number = recluster(settings).run
        events = [event for event in events_of(settings) if event.run == number]
        assert events, f"run {number} tells nothing"
        matching = EVERYTHING.matching(events)
        assert len(matching) in (0, len(events))
        return "told" if matching else "quiet"


def test_watches_are_told_nothing_of_a_real_first_run_of_another_window_a_restore_and_a_reembed_and_all_of_the_runs_after(
    settings: Settings, tmp_path: Path
) -> None:
    old = for_the_day(settings).updated(embedding={"model": "use-multilingual"}, layout=PLAIN_MAP.model_dump())
    day = Day()
    assert [day.run(old, 120), day.run(old)] == ["quiet", "told"]
    narrow = old.updated(clustering={"window": "7d"})
    assert [day.run(narrow), day.run(narrow)] == ["quiet", "told"]
    back_up(narrow, tmp_path / "all.parquet")
    elsewhere = narrow.updated(data_dir=tmp_path / "elsewhere", milvus={"prefix": f"{settings.milvus.prefix}b_"})
    restore(elsewhere, tmp_path / "all.parquet")
    assert [day.run(elsewhere), day.run(elsewhere)] == ["quiet", "told"]
    assert reembed(elsewhere, "multilingual-e5-small").swapped
    new = elsewhere.updated(embedding={"model": None})
    assert [day.run(new), day.run(new)] == ["quiet", "told"]
