"""Writes figures into the documentation: each benchmark writes its own between two markers."""

from collections.abc import Iterable
from pathlib import Path


def svg(width: int, height: int, parts: Iterable[str]) -> str:
    """A drawing on white paper."""
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    paper = '<rect width="100%" height="100%" fill="#fff"/>'
    style = 'font-family="sans-serif" font-size="13"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>{paper}{"".join(parts)}</svg>\n'


def replace(path: Path, name: str, text: str) -> None:
    """Puts `text` between `<!-- name: start -->` and `<!-- name: end -->`; the rest of the page stays.

    Raises:
        SystemExit: The page lacks a marker, or the markers are in the wrong order.
    """
    start, end = f"<!-- {name}: start -->", f"<!-- {name}: end -->"
    page = path.read_text(encoding="utf-8")
    before, found, rest = page.partition(start)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise SystemExit(f"{path} has no {start} with {end} behind it. Put both markers where the figures belong.")
    path.write_text(f"{before}{start}\n\n{text.strip()}\n\n{end}{after}", encoding="utf-8")
