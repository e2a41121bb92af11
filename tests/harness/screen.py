"""What is on the screen, and moves of a hand."""

import struct
import zlib
from typing import Any

import numpy as np
from playwright.sync_api import Page


def pixels(page: Page) -> Any:
    """(height, width, 3) of what the map shows."""
    return decoded(page.locator("#map").screenshot())


def decoded(content: bytes) -> Any:
    """(height, width, 3) of a PNG as Chromium writes it: 8 bits a channel, not interlaced."""
    width, height, depth, kind = struct.unpack(">IIBB", content[16:26])
    assert depth == 8
    channels = {2: 3, 6: 4}[kind]
    stream, at = b"", 8
    while at < len(content):
        length = struct.unpack(">I", content[at : at + 4])[0]
        if content[at + 4 : at + 8] == b"IDAT":
            stream += content[at + 8 : at + 8 + length]
        at += 12 + length
    lines = np.frombuffer(zlib.decompress(stream), np.uint8).reshape(height, 1 + width * channels)
    picture = np.zeros((height, width * channels), np.int64)
    for row in range(height):
        above = picture[row - 1] if row else np.zeros(width * channels, np.int64)
        picture[row] = _unfiltered(int(lines[row, 0]), lines[row, 1:].astype(np.int64), above, channels)
    return picture.reshape(height, width, channels)[..., :3]


def _unfiltered(kind: int, line: Any, above: Any, channels: int) -> Any:
    if kind == 0:
        return line
    if kind == 2:
        return (line + above) % 256
    if kind == 1:
        return np.cumsum(line.reshape(-1, channels), axis=0).reshape(-1) % 256
    out, upper = line.tolist(), above.tolist()
    for at, value in enumerate(out):
        left = out[at - channels] if at >= channels else 0
        corner = upper[at - channels] if at >= channels else 0
        guess = (left + upper[at]) // 2
        if kind == 4:
            estimate = left + upper[at] - corner
            guess = min((left, upper[at], corner), key=lambda near: abs(estimate - near))
        out[at] = (value + guess) % 256
    return np.array(out)


def coloured(picture: Any) -> int:
    """Pixels that are far from grey."""
    return int((np.ptp(picture, axis=-1) > 60).sum())


def hash_of(page: Page) -> str:
    page.wait_for_timeout(250)
    return str(page.evaluate("location.hash"))


def box_of(page: Page, selector: str) -> Any:
    box = page.locator(selector).bounding_box()
    assert box is not None
    return box


def drag(page: Page, begin: tuple[float, float], end: tuple[float, float]) -> None:
    page.mouse.move(*begin)
    page.mouse.down()
    page.mouse.move(*end, steps=8)
    page.mouse.up()


def place_of(page: Page, row: int, trace: int = 0) -> tuple[float, float]:
    """Where on the screen a row's point is; its own label or another point may lie over it."""
    x, y = page.evaluate(
        """([trace, row]) => { const map = document.getElementById("map"), box = map.getBoundingClientRect(), l = map.layout;
          const x = map.data[trace].x[row], y = map.data[trace].y[row];
          return [box.x + (x - l.xaxis.range[0]) / (l.xaxis.range[1] - l.xaxis.range[0]) * box.width,
                  box.y + (l.yaxis.range[1] - y) / (l.yaxis.range[1] - l.yaxis.range[0]) * box.height]; }""",
        [trace, row],
    )
    return float(x), float(y)


def circle(page: Page, left: float, top: float, right: float, bottom: float) -> None:
    """Draws the lasso around a part of the map, in shares of its sides."""
    if page.locator("#lasso").get_attribute("aria-pressed") != "true":
        page.click("#lasso")
    page.wait_for_function("document.getElementById('map').layout.dragmode === 'lasso'")
    page.wait_for_timeout(500)  # the plot is drawn anew for it
    box = box_of(page, "#map")
    corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
    places = [(box["x"] + across * box["width"], box["y"] + down * box["height"]) for across, down in corners]
    page.mouse.move(*places[0])
    page.mouse.down()
    for x, y in places:
        page.mouse.move(x, y, steps=8)
    page.mouse.up()


def titles_on(page: Page) -> list[list[float]]:
    """[left, top, right, bottom] of each title on the map."""
    found: list[list[float]] = page.eval_on_selector_all(
        "#labels span:not([hidden])",
        "all => all.map(e => { const b = e.getBoundingClientRect(); return [b.x, b.y, b.right, b.bottom] })",
    )
    return found
