"""Watches on trial: what they would have sent, and a test of their targets."""

import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any

from newstide.core.errors import NoEvent, SettingsError, Undelivered
from newstide.core.settings import Settings
from newstide.core.text import iso_time
from newstide.kafka.consumer import records_of
from newstide_app.watch.alerts import Alert, as_text
from newstide_app.watch.events import StoryEvent, read_event
from newstide_app.watch.outbox import Outbox
from newstide_app.watch.service import meanings_of, watches_of
from newstide_app.watch.targets import targets_of

TEST_TITLE = "This is a test of your watch"


@dataclass(frozen=True, slots=True)
class WouldSend:
    """An alert that would have been sent: `outcome` is `queued`, or `held` for a digest."""

    at: str
    watch: str
    targets: tuple[str, ...]
    outcome: str
    text: str

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def dry_run(settings: Settings, since_ms: int) -> tuple[list[WouldSend], Mapping[str, int]]:
    """What the watches would have sent of the events since then, by the same rules; nothing is sent or noted.

    Args:
        settings: Watches, and where Kafka is.
        since_ms: Epoch ms.

    Returns:
        Alerts in the order of their events, and counts: `events`, `quiet`, `unreadable`, `told`.
    """
    watches, meanings = watches_of(settings), meanings_of(settings)
    counts = dict.fromkeys(("events", "quiet", "unreadable", "told"), 0)
    events: list[StoryEvent] = []
    for record in records_of(settings.kafka, settings.kafka.events_topic):
        try:
            event = read_event(record.value)
        except NoEvent:
            counts["unreadable"] += 1
            continue
        if event.at_ms >= since_ms:
            events.append(event)
    events.sort(key=lambda event: (event.at_ms, event.run, event.story))
    counts["events"], counts["quiet"] = len(events), sum(bool(event.quiet) for event in events)
    found: list[tuple[int, WouldSend]] = []
    outbox = Outbox(":memory:")
    for watch in watches:
        wanted = watch.settings
        for event in watch.matching(events, meanings):
            moment = event.at_ms / 1000
            outbox.release(watch.name, wanted.most_an_hour, moment)
            outcome = outbox.add(event, watch.name, wanted.target_names, wanted.most_an_hour, moment)
            counts["told"] += outcome == "told"
            if outcome in ("queued", "held"):
                text = as_text(Alert("", watch.name, "alert", (event,)))
                would = WouldSend(iso_time(event.at_ms), watch.name, tuple(wanted.target_names), outcome, text)
                found.append((event.at_ms, would))
    outbox.close()
    return [would for _, would in sorted(found, key=lambda one: one[0])], counts


def send_test(settings: Settings, name: str) -> dict[str, str]:
    """Sends one marked test to each target of a watch, past the outbox; by target, why it failed, or nothing.

    Raises:
        SettingsError: There is no watch of that name.
    """
    chosen = [watch for watch in settings.watch if watch.name == name]
    if not chosen:
        names = ", ".join(watch.name for watch in settings.watch) or "none"
        raise SettingsError(f"There is no watch {name!r}.", f"Watches: {names}.")
    moment = int(time.time() * 1000)
    event = StoryEvent(run=0, at=iso_time(moment), kind="born", story=0, title=TEST_TITLE, size=1)
    outcomes: dict[str, str] = {}
    with ExitStack() as closing:
        for target, one in targets_of(settings.model_copy(update={"watch": tuple(chosen)}), closing).items():
            try:
                one.deliver(Alert(f"{name}/test/{moment}", name, "test", (event,)))
            except Undelivered as error:
                outcomes[target] = error.message
            else:
                outcomes[target] = ""
    return outcomes
