"""What RFC 4287 asks of an Atom feed, checked element by element, as its grammar in appendix B says."""

import re
from collections.abc import Mapping
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET

NS = "{http://www.w3.org/2005/Atom}"
_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
_ANY = (0, 10**9)
# element -> (least, most) in its parent
_FEED = {
    "id": (1, 1),
    "title": (1, 1),
    "updated": (1, 1),
    "author": _ANY,
    "category": _ANY,
    "contributor": _ANY,
    "generator": (0, 1),
    "icon": (0, 1),
    "link": _ANY,
    "logo": (0, 1),
    "rights": (0, 1),
    "subtitle": (0, 1),
    "entry": _ANY,
}
_ENTRY = {
    "id": (1, 1),
    "title": (1, 1),
    "updated": (1, 1),
    "author": _ANY,
    "category": _ANY,
    "content": (0, 1),
    "contributor": _ANY,
    "link": _ANY,
    "published": (0, 1),
    "rights": (0, 1),
    "source": (0, 1),
    "summary": (0, 1),
}
_PERSON = {"name": (1, 1), "uri": (0, 1), "email": (0, 1)}
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_LINK = {"href", "rel", "type", "hreflang", "title", "length"}
_MEDIA_TYPE = re.compile(r".+/.+")


def check_atom(text: str) -> ET.Element:
    """The feed, which is as RFC 4287 wants it; `AssertionError` names what is not."""
    root = ET.fromstring(text)  # noqa: S314 - our own answer
    assert root.tag == NS + "feed", root.tag
    _check(root, _FEED)
    entries = root.findall(NS + "entry")
    for entry in entries:
        _check(entry, _ENTRY)
    if any(entry.find(NS + "author") is None for entry in entries):
        assert root.find(NS + "author") is not None, "neither the feed nor the entry has an author"
    ids = [entry.findtext(NS + "id") for entry in entries]
    assert len(set(ids)) == len(ids), "two entries have one id"
    assert any(link.get("rel") == "self" for link in root.findall(NS + "link")), "no link to itself"
    return root


def _check(element: ET.Element, wanted: Mapping[str, tuple[int, int]]) -> None:
    counts = dict.fromkeys(wanted, 0)
    for child in element:
        name = child.tag.removeprefix(NS)
        assert name in counts, f"{name} in {element.tag}"
        counts[name] += 1
        _check_one(name, child)
    for name, (least, most) in wanted.items():
        assert least <= counts[name] <= most, f"{counts[name]} {name} in {element.tag}"
    alternates = [
        (link.get("type"), link.get("hreflang"))
        for link in element.findall(NS + "link")
        if link.get("rel", "alternate") == "alternate"
    ]
    assert len(set(alternates)) == len(alternates), "two alternate links of one type"
    if "entry" not in wanted and "name" not in wanted and not alternates:
        assert element.find(NS + "content") is not None, "neither an alternate link nor content"


def _check_one(name: str, element: ET.Element) -> None:
    text, given = element.text or "", set(element.attrib) - {_LANG}
    if name == "id":
        assert urlsplit(text).scheme, f"id {text!r} is no IRI"
        assert not given
    elif name in ("updated", "published"):
        assert _TIME.fullmatch(text), f"{name} {text!r}"
    elif name in ("title", "summary", "subtitle", "rights"):
        assert given <= {"type"}
        assert element.get("type", "text") in ("text", "html")
        assert not len(element)
    elif name == "link":
        assert "href" in given
        assert given <= _LINK, given
        assert "type" not in given or _MEDIA_TYPE.fullmatch(element.attrib["type"])
    elif name == "category":
        assert "term" in given
        assert given <= {"term", "scheme", "label"}
    elif name in ("author", "contributor"):
        _check_person(element)


def _check_person(element: ET.Element) -> None:
    for name, (least, most) in _PERSON.items():
        assert least <= len(element.findall(NS + name)) <= most, f"{name} of a person"
