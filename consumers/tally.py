"""What the consumer has done so far, in counts that add up."""

from collections import Counter
from dataclasses import dataclass, field, fields

_MOST_NAMES = 200  # of unknown fields that are counted each for itself; who sends a message may invent any


@dataclass
class Tally:
    """Counts of messages and of the headlines in them.

    Two sums hold: messages = read + tombstones + dead letters + skipped, and headlines = stored + duplicates + edits +
    taken down + refused.
    """

    messages: int = 0
    read: int = 0  # messages with at least one headline that was taken
    tombstones: int = 0  # messages without a value, and envelopes of rows that were deleted
    dead_letters: int = 0  # messages of which nothing was taken
    skipped: int = 0  # messages that `newstide dead-letters skip` passed over
    headlines: int = 0
    stored: int = 0
    duplicates: int = 0
    edits: int = 0  # known by id and url, with another title: the first stays
    taken_down: int = 0  # blocked by a tombstone
    refused: int = 0  # of an array, the others of which were taken
    clashes: int = 0  # of those stored or known: under an id of their own, as another headline had theirs
    ahead: int = 0  # times more than an hour ahead of the message's, replaced by it
    provisional: int = 0  # stored with a story's label
    unreadable: int = 0  # stored without one, since the model cannot read their script
    lost: int = 0  # messages that Kafka had removed before they were read
    new_topics: int = 0  # times that the topic was found made anew under its name
    waiting: dict[int, int] = field(default_factory=dict)  # messages behind a batch that cannot be read, by partition
    unread: Counter[str] = field(default_factory=Counter)  # values that could not be read, by field
    unknown: Counter[str] = field(default_factory=Counter)  # fields that were not understood, by name
    seconds: dict[str, float] = field(default_factory=dict)  # by stage; of inserting, those that the loop waited

    def add(self, other: "Tally") -> None:
        """Adds the counts of a batch that is done."""
        for one in fields(self):
            if one.type is int:
                setattr(self, one.name, getattr(self, one.name) + getattr(other, one.name))
        self.unread.update(other.unread)
        for name, count in other.unknown.items():
            self.unknown[name if name in self.unknown or len(self.unknown) < _MOST_NAMES else "(others)"] += count
        self.took(**other.seconds)

    def took(self, **seconds: float) -> None:
        """Adds to the time spent on stages."""
        for stage, time_spent in seconds.items():
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time_spent
