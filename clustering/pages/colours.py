"""Drawing: the colours of stories, the choice of headlines where there are too many, and small pictures of maps."""

import base64
import math
import struct
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

# A story's number picks the same place in both. Any two colours, as drawn, differ by at least 18 in CIELAB (CIE 1976), also
# as seen with protanopia, deuteranopia and tritanopia (Machado et al. 2009), and stand at least 3:1 against the page.
PALETTES = {
    "light": (
        *("#024bd5", "#f12f66", "#095836", "#b94e9e", "#60309c"),
        *("#d26819", "#982900", "#009879", "#810e66", "#8d74e1"),
    ),
    "dark": (
        *("#61b1ff", "#e67f0b", "#6da564", "#ed91c0", "#7858e8"),
        *("#ffdf38", "#cd3d29", "#7affbd", "#c636af", "#bad76d"),
    ),
}
NOISE = {"light": "#c9c6bd", "dark": "#4b505c"}
# Headlines in a story that has no colour of its own where many share the map: between noise and ink.
QUIET = {"light": "#96938a", "dark": "#767c8a"}
# From the oldest headlines of a window to its newest; lightness falls on light paper and rises on dark paper.
AGES = {
    "light": ("#d9cda6", "#d9ad62", "#cf8240", "#b85336", "#8f2b46", "#57124c"),
    "dark": ("#4d4668", "#75487f", "#a9507c", "#d9656a", "#f29a5b", "#ffdc8a"),
}
PAPER = {"light": "#fbfaf7", "dark": "#14161b"}  # as in page.css
INK = {"light": "#1c1d22", "dark": "#eceae5"}
POINT_OPACITY = 0.9  # of a headline in a story
SVG_POINTS = 5_000  # more are drawn with WebGL
_CYCLE = 100  # colours repeat after as many numbers
_THUMBNAIL_POINTS = 300  # about as many at most
_DENSITY_CELLS = 256
_INK = (128, 128, 136)  # reads on light and on dark paper alike


def colour(number: int, theme: str = "light") -> str:
    """A story's colour, the same for its number in every run; faint grey for a negative number, which is no story."""
    return NOISE[theme] if number < 0 else PALETTES[theme][(number * 7 + number // 10) % 10]


def colour_tables() -> dict[str, Any]:
    """`colour` for a page's script, by theme.

    Returns:
        `noise`; `quiet`, of stories without a colour; `stories`, whose place `number % length` holds a story's; `ages`,
        from the oldest headlines to the newest.
    """
    return {
        theme: {
            "noise": NOISE[theme],
            "quiet": QUIET[theme],
            "stories": [colour(number, theme) for number in range(_CYCLE)],
            "ages": list(AGES[theme]),
        }
        for theme in PALETTES
    }


def chosen_rows(headlines: pd.DataFrame, most: int) -> npt.NDArray[np.int64]:
    """Row numbers to draw, ascending.

    All, where there are no more than `most`. Otherwise each story's most probable headline before the second of any, and
    headlines in no story by their share, drawn by lot.
    """
    n = len(headlines)
    if n <= most:
        return np.arange(n)
    labels = headlines["cluster_label"].to_numpy(np.int64)
    noise = np.flatnonzero(labels < 0)
    some_noise = np.random.default_rng(0).permutation(noise)[: int(most * len(noise) / n)]
    inside = np.flatnonzero(labels >= 0)
    probabilities = headlines["label_probability"].to_numpy()[inside]
    by_probability = inside[np.lexsort((inside, -probabilities, labels[inside]))]
    place = np.arange(len(by_probability))
    begins = np.r_[True, np.diff(labels[by_probability]) != 0][: len(by_probability)]
    rank = place - np.maximum.accumulate(np.where(begins, place, 0))
    chosen = by_probability[np.argsort(rank, kind="stable")][: most - len(some_noise)]
    return np.sort(np.concatenate([chosen, some_noise]))


def density_image(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> dict[str, Any]:
    """The density of headlines, as a picture to lay under the points.

    Args:
        x: (n,) positions, n > 0.
        y: (n,)

    Returns:
        `source`, a PNG as a data URL, and the box it covers: `left`, `top`, `width`, `height`.
    """
    from scipy.ndimage import gaussian_filter

    counts, edges_x, edges_y = np.histogram2d(x, y, bins=_DENSITY_CELLS)
    dense = np.log1p(gaussian_filter(counts, 1.0))
    opacity = np.rint(150 * dense / max(float(dense.max()), 1e-9)).astype(np.uint8)
    pixels = np.empty((_DENSITY_CELLS, _DENSITY_CELLS, 4), np.uint8)
    pixels[..., :3] = _INK
    pixels[..., 3] = opacity.T[::-1]  # rows of a picture run down, y runs up
    return {
        "source": "data:image/png;base64," + base64.b64encode(_png(pixels)).decode(),
        "left": float(edges_x[0]),
        "top": float(edges_y[-1]),
        "width": float(edges_x[-1] - edges_x[0]),
        "height": float(edges_y[-1] - edges_y[0]),
    }


def thumbnail(headlines: pd.DataFrame) -> list[list[Any]]:
    """Some headlines as [x, y, story], in the map's own unit: all, or a half, a quarter ... of them.

    The hash of its id says whether a headline belongs to the half or the quarter: one that is drawn in a run's picture is
    drawn in the next one's, too, and stories are seen to grow.
    """
    halvings = max(0, math.ceil(math.log2(max(len(headlines), 1) / _THUMBNAIL_POINTS)))
    hashes = pd.util.hash_array(headlines["id"].to_numpy(object), categorize=False)
    some = headlines[hashes >> np.uint64(64 - halvings) == 0] if halvings else headlines
    places = np.round(some[["x", "y"]].to_numpy(np.float64), 2).tolist()
    labels = some["cluster_label"].astype(int).tolist()
    return [[x, y, label] for (x, y), label in zip(places, labels, strict=True)]


def _png(pixels: npt.NDArray[np.uint8]) -> bytes:
    """A PNG file of (height, width, 4) pixels."""
    height, width, _ = pixels.shape
    lines = b"".join(b"\0" + row.tobytes() for row in pixels)  # 0: the line is not filtered

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)  # 8 bits a channel, 6 = RGBA
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines, 9)) + chunk(b"IEND", b"")
