"""The size of a piece: so many headlines embedded together keep the model busy, and let it stop soon."""

from dataclasses import dataclass

FIRST = 16  # headlines, until it is known how long the model takes
SECONDS = (
    0.5,
    2.0,
)  # pieces that take less grow, since threads idle; those that take more shrink
PARTS = 4  # least pieces of a full batch: Milvus writes one while the next is embedded
AHEAD = 2  # pieces that a fast model gets at once: threads that are done with one begin the next


@dataclass(frozen=True, slots=True)
class Pace:
    """The size of a piece, and whether the model is fast."""

    piece: int = FIRST  # headlines in a whole piece
    fast: bool = False  # unknown before the first piece

    @property
    def at_once(self) -> int:
        """How many pieces the model is given before it is done with the first of them."""
        return AHEAD if self.fast else 1

    def next(self, left: int) -> int:
        """The size of the next piece: smaller towards the batch's end, since nothing runs beside the last piece."""
        return min(self.piece, left, max(left // 2, self.piece // PARTS, FIRST))

    def after(self, headlines: int, seconds: float, batch_size: int) -> "Pace":
        """The pace after a piece took so many seconds: pieces of twice the size, half the size, or the same size.

        Args:
            headlines: The headlines of the piece.
            seconds: The time that the model took.
            batch_size: The headlines of a full batch.
        """
        short, long = SECONDS
        piece = self.piece
        if seconds > long:
            piece = max(1, headlines // 2)
        elif headlines == piece and seconds < short:
            piece = min(2 * piece, max(piece, batch_size // PARTS))
        return Pace(piece, AHEAD * seconds < long)  # all pieces at once may take no longer than one piece may
