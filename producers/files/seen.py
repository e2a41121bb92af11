"""The rows that files have had already, in 16 bytes a row: digests of a key and its content, without the texts."""

from array import array
from enum import Enum

_FULL = 0.7  # share of used slots; beyond it, finding a free slot takes long
_FIRST = 1 << 10  # slots
_LARGE = 1 << 18  # slots; smaller tables grow faster, since memory matters less than time there


class Before(Enum):
    """Whether a key, and its content, came before."""

    NEW = 0
    SAME = 1
    OTHER = 2  # the key came before, with another content


class Seen:
    """A hash table of pairs of 64-bit numbers (open addressing, linear probing).

    Keys are Python's keyed hashes of strings: the chance that any two of a hundred million rows collide is one in 3,000.
    """

    def __init__(self) -> None:
        self._slots = _FIRST
        self._filled = 0
        self._keys = array("q", bytes(8 * _FIRST))
        self._contents = array("q", bytes(8 * _FIRST))

    def __len__(self) -> int:
        """How many keys are remembered."""
        return self._filled

    def look(self, key: str, content: str) -> Before:
        """Whether the key came before, with this content or another; a new key is remembered."""
        keys, mask = self._keys, self._slots - 1
        wanted = hash(key) or 1  # 0 is a free slot
        held = hash(content)
        slot = wanted & mask
        while (there := keys[slot]) != wanted:
            if not there:
                keys[slot] = wanted
                self._contents[slot] = held
                self._filled += 1
                if self._filled > _FULL * self._slots:
                    self._grow()
                return Before.NEW
            slot = (slot + 1) & mask
        return Before.SAME if self._contents[slot] == held else Before.OTHER

    def holds(self, key: str, content: str) -> bool:
        """Whether the key came before with this content; remembers nothing."""
        keys, mask = self._keys, self._slots - 1
        wanted = hash(key) or 1
        slot = wanted & mask
        while (there := keys[slot]) != wanted:
            if not there:
                return False
            slot = (slot + 1) & mask
        return self._contents[slot] == hash(content)

    def absorb(self, other: "Seen") -> None:
        """Takes over what another table remembers; a key that is known keeps its content."""
        for key, content in zip(other._keys, other._contents, strict=True):
            if key:
                self._put(key, content)

    def _put(self, key: int, content: int) -> None:
        mask = self._slots - 1
        slot = key & mask
        while self._keys[slot] not in (0, key):
            slot = (slot + 1) & mask
        if not self._keys[slot]:
            self._keys[slot], self._contents[slot] = key, content
            self._filled += 1
            if self._filled > _FULL * self._slots:
                self._grow()

    def _grow(self) -> None:
        old_keys, old_contents = self._keys, self._contents
        self._slots *= 4 if self._slots < _LARGE else 2
        mask = self._slots - 1
        keys = self._keys = array("q", bytes(8 * self._slots))
        contents = self._contents = array("q", bytes(8 * self._slots))
        for key, content in zip(old_keys, old_contents, strict=True):
            if key:
                slot = key & mask
                while keys[slot]:
                    slot = (slot + 1) & mask
                keys[slot] = key
                contents[slot] = content
