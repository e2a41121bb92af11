"""Texts of other kinds than tables and lists of headlines, told by what they begin with, else by the file's name."""

import re
from pathlib import Path

from newstide.core.errors import SourceError
from newstide.core.json_texts import BLANK
from newstide.core.text import clean

_STATEMENT = (
    r"(?:INSERT\s+(?:IGNORE\s+)?INTO\s+\S+[^\n]*?(?:VALUES\b|\(|$)|CREATE\s+(?:TEMPORARY\s+)?TABLE\s+[^\n]*(?:\(|$)"
    r"|CREATE\s+DATABASE\s+\S+;|DROP\s+TABLE\s+(?:IF\s+EXISTS\s+)?\S+;|COPY\s+\S+\s+\([^\n]*FROM\s|REPLACE\s+INTO\s+\S+\s+(?:VALUES\b|\())"
)
_KINDS: tuple[tuple[re.Pattern[str], str, str], ...] = (
    (
        re.compile(
            r"(?:(?:/\*(?:[^*]|\*(?!/))*\*/|//[^\n]*\n)\s*)*(?:(?:export\s+)?(?:var|let|const)\s+)?"
            r"(?:[A-Za-z_$][\w$]*(?:\.[\w$]+|\[[\w'\"]+\])*\s*=|export\s+default)\s*[\[{]|[A-Za-z_$][\w$.]*\(\s*[\[{]\s*[{\"\]]"
        ),
        "a JavaScript file",
        "Remove what stands before the first [ or {, and behind the last ] or }, and save it as .json.",
    ),
    (
        re.compile(rf"(?:(?:BEGIN|PRAGMA|SET|USE)\b[^\n;]*;\s*|(?:--|/\*|#)[^\n]*\n\s*)*{_STATEMENT}", re.MULTILINE),
        "a file of SQL statements",
        "Load it into its database, and export the table as CSV.",
    ),
    (
        re.compile(r"(?:\s*#[^\n]*\n|---[^\S\n]*\n|%YAML[^\n]*\n|[\w-]+:[^\S\n]*\n)*"
            r"[^\S\n]*-[^\S\n]+([\w-]+):(?:\s[^\n]*)?\n(?:[^\S\n]+[\w-]+|[^\S\n]*-[^\S\n]+\1):\s"
        ),
        "a YAML document",
        "Write it as JSON.",
    ),
)  # fmt: skip
_LOOK = 1 << 14  # characters that are looked at
_TAG = re.compile(
    r"<([A-Za-z][\w:.-]*)(?:\s+[\w:.-]+\s*=\s*(?:\"[^\"<]*\"|'[^'<]*'))*\s*/?>[^\S\n]*(?:\n|(<)|$)|<!doctype\s",
    re.IGNORECASE,
)
_TEXT = "newstide does not read its text: write its headlines as a table, or one a line as .txt."
_OTHER = "Name the file that holds the headlines."
_SUFFIXES = {
    ".js": _KINDS[0][1:], ".mjs": _KINDS[0][1:], ".cjs": _KINDS[0][1:], ".ts": _KINDS[0][1:],
    ".sql": _KINDS[1][1:], ".yaml": _KINDS[2][1:], ".yml": _KINDS[2][1:],
    **dict.fromkeys(
        (".xml", ".opml", ".rss", ".atom", ".rdf", ".sgm", ".sgml"),
        ("an XML or SGML document", "Feeds are read by --rss URL; other XML is not: write it as a table."),
    ),
    **dict.fromkeys((".html", ".htm", ".xhtml", ".mhtml"), ("an HTML page", _TEXT)),
    **dict.fromkeys((".md", ".markdown", ".rst", ".adoc", ".org"), ("a formatted text", _TEXT)),
    **dict.fromkeys((".tex", ".bib", ".ris"), ("a file of LaTeX or of references", _TEXT)),
    **dict.fromkeys((".eml", ".mbox"), ("a file of mail", _TEXT)),
    **dict.fromkeys((".toml", ".ini", ".cfg", ".conf", ".properties"), ("a file of settings", _OTHER)),
    **dict.fromkeys((".py", ".ipynb", ".sh"), ("a program", _OTHER)),
    ".log": ("a log", "Name the file that holds the headlines, or say that each line is one: --format lines."),
}  # fmt: skip


def require_headlines(start: str, name: str, file: str, *, table: bool) -> None:
    """Checks that a text which would be read as a table or line by line is of no other kind.

    Args:
        start: The text's beginning.
        name: The file's name within its packing.
        file: The file's name in messages.
        table: Whether the first line is a table's header, which says more than the file's name.

    Raises:
        SourceError: It is of another kind.
    """
    text = start.lstrip(BLANK).replace("\r\n", "\n")[:_LOOK]
    suffix = Path(name).suffix.lower()
    if (tag := _TAG.match(text)) is not None and not (tag[2] and _is_html(tag[1])):
        what, way_out = _SUFFIXES[".html" if tag[1] and _is_html(tag[1]) else ".xml"]
        raise SourceError(f"{file} is {what}.", way_out)
    for begins, what, way_out in _KINDS:
        if begins.match(text):
            raise SourceError(f"{file} is {what}.", way_out)
    if suffix in _SUFFIXES and not table:
        what, way_out = _SUFFIXES[suffix]
        raise SourceError(
            f"{file} is {what}, as its name says.", f"{way_out} If it is a table all the same, say --format."
        )


def _is_html(name: str) -> bool:
    return not clean(f"<{name}>")
