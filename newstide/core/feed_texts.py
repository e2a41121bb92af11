"""The text of a feed's bytes, and its XML mended where a strict parser would give up: charsets, references, elements."""

import codecs
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from html.entities import html5, name2codepoint

from newstide.core.encodings import ERRORS, MARKS, decided, mostly_utf8

_HEADERS_CHARSET = re.compile(r"""charset\s*=\s*["']?([\w.:-]+)""", re.ASCII | re.IGNORECASE)
_XMLS_CHARSET = re.compile(rb"""\s*<\?xml\s[^>]{0,200}?encoding\s*=\s*["']([\w.:-]{1,40})""")
_NO_CHARSETS = {"idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape"}  # Python's own
_UNREAD = re.compile("[\ud800-\udfff]+")
_UNENDED = "|".join(name for name in html5 if name in name2codepoint)  # `&copy 2026`: HTML's names without a semicolon
_XMLS_NAMES = {"amp", "lt", "gt", "quot", "apos"}
_REFERENCE = rf"&(?:\#[0-9]|\#[xX][0-9a-fA-F]|([^\W\d][\w:.-]*);|({_UNENDED})(?![\w=]))?"
_REFERENCE_OR_ASIDE = re.compile(rf"<!\[CDATA\[.*?(?:\]\]>|\Z)|<!--.*?(?:-->|\Z)|<\?[^>]*|{_REFERENCE}", re.DOTALL)
_NO_XML = re.compile(r"&(?!#[0-9]|#[xX][0-9a-fA-F]|(?:amp|lt|gt|quot|apos);)")
_MARKUP = frozenset("<>&\"'\n\t\r")
_ROOT = re.compile(r"<((?:[\w-]+:)?(?:rss|feed|rdf))\b", re.IGNORECASE)
_ENTRY = re.compile(r"<((?:[\w-]+:)?(?:item|entry))[\s/>]", re.IGNORECASE)
_TAG = re.compile(r"<!\[CDATA\[|<!--|<\?|<(/?)([^\W\d][\w:.-]*)([^<>]*)>")
_ASIDES = {"<![CDATA[": "]]>", "<!--": "-->", "<?": "?>"}
_ROOTS = {"rss", "channel", "feed", "rdf:rdf"}
_ASIDES_OF_FEEDS = {"image", "textinput"}  # whose titles are not the entry's
_ELEMENTS = {
    *(
        "author",
        "category",
        "comments",
        "content",
        "contributor",
        "copyright",
        "description",
        "enclosure",
        "guid",
        "id",
    ),
    *("image", "issued", "language", "link", "modified", "pubdate", "published", "rights", "source", "subtitle"),
    *("summary", "textinput", "title", "updated"),
}


def decoded(content: bytes, content_type: str) -> tuple[str, list[str]]:
    """The feed's text, and notes on its encoding. A mark and zero bytes go before what header and declaration say."""
    notes: list[str] = []
    marked = content.startswith(tuple(mark for mark, _ in MARKS)) or b"\0" in content[:4]
    said = None if marked else _said(content, content_type)
    in_lines = content.replace(b"<", b"\n")  # a guess looks at the lines that hold more than ASCII
    charset, mark = decided(in_lines, said, notes.append)
    text, wrong = _UNREAD.subn("\ufffd", content[mark:].decode(charset, ERRORS))
    if wrong:
        notes.append(f"bytes that are no {charset} are replaced")
    return text, notes


def _said(content: bytes, content_type: str) -> str | None:
    """The charset that header or declaration say and the bytes bear out; None where the bytes are to tell, as in files.

    Where all bytes are right in none of the charsets, the bytes are UTF-8 if most are, and else the first one's.
    """
    charsets = list(_charsets(content, content_type))
    utf8 = content.isascii() or mostly_utf8(content)
    for charset in charsets:
        if charset == "utf-8" and utf8:
            return None
        with suppress(UnicodeError):
            content.decode(charset)
            return charset
    return None if utf8 else next((charset for charset in charsets if charset != "utf-8"), None)


def _charsets(content: bytes, content_type: str) -> Iterator[str]:
    """The charset of the header, then that of the XML declaration, where Python knows them; all of Unicode as `utf-8`."""
    header, declaration = _HEADERS_CHARSET.search(content_type), _XMLS_CHARSET.match(content)
    for name in (header[1] if header else "", declaration[1].decode("ascii", "replace") if declaration else ""):
        with suppress(LookupError, UnicodeError):
            known = codecs.lookup(name).name
            charset = "utf-8" if known.startswith(("utf", "ascii")) else known.replace("gb2312", "gb18030")
            if b"<".decode(charset) == "<" and charset not in _NO_CHARSETS:  # `hex` and others decode to no text
                yield charset


def with_references(text: str) -> str:
    """XML in which HTML's names are characters and each other `&` that begins no reference is escaped.

    CDATA, comments and instructions stay. No entity is left to a DTD or to the feed's own definitions.
    """
    return text if _NO_XML.search(text) is None else _REFERENCE_OR_ASIDE.sub(_character, text)


def _character(found: re.Match[str]) -> str:
    name = found[1] or found[2]
    if name is None:
        return "&amp;" if found[0] == "&" else found[0]
    if name in _XMLS_NAMES:
        return f"&{name};"
    characters = html5.get(f"{name};")
    if characters is None:
        return f"&amp;{name};"
    return "".join(f"&#{ord(one)};" if one in _MARKUP else one for one in characters)


def ends_early(text: str) -> bool:
    """Whether the feed's outermost element is never closed."""
    root = _ROOT.search(text)
    if root is None:
        return False
    name = re.escape(root[1])
    return re.search(rf"</{name}\s*>|<{name}\b[^<>]*/>", text) is None


def with_ends(text: str) -> tuple[str, int]:
    """Markup in which no element reaches beyond its entry or has two ends, and how many entries begin in it.

    An element that its entry, or what stands before the first entry, never closes ends where the next element begins,
    a picture or search box with its entry, and an entry where the next one begins. The entry within which a text ends
    stays open.
    """
    first = _ENTRY.search(text)
    if first is None:
        return text, 0
    edits: list[tuple[int, int, str]] = []  # from where to where, and what stands there instead
    tags: list[re.Match[str]] = []  # since the last begin or end of an entry
    within, begun = "", 0  # the name of the entry that is open
    for tag in _tags(text, edits):
        begins = tag[2].casefold() == first[1].casefold()
        if not begins and not (tag[1] and tag[2].casefold() in _ROOTS):
            tags.append(tag)
            continue
        edits.extend(_mended(tags, tag.start(), in_entry=bool(within)))
        tags.clear()
        if within and not (begins and tag[1]):
            edits.append((tag.start(), tag.start(), f"</{within}>"))
        opens = begins and not tag[1]
        begun += opens
        within = tag[2] if opens and not tag[3].endswith("/") else ""
    edits.sort(key=lambda edit: edit[0])
    pieces, at = [], 0
    for start, end, instead in edits:
        pieces += [text[at:start], instead]
        at = end
    return "".join([*pieces, text[at:]]), begun


def _tags(text: str, edits: list[tuple[int, int, str]]) -> Iterator[re.Match[str]]:
    """Tags outside CDATA, comments and instructions; the ends of those that are not closed are put in `edits`."""
    at = 0
    never: set[str] = set()  # the ends that come no more
    while (found := _TAG.search(text, at)) is not None:
        at = found.end()
        if found[2]:
            yield found
            continue
        end = _ASIDES[found[0]]
        stop = -1 if end in never else text.find(end, at)
        if stop < 0:
            never.add(end)
        if stop >= 0 and not (end == "]]>" and _two_in_one(text, at, stop)):
            at = stop + len(end)
            continue
        if end == "]]>":
            at = next(
                (tag.start() for tag in _TAG.finditer(text, at) if tag[1] and _stands_in_feeds(tag[2])), len(text)
            )
        edits.append((at, at, end))


def _two_in_one(text: str, start: int, stop: int) -> bool:
    """Whether what begins as CDATA reaches into another entry's, so that it was not closed."""
    entry = _ENTRY.search(text, start, stop)
    return entry is not None and text.find("<![CDATA[", entry.end(), stop) >= 0


def _mended(tags: Sequence[re.Match[str]], end: int, *, in_entry: bool) -> Iterator[tuple[int, int, str]]:
    """The edits by which each element has one end.

    Args:
        tags: The tags in their order.
        end: Where the next entry begins, or this one ends.
        in_entry: Whether they stand in an entry; else what may hold entries stays open.
    """
    opened: list[int] = []
    for number, tag in enumerate(tags):
        if not tag[1]:
            opened.extend([] if tag[3].endswith("/") else [number])
            continue
        for place in range(len(opened) - 1, -1, -1):
            if tags[opened[place]][2].casefold() == tag[2].casefold():
                del opened[place:]
                break
        else:
            if in_entry:
                yield tag.start(), tag.end(), ""
    unclosed = {number for number in opened if in_entry or tags[number][2].casefold() in _ELEMENTS}
    waiting: list[str] = []
    kept = 0  # how many of them hold elements themselves
    for number, tag in enumerate(tags):
        if len(waiting) > kept and not tag[1] and _stands_in_feeds(tag[2]):
            yield tag.start(), tag.start(), _end_tags(waiting[kept:])
            del waiting[kept:]
        if number in unclosed:
            waiting.append(tag[2])
            kept = len(waiting) if tag[2].casefold() in _ASIDES_OF_FEEDS else kept
    if waiting:
        yield end, end, _end_tags(waiting)


def _end_tags(names: Sequence[str]) -> str:
    return "".join(f"</{name}>" for name in reversed(names))


def _stands_in_feeds(name: str) -> bool:
    """Whether an element is one of feeds and their modules, and none of HTML's that a text may hold."""
    return ":" in name or name.casefold() in _ELEMENTS
