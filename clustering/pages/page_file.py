"""A page as one file of HTML: put together here, and read back and changed nowhere else.

Headlines are untrusted. They reach a page as JSON inside a script element that is no script, with every character that
could end it escaped, and the page's own code puts them on screen as text alone. The page's content-security policy lets
only that code run, by its hash, and nothing be fetched from elsewhere. The policy stands above anything that came from a
headline, so that it can be read back and trusted.
"""

import base64
import hashlib
import html
import json
import re
import zlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import cache, lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
from markupsafe import Markup, escape

from clustering.pages.bundle import script
from clustering.pages.folder import DAMAGED, INDEX, PLOTLY
from clustering.stories.titles import in_language
from newstide.core.text import iso_time, shorten

_PACKED_FROM = 1_000_000  # characters of JSON
_DATA = re.compile(r'(<script type="application/json" id="data" data-packed="(yes|no)">)(.*?)(</script>)', re.DOTALL)
_POLICY = re.compile(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">')
_OLDEST = re.compile(r'<meta name="oldest-headline" content="(\d+)">')
_LARGEST = re.compile(r'<ol class="largest">.*?</ol>', re.DOTALL)
_SHOWN_WITHOUT_SCRIPT = 50  # stories
_HEAD = 16_384  # characters, in which the policy stands
_BESIDE = re.compile(r'<script src="([A-Za-z0-9][A-Za-z0-9._-]*\.js)"( defer)?></script>')  # a script beside the page
_HOME_LINK = re.compile(rf'(?<=<h1>)<a href="{re.escape(INDEX)}"[^>]*>(.*?)</a>')
_ROOT = '<html lang="en"'  # of every page; where a server has an API, it says so here
_NOT_LIVE = 'data-live="no"'  # of a run's page; it stands above all that came from a headline
PLAIN_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
_NOTHING_ALLOWED = "default-src 'none'; base-uri 'none'; form-action 'none'"


class Script(NamedTuple):
    """A script beside a page, as a server names it.

    Attributes:
        address: Relative to the page.
        integrity: `sha256-...` of its bytes.
    """

    address: str
    integrity: str


def put_together(template: str, data: dict[str, Any], entry: str, *, unsafe_eval: bool = False, **fields: Any) -> str:
    """A page's HTML.

    Args:
        template: The template's name.
        data: What `data` gives back; compressed where it is much.
        entry: The page's script: a module of `assets/script`.
        unsafe_eval: Whether scripts may compile texts, as Plotly's WebGL drawing does.
        fields: What else the template names; it is escaped.
    """
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    packed = len(text) > _PACKED_FROM
    code = script(entry)
    return (
        _environment()
        .get_template(template)
        .render(
            fields,
            data=_as_packed(text) if packed else as_script_data(text),
            packed=packed,
            largest=_as_list(data),
            css=_asset("page.css"),
            js=Markup(code),  # noqa: S704 - our own file
            policy=_policy(code, unsafe_eval=unsafe_eval),
        )
    )


def put_together_plain(template: str, data: dict[str, Any], **fields: Any) -> str:
    """The HTML of a page that has no script; `fields` are what the template names, escaped, but for what it calls."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return (
        _environment()
        .get_template(template)
        .render(fields, data=as_script_data(text), css=_asset("story.css"), policy=PLAIN_POLICY)
    )


def no_such_story(number: str, home: str) -> str:
    """The page that says that nobody knows this number."""
    return (
        _environment()
        .get_template("unknown.html.j2")
        .render(number=shorten(number), home=home, css=_asset("story.css"), policy=PLAIN_POLICY)
    )


def nothing_yet() -> tuple[str, str]:
    """The page before the first map, which looks for it, and the policy that a server sends with the page."""
    code = script("empty")
    policy = f"{PLAIN_POLICY}; script-src '{integrity(code.encode())}'; connect-src 'self'"
    template = _environment().get_template("empty.html.j2")
    page = template.render(css=_asset("story.css"), js=Markup(code), policy=policy)  # noqa: S704 - our own file
    return page, served_policy(policy, [])


def oldest_headline(page: Path) -> int | None:
    """When the oldest headline on a story's page was published (epoch ms); None where the file does not say.

    Raises:
        OSError: The file cannot be read.
    """
    with page.open(encoding="utf-8", errors="replace") as file:
        found = _OLDEST.search(file.read(_HEAD))
    return None if found is None else int(found[1])


def several(number: int, thing: str, things: str = "") -> str:
    """A number of things, in words: `1 story`, `1,200 stories`."""
    return f"{number:,} {thing if number == 1 else things or f'{thing}s'}"


def clock(milliseconds: int) -> str:
    """A time as pages say it."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%d %b %Y, %H:%M UTC")


def data(page: str) -> dict[str, Any] | None:
    """The data of a page; None where the file is no page of a run.

    Raises:
        ValueError: The page is damaged.
    """
    found = _DATA.search(page)
    if found is None:
        return None
    try:
        text = zlib.decompress(base64.b64decode(found[3]), 31).decode() if found[2] == "yes" else found[3]
        content: dict[str, Any] = json.loads(text)
    except (*DAMAGED, zlib.error) as error:
        raise ValueError(f"The page's data is damaged: {shorten(repr(error), 200)}.") from error
    return content


def largest_titled(content: dict[str, Any], most: int) -> list[dict[str, Any]]:
    """`title`, and `titles` by language, of the at most `most` largest open stories of a page; its data lists by size."""
    return [{"title": story["title"], "titles": dict(story.get("titles", {}))} for story in _largest(content, most)]


def with_data(page: str, content: dict[str, Any]) -> str:
    """The page with other data; everything else stays as it is, byte by byte.

    Raises:
        ValueError: The text is none of newstide's pages.
    """
    found = _DATA.search(page)
    if found is None:
        raise ValueError("The file is no page of a run.")
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    written = str(_as_packed(text) if found[2] == "yes" else as_script_data(text))  # Markup would escape the page
    page = page[: found.start(3)] + written + page[found.end(3) :]
    return _LARGEST.sub(lambda _: str(_as_list(content)), page, count=1)


def as_live(page: str) -> str:
    """The page as one that renews itself."""
    return page.replace(_NOT_LIVE, 'data-live="yes"', 1)


def standalone(page: str, plotly: str) -> str:
    """The page with plotly.js inside and no link to pages beside it: one file to send to someone."""
    page = page.replace(_NOT_LIVE, 'data-live="alone"', 1)
    page = page.replace("script-src ", f"script-src '{integrity(plotly.encode())}' ", 1)
    page = _HOME_LINK.sub(r"\1", page, count=1)
    return page.replace(f'<script src="{PLOTLY}" defer></script>', f"<script>{plotly}</script>", 1)


def plotly_script(code: str) -> str:
    """plotly.js, escaped so that a page can hold it: nothing in it ends the script element."""
    return re.sub("</script", r"<\\/script", code, flags=re.IGNORECASE)


def served(page: str, beside: Callable[[str], Script | None], live: Script) -> tuple[str, str]:
    """The page as a server sends it: with the live view in it, and its scripts allowed by what they hold.

    Args:
        page: The HTML.
        beside: The script of a name beside the page; None where there is none.
        live: The script of the live view.

    Returns:
        The HTML, and its content-security policy, stricter than the one the page carries for those who open it as a file:
        scripts by their hashes alone. The hashes of the page's own scripts are those that its policy names.
    """
    own = _POLICY.search(page[:_HEAD])
    scripts: list[Script] = []

    def named(match: "re.Match[str]") -> str:
        found = beside(match[1])
        if found is None:
            return match[0]
        scripts.append(found)
        return _element(found, match[2] or "")

    page = _BESIDE.sub(named, page)
    at = page.rfind("</body>")
    if at >= 0 and (own is None or "script-src" in own[1]):  # a story's page has no script
        scripts.append(live)
        page = f"{page[:at]}{_element(live)}\n{page[at:]}"
        page = page.replace(_ROOT, f'{_ROOT} data-api="api/"', 1)
    policy = html.unescape(own[1]) if own else _NOTHING_ALLOWED
    return page, served_policy(policy, [one.integrity for one in scripts])


def served_policy(policy: str, hashes: list[str]) -> str:
    """A page's own policy, with the scripts beside it allowed by their hashes instead of by where they lie.

    Args:
        policy: As the page carries it.
        hashes: `sha256-...` of the scripts beside it.
    """
    parts = []
    for part in policy.split(";"):
        name, *values = part.split()
        if name == "script-src":
            values = [value for value in values if value not in ("'self'", "file:")] + [f"'{one}'" for one in hashes]
        parts.append(" ".join([name, *values]))
    if "frame-ancestors" not in policy:
        parts.append("frame-ancestors 'none'")
    return "; ".join(parts)


def integrity(content: bytes) -> str:
    """The hash of a script, as a policy and a script element name it."""
    return f"sha256-{base64.b64encode(hashlib.sha256(content).digest()).decode()}"


def as_script_data(text: str) -> Markup:
    """Data as JSON for a script element: nothing in it ends the element or starts a comment."""
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704 - escaped above


def _as_list(content: dict[str, Any]) -> Markup:
    """The largest stories as a list, for who has no JavaScript."""
    wanted, row = content.get("wanted", []), Markup("<li>{} ({:,})</li>")
    rows = [row.format(_titled(story, wanted), story["size"]) for story in _largest(content, _SHOWN_WITHOUT_SCRIPT)]
    return Markup('<ol class="largest">{}</ol>').format(Markup("").join(rows))


def _largest(content: dict[str, Any], most: int) -> list[dict[str, Any]]:
    return [story for story in content.get("stories", []) if story.get("open")][:most]


def _titled(story: dict[str, Any], wanted: Sequence[str]) -> Markup:
    """A story's title in the first of these languages that it has one in."""
    return bdi(*in_language(story["title"], story.get("titles", {}), wanted))


def _as_packed(text: str) -> Markup:
    """Large data compressed, as base64: a third of its size."""
    compressor = zlib.compressobj(6, zlib.DEFLATED, 31)  # 31: gzip, which browsers read
    packed = compressor.compress(text.encode()) + compressor.flush()
    return Markup(base64.b64encode(packed).decode())  # noqa: S704 - base64 holds nothing that HTML knows


def _policy(code: str, *, unsafe_eval: bool) -> str:
    """The content-security policy of a page whose one script of its own is `code`, to the letter."""
    compiling = " 'unsafe-eval'" if unsafe_eval else ""
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src '{integrity(code.encode())}' 'self' file:{compiling}",
            "style-src 'unsafe-inline'",
            "img-src data: blob:",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )


def _element(found: Script, defer: str = "") -> str:
    return f'<script src="{found.address}" integrity="{found.integrity}"{defer}></script>'


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(str(files("clustering.pages") / "assets")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        auto_reload=False,
    )
    environment.filters |= {"bdi": bdi, "clock": clock, "moment": moment, "titled": _titled}
    return environment


def bdi(words: str, language: str = "") -> Markup:
    """A text of its own direction and language; a filter, since a macro of the template takes three times as long."""
    tagged = f' lang="{escape(language)}"' if language else ""
    return Markup(f'<bdi dir="auto"{tagged}>{escape(words)}</bdi>')  # noqa: S704 - escaped


@lru_cache(maxsize=10_000)
def moment(milliseconds: int) -> Markup:
    """A time as an element, which says it to machines as well."""
    return Markup(f'<time datetime="{iso_time(milliseconds)}">{clock(milliseconds)}</time>')  # noqa: S704 - digits


@cache
def _asset(name: str) -> Markup:
    return Markup((files("clustering.pages") / "assets" / name).read_text(encoding="utf-8"))  # noqa: S704 - our own file
