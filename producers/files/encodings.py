"""Text from bytes: UTF-8, UTF-16 or UTF-32 where the bytes are valid; otherwise a common encoding is guessed.

Undecodable bytes become lone surrogates, so that only their own row is refused.
"""

import codecs
import io
import re
from collections.abc import Callable, Iterator
from typing import Any

from producers.files.containers import DAMAGE, Source, damaged

MAX_LINE = 4 * 1024 * 1024  # characters of a line; longer lines are cut
_PIECE = 1 << 16  # bytes read at once
_LOOK = 1 << 20  # bytes, from the first that is not ASCII, that decide the encoding
_FEW = 40  # bytes beyond ASCII; a guess from fewer is often wrong
_SAMPLE = 1 << 16  # bytes for a guess: those that are not ASCII, with their surroundings
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # first, since UTF-16's mark is the beginning of this one
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_WIDE = ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")
_COMMON = (  # of equally likely encodings, the first in this list is taken
    "cp1252", "cp1251", "cp1250", "gb18030", "shift_jis", "euc_kr", "big5", "euc_jp", "cp1256", "cp1253", "cp1254",
    "cp1255", "koi8_r", "iso8859_2", "iso8859_7", "cp1257", "mac_roman", "cp866", "cp874", "cp437",
)  # fmt: skip
# A character in twice three bytes, as Java and MySQL write some.
_CESU = re.compile(
    rb"\xed[\xa0-\xaf][\x80-\xbf]\xed[\xb0-\xbf][\x80-\xbf]"
)  # a character in twice three bytes, as Java and MySQL write it
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]")
# A sign beyond ASCII between letters, at a word's end or beginning, or a capital beyond ASCII behind a small letter.
_WITHIN_WORDS = re.compile(
    r"(?<=[^\W\d_])[\x80-\x9f¡-©¬-¶¹¼-¿×÷ˇ-˝†-•‰€™](?=[^\W\d_])|[¢¶](?=[^\W\d_])|(?<=[a-z])[À-ÖØ-ÞĄĆĘĽŁŃŚŠŤŹŻŽ]"
)
_ERRORS = "newstide.undecodable"

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
    chosen, mark = _decided(data, encoding, said)
    return data[mark:].decode(chosen, _ERRORS)


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
    if encoding is not None or b"\0" in start or any(start.startswith(mark) for mark, _ in _MARKS):
        chosen, mark = _decided(stream.head(_LOOK), encoding, said)
        decoder = codecs.getincrementaldecoder(chosen)(_ERRORS)
        stream.take(mark)
    while piece := stream.take(_PIECE):
        if decoder is None and not piece.isascii():
            chosen, _ = _decided(piece + stream.head(_LOOK), None, said)
            decoder = codecs.getincrementaldecoder(chosen)(_ERRORS)
        if text := piece.decode("ascii") if decoder is None else decoder.decode(piece):
            yield text
    if decoder is not None and (text := decoder.decode(b"", True)):
        yield text
    yield ""


def _decided(data: bytes, encoding: str | None, said: Callable[[str], None]) -> tuple[str, int]:
    """The encoding, and how many bytes its mark takes."""
    for mark, name in _MARKS:
        if data.startswith(mark) and (encoding is None or codecs.lookup(encoding).name.startswith(name[:6])):
            if name != "utf-8":
                said(f"encoding {name[:-3]}")
            return name, len(mark)
    if encoding is not None:
        return encoding, 0
    if b"\0" in data and (wide := _wide(data)):
        said(f"encoding {wide}, without a mark")
        return wide, 0
    if data.isascii() or _mostly_utf8(data):
        return "utf-8", 0
    guess = _guessed(data)
    few = "from few characters; " if sum(byte > 127 for byte in data[:_SAMPLE]) < _FEW else ""
    said(f"encoding guessed: {guess} ({few}name another with --encoding)")
    return guess, 0


def _mostly_utf8(data: bytes) -> bool:
    """Whether, beyond ASCII, more characters are valid UTF-8 than bytes are not."""
    beyond = _BEYOND_ASCII.findall(codecs.getincrementaldecoder("utf-8")(_ERRORS).decode(data))
    wrong = sum(1 for character in beyond if "\udc00" <= character <= "\udcff")
    return len(beyond) > 2 * wrong


def _wide(data: bytes) -> str:
    """UTF-16 or UTF-32 without a mark: the one in which line ends, spaces and delimiters come most often."""
    best, most = "", 0
    for name in _WIDE:
        text = codecs.getincrementaldecoder(name)(_ERRORS).decode(data[:_SAMPLE])
        wrong = sum(1 for character in text if "\ud800" <= character <= "\udfff" or character == "\0")
        marks = sum(map(text.count, "\n,; \t"))
        if wrong <= len(text) / 50 and marks > most:
            best, most = name, marks
    return best


def _guessed(data: bytes) -> str:
    """One of the common encodings, from the lines that hold more than ASCII."""
    from charset_normalizer import from_bytes

    sample = b"\n".join(line for line in data.splitlines() if not line.isascii())[:_SAMPLE]
    found = list(from_bytes(sample, cp_isolation=list(_COMMON), preemptive_behaviour=False))
    if not found:
        return _COMMON[0]
    oddness = {
        match.encoding: (_odd(sample.decode(match.encoding, "replace")), match.chaos, -match.coherence)
        for match in found
    }
    best = min(oddness.values())
    names = [
        name
        for match in found
        if oddness[match.encoding] == best
        for name in (match.encoding, *match.could_be_from_charset)
    ]
    return min(names, key=lambda name: _COMMON.index(name) if name in _COMMON else len(_COMMON))


def _odd(text: str) -> int:
    """How many signs and capitals stand within words, as a wrong encoding puts them there."""
    return len(_WITHIN_WORDS.findall(text))


def _as_surrogates(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    if error.encoding == "utf-8" and (pair := _CESU.match(error.object, error.start)) is not None:
        return pair[0].decode("utf-8", "surrogatepass").encode("utf-16", "surrogatepass").decode("utf-16"), pair.end()
    wrong = error.object[error.start : error.end]
    return "".join(chr(0xDC00 + byte) for byte in wrong), error.end


codecs.register_error(_ERRORS, _as_surrogates)
