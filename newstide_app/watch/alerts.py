"""What is told: an alert of one event, a digest of several, or a test; as a text, JSON, and lines of a mail."""

import json
import re
from dataclasses import dataclass
from typing import Any, Literal

from newstide.core.text import clean_plain, shorten
from newstide_app.watch.events import StoryEvent

AlertKind = Literal["alert", "digest", "test"]
Style = Literal["plain", "slack", "mattermost"]

_TITLE = 300  # characters of it that are told
_SUBJECT = 150
_LISTED = 50  # events that the text of a digest lists
_NAMES = 5
_SAID = {
    "born": "New story",
    "grown": "Growing story",
    "merged": "Stories merged",
    "split": "Story split",
    "reopened": "Story is back",
    "closed": "Story ended",
    "retitled": "New title",
}
_GAP = "\u2060"  # word joiner: ends an address or a name that a chat would make a link or a call of
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|~<>:&])")


@dataclass(frozen=True, slots=True)
class Alert:
    """What one target of a watch is told once.

    Attributes:
        key: Names it for ever; a receiver that has seen the key has seen the alert.
        watch: The watch's name.
        kind: What it is.
        events: One; of a digest, all that it stands for.
    """

    key: str
    watch: str
    kind: AlertKind
    events: tuple[StoryEvent, ...]

    def encode(self) -> str:
        """As JSON, for the outbox."""
        events = [event.model_dump(mode="json") for event in self.events]
        return json.dumps({"watch": self.watch, "kind": self.kind, "events": events}, ensure_ascii=False)

    @classmethod
    def decode(cls, key: str, content: str) -> "Alert":
        """What `encode` made."""
        found = json.loads(content)
        events = tuple(StoryEvent.model_validate(event) for event in found["events"])
        return cls(key, found["watch"], found["kind"], events)


def key_of(watch: str, event: StoryEvent) -> str:
    """Of an event's alert: the event's id, with the watch and the time at which the run decided.

    A collection that is made anew, or restored, counts its runs from where it was: the time tells them apart.
    """
    return f"{watch}/{event.id}/{event.at_ms}"


def as_document(alert: Alert, style: Style = "plain", public_url: str = "") -> dict[str, Any]:
    """The body of a webhook and the value of a message: `text` for people, the rest for programs."""
    return {
        "text": as_text(alert, style, public_url),
        "watch": alert.watch,
        "message": alert.kind,
        "key": alert.key,
        "id": alert.events[0].id if alert.kind == "alert" else alert.key,
        "events": [
            {"id": event.id, **event.model_dump(mode="json", exclude={"quiet"}), "link": _link(event, public_url)}
            for event in alert.events
        ],
    }


def as_text(alert: Alert, style: Style = "plain", public_url: str = "") -> str:
    """For people: a line for each event, escaped for who shows it."""
    lines = [_line(event, style, public_url) for event in alert.events[:_LISTED]]
    if len(alert.events) > _LISTED:
        lines.append(f"... and {len(alert.events) - _LISTED:,} more.")
    if alert.kind == "digest":
        lines.insert(0, f"{len(alert.events):,} more, held back by the watch's limit an hour:")
    if alert.kind == "test":
        lines.insert(0, "TEST: newstide sends this to try the target; nothing has happened.")
    return "\n".join([escaped(f"[{alert.watch}]", style) + " " + lines[0], *lines[1:]])


def subject(alert: Alert) -> str:
    """Of a mail: one line."""
    if alert.kind == "digest":
        text = f"{len(alert.events):,} more"
    else:
        event = alert.events[0]
        text = f"{_SAID[event.kind]}: {event.title}"
    test = "TEST " * (alert.kind == "test")
    return shorten(clean_plain(f"[newstide] {test}{alert.watch}: {text}"), _SUBJECT)


def escaped(text: str, style: Style) -> str:
    """A text that a chat shows as it stands: it formats nothing, links nowhere and calls nobody."""
    if style == "slack":
        text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        return _unlinked(text)
    if style == "mattermost":
        return _unlinked(_MARKDOWN.sub(r"\\\1", text)).replace("@", f"@{_GAP}")
    return text


def _unlinked(text: str) -> str:
    return re.sub(r"(?i)(:|\\:)(?=//)|(www)(?=\\?\.)", lambda found: found[0] + _GAP, text)


def _line(event: StoryEvent, style: Style, public_url: str) -> str:
    facts = [f"{event.told_size:,} headlines"]
    facts += [", ".join(names[:_NAMES]) for names in (event.languages, event.sources) if names]
    text = f"{_SAID[event.kind]}: {shorten(clean_plain(event.title), _TITLE)} ({'; '.join(facts)})"
    link = _link(event, public_url)
    return escaped(text, style) + (f" {link}" if link else "")


def _link(event: StoryEvent, public_url: str) -> str:
    return f"{public_url.rstrip('/')}/story/{event.story}" if public_url else ""
