"""Which runs alert nobody: the first, and those that compare more than the news; their events say so."""

import json
from types import SimpleNamespace
from typing import Any

import pytest

from clustering.run.reclusterer import _Run
from newstide.core.settings import Settings
from newstide.kafka.consumer import records_of


def test_events_of_the_first_run_say_that_they_are_to_alert_nobody_and_those_of_the_next_do_not(
    newsroom: Settings,
) -> None:
    events = [json.loads(record.value) for record in records_of(newsroom.kafka, newsroom.kafka.events_topic)]
    assert {event["quiet"] for event in events if event["run"] == 1} == {"first run"}
    assert {event["quiet"] for event in events if event["run"] == 2} == {""}


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
