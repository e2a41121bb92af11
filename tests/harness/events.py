"""What the topic of story events says of each story, folded in the order of runs."""

import json

from newstide.core.settings import Settings
from newstide.kafka.consumer import records_of

State = tuple[str, int]  # status and successor, as in the collection of stories


def folded(settings: Settings) -> dict[int, State]:
    """By story's number, what its events make of it; an event that was sent twice counts once."""
    events = {}
    for record in records_of(settings.kafka, settings.kafka.events_topic):
        event = json.loads(record.value)
        events[event["id"]] = event
    states: dict[int, State] = {}
    for event in sorted(events.values(), key=lambda one: (one["run"], one["kind"] == "closed")):
        closed = event["kind"] == "closed"
        states[int(event["story"])] = ("closed", int(event["successor"])) if closed else ("open", -1)
    return states
