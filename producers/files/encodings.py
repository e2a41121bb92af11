"""Text from the bytes of files, by the rules of `newstide.core.encodings`.

Undecodable bytes become lone surrogates, so that only their own row is refused.
"""

import codecs
import io
from collections.abc import Callable, Iterator
from typing import Any

from newstide.core.encodings import ERRORS, MARKS, decided
from producers.files.containers import DAMAGE, Source, damaged

MAX_LINE = 4 * 1024 * 1024  # characters of a line; longer lines are cut
_PIECE = 1 << 16  # bytes read at once
_LOOK = 1 << 20  # bytes, from the first that is not ASCII, that decide the encoding
_WAY_OUT = "name another with --encoding"

Line = tuple[int, str, bool]  # number from 1, text with its line end, whether it is whole


def text_lines(stream: Source, file: str, encoding: str | None, said: Callable[[str], None]) -> Iterator[Line]:
    """Lines as an editor shows them (ended by LF, CR LF or CR); of a line that is too long, only the start is given.

    Args:
        stream: The bytes.
        file: The file's name, for errors.
        encoding: The encoding that the user names; None: it is found.
        said: Is called with a note where the encoding is not UTF-8.

    Raises:
        SourceError: The packed data ends too early or is damaged; the lines before were yielded.
    """
    number = 0
    pending = ""
    skipping = False  # within the rest of a line that was too long
    try:
        for text in _pieces(stream, encoding, said):
            lines = io.StringIO(pending + text, newline="").readlines()
            at_end = text == ""
            pending = "" if at_end or not lines or lines[-1].endswith("\n") else lines.pop()
            for line in lines:
                if skipping:
                    skipping = False
                    continue
                number += 1
                yield number, line, True
            if skipping:
                pending = "\r" if pending.endswith("\r") else ""  # it may end the line, or begin the end of it
            elif len(pending) > MAX_LINE:
                number += 1
                yield number, pending[:MAX_LINE], False
                skipping, pending = True, ""
    except DAMAGE as error:
        raise damaged(file, error, f" after line {number:,}") from None


def whole_text(data: bytes, encoding: str | None, said: Callable[[str], None]) -> str:
    """A document's whole text; undecodable bytes become lone surrogates."""
    chosen, mark = decided(data, encoding, said, _WAY_OUT)
    return data[mark:].decode(chosen, ERRORS)


def lines_of(text: str) -> list[str]:
    """A text's lines with their ends, as `text_lines` gives them: other separators, such as U+2028, end no line."""
    return io.StringIO(text, newline="").readlines()


def undecodable(text: str) -> int | None:
    """The first byte in a text that could not be decoded; None where all could."""
    if text.isascii():
        return None
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return ord(text[error.start]) & 0xFF
    return None


def printable(text: str) -> str:
    """The text without lone surrogates, so that it can be written to a file."""
    return text.encode("utf-8", "replace").decode()


def _pieces(stream: Source, encoding: str | None, said: Callable[[str], None]) -> Iterator[str]:
    """Decoded pieces, an empty one last. While all is ASCII, the encoding is open."""
    start = stream.head()
    decoder: Any = None
    if encoding is not None or b"\0" in start or any(start.startswith(mark) for mark, _ in MARKS):
        chosen, mark = decided(stream.head(_LOOK), encoding, said, _WAY_OUT)
        decoder = codecs.getincrementaldecoder(chosen)(ERRORS)
        stream.take(mark)
    while piece := stream.take(_PIECE):
        if decoder is None and not piece.isascii():
            chosen, _ = decided(piece + stream.head(_LOOK), None, said, _WAY_OUT)
            decoder = codecs.getincrementaldecoder(chosen)(ERRORS)
        if text := piece.decode("ascii") if decoder is None else decoder.decode(piece):
            yield text
    if decoder is not None and (text := decoder.decode(b"", True)):
        yield text
    yield ""
