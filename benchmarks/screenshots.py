"""Takes pictures of the pages for the documentation: two sets of headlines, three sizes, light and dark.

    python -m benchmarks.screenshots [--rows 20000] [--to docs/images] [--day FOLDER_OF_PAGES]

`day` is the bundled day after `newstide demo` (which is run, unless --day names its pages); `week` is a generated stream
through clustering and layout. Further pictures of the day show what a reader does: a story and its own page, a search, a
selection, what changed since a time, a map coloured by language, the list of runs. Language and time zone are fixed, so that
the same pages give the same pictures. The command needs Chromium.
"""

import argparse
import io
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from benchmarks.pages import CHROMIUM_FLAGS
from clustering.pages.index_page import write_index
from clustering.pages.run_page import write_snapshot
from newstide.core.settings import Settings
from newstide_app.demo import run_demo
from tests.harness.made_stream import made_run

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SIZES = {"desk": (1440, 900), "tablet": (1024, 768), "phone": (390, 844)}
THEMES = ("light", "dark")
_SETTLED = 600  # ms after which a page has come to rest
_COLOURS = 256  # of a picture's palette


def main() -> None:
    """Writes the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000, help="headlines of the generated week")
    parser.add_argument("--to", type=Path, default=Path("docs/images"))
    parser.add_argument("--day", type=Path, help="folder of pages that `newstide demo` wrote")
    parser.add_argument("--week", type=Path, help="folder that keeps the pages of the generated week for another call")
    chosen = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        sys.exit("Chromium is not installed (Debian: apt-get install chromium).")
    with tempfile.TemporaryDirectory() as directory:
        day = chosen.day or _day(Path(directory))
        week = chosen.week or Path(directory) / "week"
        if not (week / "latest.html").exists():
            write_snapshot(week, made_run(chosen.rows), max_points=Settings().pages.max_points)
            write_index(week)
        chosen.to.mkdir(parents=True, exist_ok=True)
        views = {"day": day / "latest.html", "week": week / "latest.html"}
        total = _take(chromium, views, chosen.to)
    print(f"{total / 1e6:.2f} MB in {chosen.to}")


def _day(directory: Path) -> Path:
    settings = Settings().updated(data_dir=directory)
    run_demo(settings)
    return directory / "demo" / "snapshots"


def _take(chromium: str, views: dict[str, Path], to: Path) -> int:
    """Takes each view in each size and theme, and a reader's actions on the day's page; returns all pictures' bytes."""
    from playwright.sync_api import sync_playwright

    total = 0
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        for theme in THEMES:
            for name, page in views.items():
                for size in SIZES:
                    total += _picture(browser, page, size, theme, _nothing, to / f"{name}-{size}-{theme}.png")
            for name, act in ACTS.items():
                if theme == "dark" and name in LIGHT_ONLY:
                    continue
                total += _picture(browser, views["day"], "desk", theme, act, to / f"day-{name}-{theme}.png")
        browser.close()
    return total


def _picture(browser: "Browser", page: Path, size: str, theme: str, act: "Callable[[Page], None]", to: Path) -> int:
    """Opens a page, does an action and writes the picture; returns its size in bytes."""
    phone = size == "phone"
    tab = browser.new_page(
        viewport={"width": SIZES[size][0], "height": SIZES[size][1]},
        device_scale_factor=2 if phone else 1,
        color_scheme="dark" if theme == "dark" else "light",
        locale="en-GB",
        timezone_id="UTC",
        is_mobile=phone,
        has_touch=phone,
    )
    tab.goto(page.absolute().as_uri())
    tab.wait_for_selector("html[data-ready=yes]", state="attached", timeout=60_000)
    act(tab)
    tab.wait_for_timeout(_SETTLED)
    content = _small(tab.screenshot())
    tab.close()
    to.write_bytes(content)
    return len(content)


def _nothing(_: "Page") -> None:
    """Leaves the page as it opens."""


def _story(tab: "Page") -> None:
    """Opens the largest story."""
    tab.locator("#stories [data-story]").first.click()
    tab.wait_for_selector("#story:not([hidden])")


def _search(tab: "Page") -> None:
    """Searches the day's strikes."""
    tab.fill("#query", "strike OR walkout -football")
    tab.wait_for_function("() => location.hash.includes('q=')")


def _selection(tab: "Page") -> None:
    """Draws around the middle of the map."""
    box = tab.locator("#map").bounding_box()
    assert box is not None
    tab.click("#lasso")
    corners = [(0.3, 0.3), (0.7, 0.3), (0.7, 0.7), (0.3, 0.7), (0.3, 0.3)]
    places = [(box["x"] + box["width"] * right, box["y"] + box["height"] * down) for right, down in corners]
    tab.mouse.move(*places[0])
    tab.mouse.down()
    for x, y in places[1:]:
        tab.mouse.move(x, y, steps=8)
    tab.mouse.up()
    tab.wait_for_selector("#selection:not([hidden])")


def _gallery(tab: "Page") -> None:
    """Opens the list of runs."""
    tab.goto(tab.url.split("#")[0].replace("latest.html", "index.html"))


def _own(tab: "Page") -> None:
    """Opens the largest story's own page."""
    number = tab.evaluate("() => document.querySelector('#stories [data-story]').dataset.story")
    tab.goto(tab.url.split("#")[0].replace("latest.html", f"story-{number}.html"))


def _since(tab: "Page") -> None:
    """Lists what changed in the last 24 hours."""
    tab.select_option("#since", "24h")


def _language(tab: "Page") -> None:
    """Colours the map by language."""
    tab.select_option("#colour", "language")


ACTS: "dict[str, Callable[[Page], None]]" = {
    "story": _story,
    "search": _search,
    "selection": _selection,
    "since": _since,
    "language": _language,
    "gallery": _gallery,
    "own": _own,
}
LIGHT_ONLY = {"selection", "since", "language", "own"}  # pictures lie in git: what they show is the same in the dark


def _small(content: bytes) -> bytes:
    """A PNG with a palette, a third of the size."""
    picture = Image.open(io.BytesIO(content)).convert("RGB").quantize(_COLOURS, kmeans=3, dither=Image.Dither.NONE)
    small = io.BytesIO()
    picture.save(small, "PNG", optimize=True)
    return min(small.getvalue(), content, key=len)


if __name__ == "__main__":
    main()
