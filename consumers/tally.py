"""The consumer's counts of messages and headlines, which add up."""

from collections import Counter
from dataclasses import dataclass, field, fields

from newstide.core.text import shorten

_LONGEST_NAME = 60  # characters of an unknown field's name that the counts keep
_MOST_NAMES = 200  # unknown names that are counted one by one, since senders may invent any number of names


@dataclass
class Tally:
    """Counts of messages and of the headlines in them.

    Two sums hold: messages = read + tombstones + dead letters + skipped, and headlines = stored + duplicates + edits +
    taken down + refused.
    """

    messages: int = 0
    read: int = 0  # messages with at least one headline that was accepted
    tombstones: int = 0  # messages without a value, and envelopes of rows that were deleted
    dead_letters: int = 0  # messages of which nothing was accepted
    skipped: int = 0  # messages that `newstide dead-letters skip` passed over
    headlines: int = 0
    stored: int = 0
    duplicates: int = 0
    edits: int = 0  # headlines with a known id and url and another title; the first title stays
    taken_down: int = 0  # headlines that a tombstone blocks
    refused: int = 0  # elements of arrays with at least one accepted element
    clashes: int = 0  # stored or known headlines that got a derived id, since another headline had their id
    ahead: int = 0  # headlines whose time was too far ahead of the message's, and so was replaced
    provisional: int = 0  # headlines stored with a story's label
    unreadable: int = 0  # headlines stored without a story's label, since the model cannot read their script
    lost: int = 0  # messages that Kafka had removed before they were read
    new_topics: int = 0  # how often the topic was found to be made anew under its name
    waiting: dict[int, int] = field(default_factory=dict)  # messages behind a batch that cannot be read, by partition
    waits: tuple[str, str] | None = None  # what a batch waits for (`Milvus`, `Kafka`, `the model`), and why
    unread: Counter[str] = field(default_factory=Counter)  # values that could not be read, by field
    unknown: Counter[str] = field(default_factory=Counter)  # values of unknown fields, by name
    seconds: dict[str, float] = field(default_factory=dict)  # by stage; for inserting, the seconds that the loop waited

    def add(self, other: "Tally") -> None:
        """Adds the counts of a finished batch."""
        for one in fields(self):
            if one.type is int:
                setattr(self, one.name, getattr(self, one.name) + getattr(other, one.name))
        self.unread.update(other.unread)
        for given, count in other.unknown.items():
            # a sender may escape half a character in a name, which no page of metrics could hold
            name = shorten(given, _LONGEST_NAME).encode(errors="replace").decode()
            self.unknown[name if name in self.unknown or len(self.unknown) < _MOST_NAMES else "(others)"] += count
        self.took(**other.seconds)

    def took(self, **seconds: float) -> None:
        """Adds seconds to the time spent on stages."""
        for stage, time_spent in seconds.items():
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time_spent
