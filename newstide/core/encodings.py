"""The encoding of bytes: UTF-8, UTF-16 or UTF-32 where the bytes are valid; otherwise a common encoding is guessed.

Files and feeds are decoded by these rules, with the error handler `ERRORS`: an undecodable byte becomes a lone surrogate.
"""

import codecs
import re
from collections.abc import Callable

ERRORS = "newstide.undecodable"
MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # first, since UTF-16's mark is the beginning of this one
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_FEW = 40  # bytes beyond ASCII; a guess from fewer is often wrong
_SAMPLE = 1 << 16  # bytes for a guess: those that are not ASCII, with their surroundings
_WIDE = ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")
_COMMON = (  # of equally likely encodings, the first in this list is taken
    "cp1252", "cp1251", "cp1250", "gb18030", "shift_jis", "euc_kr", "big5", "euc_jp", "cp1256", "cp1253", "cp1254",
    "cp1255", "koi8_r", "iso8859_2", "iso8859_7", "cp1257", "mac_roman", "cp866", "cp874", "cp437",
)  # fmt: skip
# A character in twice three bytes, as Java and MySQL write some.
_CESU = re.compile(rb"\xed[\xa0-\xaf][\x80-\xbf]\xed[\xb0-\xbf][\x80-\xbf]")
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]")
# A sign beyond ASCII between letters, at a word's end or beginning, or a capital beyond ASCII behind a small letter.
_WITHIN_WORDS = re.compile(
    r"(?<=[^\W\d_])[\x80-\x9f¡-©¬-¶¹¼-¿×÷ˇ-˝†-•‰€™](?=[^\W\d_])|[¢¶](?=[^\W\d_])|(?<=[a-z])[À-ÖØ-ÞĄĆĘĽŁŃŚŠŤŹŻŽ]"
)


def decided(data: bytes, encoding: str | None, said: Callable[[str], None], way_out: str = "") -> tuple[str, int]:
    """The encoding, and how many bytes its mark takes.

    Args:
        data: The beginning of the bytes, or all.
        encoding: The encoding that somebody names; None: it is found.
        said: Is called with a note where the encoding is not UTF-8.
        way_out: What a note on a guess advises.
    """
    for mark, name in MARKS:
        if data.startswith(mark) and (encoding is None or codecs.lookup(encoding).name.startswith(name[:6])):
            if name != "utf-8":
                said(f"encoding {name[:-3]}")
            return name, len(mark)
    if encoding is not None:
        return encoding, 0
    if b"\0" in data and (wide := _wide(data)):
        said(f"encoding {wide}, without a mark")
        return wide, 0
    if data.isascii() or mostly_utf8(data):
        return "utf-8", 0
    guess = _guessed(data)
    few = "from few characters" if sum(byte > 127 for byte in data[:_SAMPLE]) < _FEW else ""
    aside = "; ".join(filter(None, (few, way_out)))
    said(f"encoding guessed: {guess} ({aside})" if aside else f"encoding guessed: {guess}")
    return guess, 0


def mostly_utf8(data: bytes) -> bool:
    """Whether, beyond ASCII, more characters are valid UTF-8 than bytes are not."""
    beyond = _BEYOND_ASCII.findall(codecs.getincrementaldecoder("utf-8")(ERRORS).decode(data))
    wrong = sum(1 for character in beyond if "\udc00" <= character <= "\udcff")
    return len(beyond) > 2 * wrong


def _wide(data: bytes) -> str:
    """UTF-16 or UTF-32 without a mark: the one in which line ends, spaces and delimiters come most often."""
    best, most = "", 0
    for name in _WIDE:
        text = codecs.getincrementaldecoder(name)(ERRORS).decode(data[:_SAMPLE])
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


codecs.register_error(ERRORS, _as_surrogates)
