"""What the topic of story events says of each story, folded in the order of runs, against the collection of stories."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from newstide.core.settings import Settings
from newstide.kafka.consumer import records_of

_FIRST, _LAST = ("born",), ("closed",)  # of a run's events of one story


@dataclass(frozen=True)
class State:
    """All that a story's events tell of its row: the rest of the row may change without one."""

    status: str
    successor: int
    parents: tuple[int, ...]
    created_run: int
    title: str


def folded(settings: Settings) -> dict[int, State]:
    """By story's number, what its events make of it; an event that was sent twice counts once."""
    return told(json.loads(record.value) for record in records_of(settings.kafka, settings.kafka.events_topic))


def told(events: Iterable[Mapping[str, Any]]) -> dict[int, State]:
    """`folded`, of messages."""
    once = {event["id"]: event for event in events}
    states: dict[int, State] = {}
    for event in sorted(once.values(), key=_place):
        number = int(event["story"])
        state = states.get(number, State("", -1, (), -1, ""))
        if event["kind"] == "born":
            state = replace(state, created_run=int(event["run"]))
        if event["kind"] in ("born", "grown"):
            state = replace(state, parents=tuple(dict.fromkeys([*state.parents, *map(int, event["parents"])])))
        closed = event["kind"] == "closed"
        states[number] = replace(
            state,
            status="closed" if closed else "open",
            successor=int(event["successor"]) if closed else -1,
            title=str(event["title"]),
        )
    return states


def differing(stories: pd.DataFrame, events: dict[int, State]) -> list[int]:
    """Numbers of the stories of which rows and events do not say the same, or that only one of the two knows."""
    there = {
        int(row["cluster_label"]): State(
            str(row["status"]),
            int(row["successor"]),
            tuple(map(int, row["parents"])),
            int(row["created_run"]),
            str(row["title"]),
        )
        for row in stories.to_dict("records")
    }
    return sorted(number for number in {*there, *events} if there.get(number) != events.get(number))


def _place(event: Mapping[str, Any]) -> tuple[int, int]:
    return int(event["run"]), (event["kind"] not in _FIRST) + (event["kind"] in _LAST)
