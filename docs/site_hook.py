"""What mkdocs is told beyond mkdocs.yml: pages and files that lie outside docs/ belong to the site too.

The same Markdown is read in the repository and on the site, so its links are those of the repository. Here they are turned
into the site's: to a page's place there, or to a copy of a file. A link to what is not there stays as it is, and mkdocs
refuses it.
"""

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security-policy.md",
    "producers/sample/README.md": "bundled-day.md",
}
_SOURCES = {place: source for source, place in PAGES.items()}
_LINK = re.compile(r"(?<=\]\()([^)#\s:]+)(?=[)#])")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages outside docs/ and copies of the files that pages link to."""
    for source, place in PAGES.items():
        files.append(File.generated(config, place, abs_src_path=str(ROOT / source)))
    linked = {_path(page.src_uri, link) for page in files.documentation_pages() for link in _links(page)}
    for path in sorted(linked):
        if path not in PAGES and not path.startswith("docs/") and (ROOT / path).is_file():
            files.append(File.generated(config, _place(path), abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001 - its name
    """Turns the repository's links into the site's."""
    here = page.file.src_uri

    def turned(match: re.Match[str]) -> str:
        path = _path(here, match[0])
        if not (ROOT / path).is_file():
            return match[0]
        return posixpath.relpath(_place(path), posixpath.dirname(here) or ".")

    return _LINK.sub(turned, markdown)


def _links(page: File) -> list[str]:
    return _LINK.findall(page.content_string)


def _path(page: str, link: str) -> str:
    """The path in the repository that a page's link means."""
    source = _SOURCES.get(page, f"docs/{page}")
    return posixpath.normpath(posixpath.join(posixpath.dirname(source), link))


def _place(path: str) -> str:
    """Where a file of the repository lies on the site."""
    return PAGES.get(path) or (path.removeprefix("docs/") if path.startswith("docs/") else f"files/{path}")
