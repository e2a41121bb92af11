"""How feedparser is to read the elements of a feed: one by one, each where it stands.

By itself feedparser merges what stands at different places: the title of an entry's picture becomes the entry's. An
element that it cannot read costs all others.
"""

import re
from collections.abc import Callable
from typing import Any

from newstide.core.links import joined

# Keys of what feedparser says, which no element has: the address that an earlier version read, of an entry; of the feed's
# links; whether an entry is closed; its guid that is no address; its guid or id that is one; the names of its elements that
# hold a time; its titles, or a feed's, under a prefix; the title of a medium that stands in the entry itself; a feed's title
# before its first entry.
FORMERLY, FORMER_LINKS, CLOSED, NO_LINK, ADDRESS, TIMES, TITLES, MEDIUMS_TITLE, FIRST_TITLE = (
    " formerly",
    " former links",
    " closed",
    " no link",
    " address",
    " times",
    " titles",
    " medium",
    " first title",
)
_ELSEWHERE = " elsewhere"
_ENTRIES, _FEEDS = {"item", "entry"}, {"channel", "feed"}
_OF_AN_ENTRY = ("insource", "title_depth", "hasContent", "_said")  # what a parser keeps of the entry that is open
_ASIDE = {"image", "textinput"}
_ABSOLUTE = re.compile("[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_TIME = re.compile(
    "(?:(?:publication|publish(?:ed)?|creation|modification|modified|pub|issue)_?)?date(?:published|modified|created|issued)?"
    "|(?:last_?)?(?:updated|modified)|published|issued|created"
)


def address_of(name: str, full: str) -> bool:
    """Whether a guid or id is an address, and not merely a name that `joined` makes one of."""
    return _ABSOLUTE.match(name) is not None or full == f"https://{name}"


def make_careful(parser: Any) -> None:
    """Makes one of feedparser's two parsers skip unreadable elements alone, and take each element for what it stands in."""
    if hasattr(parser, "_is_careful"):
        return
    setattr(parser, "_is_careful", True)  # noqa: B010 - a class made elsewhere
    for name in dir(parser):
        if name.startswith(("_start_", "_end_")) or name == "handle_charref":  # `&#xD800;` is no character
            setattr(parser, name, _careful(getattr(parser, name)))
    handlers: dict[str, Any] = {
        "unknown_starttag": _opening(parser.unknown_starttag),
        "unknown_endtag": _leaving(parser.unknown_endtag),
        "resolve_uri": _resolved,
        "_start_media_description": lambda parser, _attributes: parser.push("media_description", 1),
        "_end_media_description": _end_media_description,
        "_start_media_title": _start_media_title,
        "_end_media_title": _end_media_title,
        "_start_dc_title": lambda parser, _attributes: parser.push("dc_title", 1),  # feedparser takes it for `<title>`
        "_end_dc_title": lambda parser: parser.pop("dc_title"),
        **dict.fromkeys(("_start_guid", "_start_id"), _start_guid),
        "_end_guid": _end_guid,
        "_end_id": _end_id,
        **dict.fromkeys(("_start_item", "_start_entry"), _beginning(parser._start_item)),
        **dict.fromkeys(("_end_item", "_end_entry"), _closing(parser._end_item)),
    }
    for name, belongs in (("title", _is_own_title), ("link", _is_no_aside), ("description", _is_no_aside)):
        start, end = f"_start_{name}", f"_end_{name}"
        handlers[start], handlers[end] = _where(belongs, getattr(parser, start), getattr(parser, end))
    for name, handle in handlers.items():
        setattr(parser, name, handle)


def _careful(handle: Callable[..., Any]) -> Callable[..., Any]:
    def call(*arguments: Any) -> Any:
        try:
            return handle(*arguments)
        except (ValueError, LookupError, AttributeError, TypeError, OverflowError):
            return None

    return call


def _opening(handle: Callable[..., Any]) -> Callable[..., Any]:
    """Keeps which elements are open, and the names of an entry's own elements that hold a time, whatever their prefix."""

    def call(parser: Any, tag: str, attributes: Any) -> None:
        name = _plain(parser, tag)
        parser.__dict__.setdefault("_open", []).append(tag)
        is_time = parser.inentry and _parent(parser) in _ENTRIES and _TIME.fullmatch(name.rpartition("_")[2])
        if is_time:
            parser.entries[-1].setdefault(TIMES, []).append(name)
        if (is_time or _is_other_title(parser, name)) and not hasattr(parser, f"_start_{name}"):
            attributes = []  # feedparser would keep them, and drop the text
        in_text = parser.incontent
        handle(parser, tag, attributes)
        if parser.incontent and not in_text:
            parser._text_from = len(parser._open)

    return call


def _leaving(handle: Callable[..., Any]) -> Callable[..., Any]:
    """Ends an element; one of the markup in a text is none of the feed's, whatever its name: HTML has a `<source>` too."""

    def call(parser: Any, tag: str) -> None:
        opened = parser.__dict__.setdefault("_open", [])
        place = next((place for place in range(len(opened) - 1, -1, -1) if opened[place] == tag), len(opened))
        is_markup = parser.incontent and parser.contentparams.get("type") == "application/xhtml+xml"
        aside = bool(is_markup and place >= parser._text_from)
        parser.svgOK += aside  # then feedparser calls no handler
        handle(parser, tag)
        parser.svgOK = max(parser.svgOK - aside, 0)
        name = _plain(parser, tag)
        if not aside and _is_other_title(parser, name):
            context = parser._get_context()
            context.setdefault(TITLES, []).append(dict.get(context, name, ""))
        del opened[place:]

    return call


def _parent(parser: Any, above: int = 2) -> str:
    """The element in which the present one stands."""
    opened = parser.__dict__.get("_open", ())
    return _plain(parser, opened[-above]) if len(opened) >= above else ""


def _plain(parser: Any, tag: str) -> str:
    """An element's name as feedparser's handlers have it: without the prefix of RSS, Atom and RDF."""
    prefix, _, name = tag.rpartition(":")
    prefix = parser.namespacemap.get(prefix, prefix)
    return f"{prefix}_{name}" if prefix else name


def _where(
    belongs: Callable[[Any], bool], start: Callable[..., Any], end: Callable[..., Any]
) -> tuple[Callable[..., None], Callable[..., None]]:
    """Handlers of an element that counts only where it belongs to the entry or the feed."""

    def starting(parser: Any, attributes: Any) -> None:
        if belongs(parser):
            start(parser, attributes)
        else:
            parser.push(_ELSEWHERE, 1)

    def ending(parser: Any) -> None:
        if parser.elementstack and parser.elementstack[-1][0] == _ELSEWHERE:
            parser.pop(_ELSEWHERE)
        else:
            end(parser)

    return starting, ending


def _is_own_title(parser: Any) -> bool:
    """Whether a title is that of the entry, the feed or the source, and not that of something within them."""
    parent = _parent(parser)
    if parser.insource:
        return parent == "source"
    return parser.svgOK or parent in (_ENTRIES if parser.inentry else _FEEDS)


def _is_other_title(parser: Any, name: str) -> bool:
    """Whether an element holds such a title under a prefix. Media RSS is left out, whose titles are those of media."""
    prefix, _, last = name.rpartition("_")
    return last == "title" and prefix not in ("", "media") and _is_own_title(parser)


def _is_no_aside(parser: Any) -> bool:
    return not parser.inentry or _parent(parser) not in _ASIDE


def _start_media_title(parser: Any, _attributes: Any) -> None:
    parser.push(MEDIUMS_TITLE if _parent(parser) in _ENTRIES else _ELSEWHERE, 1)


def _end_media_title(parser: Any) -> None:
    if parser.elementstack and parser.elementstack[-1][0] in (MEDIUMS_TITLE, _ELSEWHERE):
        parser.pop(parser.elementstack[-1][0])


def _end_media_description(parser: Any) -> None:
    """Keeps the description of a medium from replacing the entry's."""
    value = parser.pop("media_description")
    if value:
        parser._get_context().setdefault("media_description", value)


def _resolved(parser: Any, link: str) -> str:
    """A link joined to the base; what an earlier version read is kept beside it, where the two differ."""
    from feedparser.urls import _urljoin

    try:
        full = joined(parser.baseuri or "", link)
    except ValueError:
        full = ""
    former = str(_urljoin(parser.baseuri or "", link))
    if former != full:
        parser.feeddata.setdefault(FORMER_LINKS, {})[full] = former
    return full


def _start_guid(parser: Any, attributes: Any) -> None:
    parser._said = attributes.get("ispermalink", "").strip().lower()
    parser.guidislink = 0  # else feedparser would join the guid to the feed's address, and make it a link
    parser.push("id", 1)


def _end_guid(parser: Any) -> None:
    """Keeps a guid as it is given, and beside it the address that it may be."""
    guid = parser.pop("id")
    if guid and parser._said in ("", "true") and not _take_address(parser, guid):
        parser._get_context()[NO_LINK] = guid


def _end_id(parser: Any) -> None:
    """An id of Atom that is no address never claimed to be a link."""
    _end_guid(parser)
    parser._get_context().pop(NO_LINK, None)


def _take_address(parser: Any, guid: str) -> bool:
    """Keeps the address that a guid is, beside the entry's link: which of the two comes first does not count."""
    entry = parser._get_context()
    full = parser.resolve_uri(guid)
    if full != guid:
        entry[FORMERLY] = parser.feeddata.get(FORMER_LINKS, {}).get(full, full)
    if not address_of(guid, full) and not (getattr(parser, "_said", "") and guid.startswith("/")):
        return False
    entry.setdefault(ADDRESS, full)
    return True


def _beginning(handle: Callable[..., Any]) -> Callable[..., Any]:
    """Keeps the feed's title before its first entry, the address by which RDF names an entry, and the entry around it."""

    def call(parser: Any, attributes: Any) -> None:
        if not parser.entries:
            parser.feeddata[FIRST_TITLE] = parser.feeddata.get("title")
        around = {name: getattr(parser, name, "") for name in _OF_AN_ENTRY} if parser.inentry else {}
        parser.__dict__.setdefault("_around", []).append((len(parser.entries) - 1, around))
        handle(parser, attributes)
        parser.insource, parser._said = 0, ""
        about = parser.entries[-1].get("id")
        if about and _take_address(parser, about):
            parser.entries[-1].setdefault("link", "")  # that the entry gives itself, or has none

    return call


def _closing(handle: Callable[..., Any]) -> Callable[..., Any]:
    """Says of an entry that it is closed, and goes on with the entry around it, which then is the last again."""

    def call(parser: Any) -> None:
        begun = parser.__dict__.get("_around")
        place, around = begun.pop() if begun else (0, {})
        if parser.entries:
            parser.entries[-1][CLOSED] = True
        handle(parser)
        if around:
            parser.entries.append(parser.entries.pop(place))
            parser.inentry = 1
            vars(parser).update(around)

    return call
