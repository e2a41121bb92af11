"""Texts as newstide holds and shows them: cleaned of markup and of what harms, cut to size; times as ISO 8601.

Files, feeds and messages are all cleaned by `clean`, which leaves a cleaned text as it is.
"""

import re
import unicodedata
from datetime import UTC, datetime
from html import unescape
from html.entities import html5

from newstide.core.nulls import NULLS

_MARKS = 30  # combining marks on one letter, as in the Stream-Safe Text Format (UAX #15); ordering them is quadratic
_ROUNDS = 8  # of undoing markup within markup; a text that still holds some is hostile
_ELEMENTS = (
    "a|abbr|acronym|address|applet|area|article|aside|audio|b|base|basefont|bdi|bdo|big|blockquote|body|br|button|"
    "canvas|caption|center|cite|code|col|colgroup|data|datalist|dd|del|details|dfn|dialog|dir|div|dl|dt|em|embed|"
    "fieldset|figcaption|figure|font|footer|form|frame|frameset|h[1-6]|head|header|hgroup|hr|html|i|iframe|img|input|"
    "ins|kbd|label|legend|li|link|main|map|mark|menu|meta|meter|nav|nobr|noframes|noscript|object|ol|optgroup|option|"
    "output|p|param|picture|pre|progress|q|rp|rt|ruby|s|samp|script|search|section|select|slot|small|source|span|"
    "strike|strong|style|sub|summary|sup|svg|table|tbody|td|template|textarea|tfoot|th|thead|time|title|tr|track|tt|u|"
    "ul|var|video|wbr"
)
_INLINE = re.compile(  # their tags stand within words: H<sub>2</sub>O
    "a|abbr|acronym|b|bdi|bdo|big|cite|code|data|del|dfn|em|font|i|ins|kbd|label|mark|nobr|q|s|samp|small|span|strike|"
    "strong|sub|sup|time|tt|u|var|wbr",
    re.IGNORECASE,
)
_ATTRIBUTES = r"""(?:[\s/](?:[^<>"']|"[^"<]*"|'[^'<]*')*)?"""  # nothing holds a <: linear in any text
_UNSEEN = re.compile(rf"<(?:(script)|(style))\b{_ATTRIBUTES}>|<!--", re.IGNORECASE)  # begins what no reader sees
_CLOSINGS = {  # by the group of `_UNSEEN` that is found
    None: re.compile("(-->)"),
    1: re.compile(r"</script\b(\s*>)?", re.IGNORECASE),
    2: re.compile(r"</style\b(\s*>)?", re.IGNORECASE),
}
_TAG = re.compile(rf"</?({_ELEMENTS}){_ATTRIBUTES}>|<!doctype\b[^<>]*>", re.IGNORECASE)
_AMPERSANDS = re.compile(r"&(?:(?:amp|AMP|#0*38|#[xX]0*26);)+")  # an ampersand, escaped once or several times
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_MAY_BE_ENTITY = re.compile("&[#A-Za-z\u212a]")  # the sign of kelvin is a K once normalised
_BYTES_BEGIN = ("b'", 'b"')
_BYTES = re.compile(r"""\s*b(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)")\s*""", re.DOTALL)
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|(.))", re.DOTALL)
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t"}
_PAIRED = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")  # embeddings, overrides, isolates
_SEEN = frozenset("\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd")
_NO_TITLES = frozenset(
    ["na", "[removed]", "[deleted]", "(removed)", "(deleted)", "[no title]", "(no title)", *map(str.casefold, NULLS)]
)  # fmt: skip
_LONGEST_NO_TITLE = max(map(len, _NO_TITLES))
_RULED = re.compile(r"[\s\-–—_=:|.*~]+")  # what rules off the parts of a table
_BARE_LINK = re.compile(r"<?(?:https?://|www\.)\S+", re.IGNORECASE)


def clean(text: str, *, lines: bool = False) -> str:
    """Text as it is read: without tags, entities and CDATA marks, and as `clean_plain` leaves it.

    Names of HTML elements alone are tags: `<INTC.O>`, `a < b` and `<3` stay. Python's `b'...'` gives way to its text.
    `clean(clean(text)) == clean(text)`.
    """
    if text.isprintable() and "<" not in text and "&" not in text and "  " not in text and "]]>" not in text:
        first = text[:1]  # most texts are one line without markup: the others take ten times as long
        if first != " " and text[-1:] != " " and not (first == "b" and text[1:2] in ("'", '"')):
            return text if text.isascii() else _composed(text)
    if not lines or "\n" not in text:
        line = " ".join(text.split())
        if line.isprintable() and not _may_hold_markup(line):
            return line if line.isascii() else _composed(line)
    kept = _visible(text)
    for _ in range(_ROUNDS):
        before = kept
        kept = _visible(_without_markup(kept))
        if kept == before:
            break
    else:
        kept = kept.replace("&", " ").replace("<", " ")
    return _spaced(kept, lines=lines)


def clean_plain(text: str, *, lines: bool = False) -> str:
    """Text that every later step can hold, for what is no markup: links, ids.

    NUL, control, bidi-override and lone surrogate characters become spaces; what is invisible is taken out: soft
    hyphens, zero-width spaces, byte order marks, single marks of direction. Runs of white space become one space; with
    `lines`, line breaks are kept. A letter keeps 30 combining marks.
    """
    if text.isascii() and text.isprintable() and " " not in text:  # nearly every link and id
        return text
    return _spaced(_visible(text), lines=lines)


def clean_formerly(text: str, *, lines: bool = False) -> str:
    """Cleans a text as version 0.1 did, whose tombstones hold digests of such texts."""
    kept = text if text.isascii() else unicodedata.normalize("NFC", _few_marks(text))
    if not kept.isprintable():
        kept = "".join(character if _was_kept(character) else " " for character in kept)
    return _spaced(kept, lines=lines)


def reads_as_formerly(text: str) -> bool:
    """Whether it is clear without cleaning that `clean_formerly` and `clean` give the same text."""
    return text.isprintable() and not _may_hold_markup(text)


def is_no_title(title: str) -> bool:
    """Whether a cleaned text stands for a missing title: `nan`, `[Removed]`, `---`, a bare link."""
    if len(title) <= _LONGEST_NO_TITLE and title.casefold() in _NO_TITLES:
        return True
    first = title[:1]
    if first in "hHwW<":
        return _BARE_LINK.fullmatch(title) is not None
    return not first.isalnum() and _RULED.fullmatch(title) is not None


def shorten(text: str, limit: int = 60) -> str:
    """Text cut to `limit` characters for an error message, with an ellipsis where it was cut."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def iso_time(milliseconds: int) -> str:
    """Epoch milliseconds as ISO 8601 in UTC, `2026-10-13T07:42:00Z`."""
    seconds, part = divmod(int(milliseconds), 1000)
    text = datetime.fromtimestamp(seconds, UTC).isoformat().removesuffix("+00:00")
    return f"{text}.{part:03}Z" if part else f"{text}Z"


def _may_hold_markup(text: str) -> bool:
    return (
        "<" in text
        or ("&" in text and _MAY_BE_ENTITY.search(text) is not None)
        or "]]>" in text
        or (text.lstrip()[:2] in _BYTES_BEGIN)
    )


def _without_markup(text: str) -> str:
    if (found := _BYTES.fullmatch(text)) is not None:
        text = _of_bytes(found[1] if found[1] is not None else found[2])
    text = text.replace("<![CDATA[", "").replace("]]>", "")
    if "<" in text:
        text = _TAG.sub(_gap, _without_unseen(text))
    if "&" in text:
        text = _ENTITY.sub(_undone, _AMPERSANDS.sub("&", text))
    return text


def _without_unseen(text: str) -> str:
    """The text with a space for each comment, script and style that is closed; what is not closed hides nothing."""
    kept: list[str] = []
    closings: dict[int | None, re.Match[str] | None] = {}  # by kind, the next closing: each is searched for once
    done = place = 0
    while (opening := _UNSEEN.search(text, place)) is not None:
        place, kind = opening.end(), opening.lastindex
        if kind not in closings or ((known := closings[kind]) is not None and known.start() < place):
            closings[kind] = _CLOSINGS[kind].search(text, place)
        closing = closings[kind]
        if closing is None or closing[1] is None:  # no tag closes it: `</style x`
            continue
        kept.append(text[done : opening.start()])
        done = place = closing.end()
    return " ".join([*kept, text[done:]])


def _undone(entity: re.Match[str]) -> str:
    """The character that an entity stands for; the entity itself where HTML does not define its name."""
    return unescape(entity[0]) if entity[0][1] == "#" else html5.get(entity[0][1:], entity[0])


def _gap(tag: re.Match[str]) -> str:
    return "" if _INLINE.fullmatch(tag[1] or "") else " "


def _of_bytes(inner: str) -> str:
    """The text within Python's notation `b'...'`; bytes that are not UTF-8 are left out."""
    if "\\" not in inner:
        return inner
    raw = b"".join(piece if isinstance(piece, bytes) else piece.encode("utf-8", "ignore") for piece in _pieces(inner))
    return raw.decode("utf-8", "ignore")


def _pieces(inner: str) -> list[str | bytes]:
    pieces: list[str | bytes] = []
    done = 0
    for escape in _ESCAPE.finditer(inner):
        pieces.append(inner[done : escape.start()])
        pieces.append(bytes.fromhex(escape[1]) if escape[1] else _ESCAPED.get(escape[2], escape[2]))
        done = escape.end()
    return [*pieces, inner[done:]]


def _visible(text: str) -> str:
    kept = text if text.isascii() else unicodedata.normalize("NFC", _few_marks(text))
    if kept.isprintable() or kept.replace("\n", "").replace("\t", "").isprintable():  # most texts: ten times faster
        return kept
    kept = "".join(map(_held, kept))
    return (
        kept if kept.isascii() else unicodedata.normalize("NFC", _few_marks(kept))
    )  # characters that were separated may now combine


def _spaced(text: str, *, lines: bool) -> str:
    if lines:
        return "\n".join(line for line in (" ".join(part.split()) for part in text.split("\n")) if line)
    return " ".join(text.split())


def _composed(text: str) -> str:
    """The text in Unicode's composed form (NFC), with few marks before and after."""
    few = _few_marks(text)
    composed = unicodedata.normalize("NFC", few)
    return few if composed is few else _few_marks(composed)  # most texts are composed, and come back as they are


def _few_marks(text: str) -> str:
    if not any(map(unicodedata.combining, text[_MARKS :: _MARKS + 1])):  # of too many in a row, one stands at these
        return text
    kept = []
    marks = 0
    for character in text:
        marks = marks + 1 if unicodedata.combining(character) else 0
        if marks <= _MARKS:
            kept.append(character)
    return "".join(kept)


def _held(character: str) -> str:
    """What a character becomes: itself, a space, or nothing."""
    if character in "\n\t" or character.isprintable():
        return character
    category = unicodedata.category(character)
    if category == "Cf":  # joiners shape Arabic, Indic scripts and emoji; overrides and isolates only deceive
        if _joins(character) or character in _SEEN:
            return character
        return " " if character in _PAIRED else ""
    if category == "Cn":  # of a later Unicode than the interpreter's; or a noncharacter, which none will have
        return " " if ord(character) & 0xFFFE == 0xFFFE or "\ufdd0" <= character <= "\ufdef" else character
    return " " if category in ("Cc", "Cs") else character


def _was_kept(character: str) -> bool:
    if character in "\n\t":
        return True
    category = unicodedata.category(character)
    return _joins(character) if category == "Cf" else category not in ("Cc", "Cs", "Cn")


def _joins(character: str) -> bool:
    return character in "\u200c\u200d" or "\U000e0020" <= character <= "\U000e007f"
