"""Pictures of the pages for the documentation: two sets of headlines, three sizes, light and dark.

    python -m benchmarks.screenshots [--rows 20000] [--to docs/images] [--day FOLDER_OF_PAGES]

`day` is the bundled day after `newstide demo` (which is run, unless --day tells where its pages lie); `week` a made-up
stream through clustering and layout. Needs Chromium.
"""

import argparse
import io
import shutil
import sys
import tempfile
from pathlib import Path

from benchmarks.made_stream import made_run
from benchmarks.pages import CHROMIUM_FLAGS
from clustering.gallery import write_index
from clustering.snapshot import write_snapshot
from newstide.app.demo import run_demo
from newstide.settings import Settings

SIZES = {"desk": (1440, 900), "tablet": (1024, 768), "phone": (390, 844)}
THEMES = ("light", "dark")
_COLOURS = 256  # of a picture's palette


def main() -> None:
    """Writes the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000, help="headlines of the made-up week")
    parser.add_argument("--to", type=Path, default=Path("docs/images"))
    parser.add_argument("--day", type=Path, help="pages that `newstide demo` wrote")
    parser.add_argument("--week", type=Path, help="pages of the made-up week, kept and used again")
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
    """Takes each view in each size and theme; the bytes altogether."""
    from playwright.sync_api import sync_playwright

    total = 0
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        for name, page in views.items():
            for size, (width, height) in SIZES.items():
                for theme in THEMES:
                    tab = browser.new_page(
                        viewport={"width": width, "height": height},
                        color_scheme="dark" if theme == "dark" else "light",
                        is_mobile=size == "phone",
                        has_touch=size == "phone",
                    )
                    tab.goto(page.absolute().as_uri())
                    tab.wait_for_selector("html[data-ready=yes]", state="attached", timeout=60_000)
                    tab.wait_for_timeout(600)
                    content = _small(tab.screenshot())
                    tab.close()
                    (to / f"{name}-{size}-{theme}.png").write_bytes(content)
                    total += len(content)
        browser.close()
    return total


def _small(content: bytes) -> bytes:
    """A PNG with a palette, a third of the size; as it was where Pillow is not installed."""
    try:
        from PIL import Image  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        return content
    picture = Image.open(io.BytesIO(content)).convert("RGB").quantize(_COLOURS, kmeans=3, dither=Image.Dither.NONE)
    small = io.BytesIO()
    picture.save(small, "PNG", optimize=True)
    return min(small.getvalue(), content, key=len)


if __name__ == "__main__":
    main()
