"""How many headlines are embedded together: as many as keep the model busy, and as few as let it be stopped soon."""

from dataclasses import dataclass

FIRST = 16  # headlines, until it is known how long the model takes
SECONDS = (0.5, 2.0)  # shorter, and pieces grow, so that no thread idles; longer, and stopping takes too long
PARTS = 4  # of a full batch, at least: Milvus writes one while the next are embedded
AHEAD = 2  # pieces that a fast model is at: its threads begin the next where the last one leaves some of them idle


@dataclass(frozen=True, slots=True)
class Pace:
    """What is known of the model's speed."""

    piece: int = FIRST  # headlines in a whole piece
    fast: bool = False  # until it is known

    @property
    def at_once(self) -> int:
        """Pieces that the model is given before it is done with the first of them."""
        return AHEAD if self.fast else 1

    def next(self, left: int) -> int:
        """How many headlines of those left are embedded together: ever fewer at the end, for which nothing runs beside."""
        return min(self.piece, max(left // 2, self.piece // PARTS, FIRST))

    def after(self, headlines: int, seconds: float, batch_size: int) -> "Pace":
        """The pace after a piece of so many headlines took so long: twice as much or half as much at once, or the same.

        Args:
            headlines: In the piece.
            seconds: That the model took.
            batch_size: Of a full batch.
        """
        short, long = SECONDS
        piece = self.piece
        if seconds > long:
            piece = max(1, headlines // 2)
        elif headlines == piece and seconds < short:
            piece = min(2 * piece, max(piece, batch_size // PARTS))
        return Pace(piece, AHEAD * seconds < long)  # what it is at together takes no longer than one piece may
