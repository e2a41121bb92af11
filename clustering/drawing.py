"""What of a run is drawn: the colours of stories, the headlines chosen where there are too many, and small pictures."""

import base64
import struct
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

# A story's number picks the same place in both. Any two colours differ by at least 13 in CIELAB (CIE 1976), also as seen
# with protanopia, deuteranopia and tritanopia (Machado et al. 2009), and stand at least 3:1 against the page.
PALETTES = {
    "light": (
        *("#1d69b2", "#cd5245", "#117733", "#9a3489", "#3d2c91"),
        *("#b8860b", "#b8281d", "#009a9a", "#82204f", "#6f86e8"),
    ),
    "dark": (
        *("#56b4e9", "#f28e2b", "#50ae76", "#e496c5", "#8a7bf0"),
        *("#f0e05a", "#e8604c", "#7ff0e0", "#c04f8f", "#d1b371"),
    ),
}
NOISE = "#c9c6bd"
PAPER = {"light": "#fbfaf7", "dark": "#14161b"}  # as in page.css
INK = {"light": "#1c1d22", "dark": "#eceae5"}
SVG_POINTS = 5_000  # more are drawn with WebGL
_THUMBNAIL_POINTS = 250
_DENSITY_CELLS = 256
_INK = (128, 128, 136)  # reads on light and on dark paper alike


def palette_place(number: int) -> int:
    """The place of a story's colour in a palette: the same for its number in every run."""
    return (number * 7 + number // 10) % 10


def colour(number: int, theme: str = "light") -> str:
    """A story's colour; grey for a negative number, which is no story."""
    return NOISE if number < 0 else PALETTES[theme][palette_place(number)]


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
    """How many headlines lie where, as a picture to lay under the points.

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


def thumbnail(rows: pd.DataFrame) -> list[list[Any]]:
    """Some points as [x, y, story], x from 0 to 100 and y from 0 to 60; a few lie outside."""
    if rows.empty:
        return []
    some = rows.iloc[np.random.default_rng(0).permutation(len(rows))[:_THUMBNAIL_POINTS]]
    places = some[["x", "y"]].to_numpy(np.float64)
    low, high = np.percentile(places, 1, axis=0), np.percentile(places, 99, axis=0)
    unit = float(np.max((high - low) / np.array([100.0, 60.0]))) or 1.0
    middle = (low + high) / 2
    x = 50 + (places[:, 0] - middle[0]) / unit
    y = 30 - (places[:, 1] - middle[1]) / unit
    labels = some["cluster_label"].astype(int).tolist()
    return [[round(float(a), 1), round(float(b), 1), label] for a, b, label in zip(x, y, labels, strict=True)]


def _png(pixels: npt.NDArray[np.uint8]) -> bytes:
    """A PNG file of (height, width, 4) pixels."""
    height, width, _ = pixels.shape
    lines = b"".join(b"\0" + row.tobytes() for row in pixels)  # 0: the line is not filtered

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)  # 8 bits a channel, 6 = RGBA
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines, 9)) + chunk(b"IEND", b"")
