"""The page of a run as a file: what it holds, what it leaves out, and what a full disk does to it."""

import base64
import gzip
import hashlib
import json
import os
import re
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clustering.pages import page_file
from clustering.pages.colours import (
    INK,
    NOISE,
    PALETTES,
    PAPER,
    POINT_OPACITY,
    chosen_rows,
    colour,
    colour_tables,
    density_image,
)
from clustering.pages.page_file import as_script_data
from clustering.pages.run_page import Snapshot, export_page, write_snapshot
from newstide.core.files import replace_text, replacing
from tests.harness.snapshots import BEGIN, made_snapshot, make_snapshot


def data_of(page: Path) -> dict[str, Any]:
    """The data that a page carries."""
    found = re.search(
        r'<script type="application/json" id="data" data-packed="(yes|no)">(.*?)</script>', page.read_text()
    )
    assert found is not None
    packed, text = found.groups()
    content: dict[str, Any] = json.loads(gzip.decompress(base64.b64decode(text)) if packed == "yes" else text)
    return content


def test_a_page_holds_every_headline_and_the_open_stories_largest_first(tmp_path: Path) -> None:
    snapshot = make_snapshot()
    data = data_of(write_snapshot(tmp_path, snapshot, max_points=1000))
    assert data["title"] == snapshot.headlines["title"].tolist()
    assert data["leftOut"] == 0
    assert data["density"] is None
    sizes = [story["size"] for story in data["stories"]]
    assert sizes == sorted(sizes, reverse=True)
    assert len(sizes) == 6
    assert np.allclose(data["x"], snapshot.headlines["x"], atol=1e-3)


def test_latest_is_the_last_run_and_plotly_lies_there_once(tmp_path: Path) -> None:
    first = write_snapshot(tmp_path, make_snapshot(run=1), max_points=1000)
    plotly = (tmp_path / "plotly.min.js").stat().st_mtime_ns
    second = write_snapshot(tmp_path, make_snapshot(run=2), max_points=1000)
    assert first.name == "run-000001.html"
    assert json.loads((tmp_path / "latest.json").read_text()) == {"run": 2, "page": second.name, "runs": [1, 2]}
    assert 'data-live="yes" data-run="2"' in (tmp_path / "latest.html").read_text()
    assert 'data-live="no" data-run="2"' in second.read_text()
    assert (tmp_path / "plotly.min.js").stat().st_mtime_ns == plotly
    assert not list(tmp_path.glob(".*")), "nothing half written is left"


def test_a_page_refers_to_nothing_outside_its_folder(tmp_path: Path) -> None:
    page = write_snapshot(tmp_path, make_snapshot(), max_points=1000).read_text()
    markup = page.split('<script type="application/json"')[0] + page.split("</script>", 1)[1].split("<script>")[0]
    known = {"index.html", "latest.html", "plotly.min.js"}
    assert set(re.findall(r'(?:src|href)="(?!data:)([^"#]+)"', markup)) == known
    assert not re.search(r"url\(|@import", page.split("</style>")[0])


def test_the_policy_lets_only_the_pages_own_script_run(tmp_path: Path) -> None:
    page = write_snapshot(tmp_path, make_snapshot(), max_points=1000).read_bytes().decode()
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)
    assert policy is not None
    script = page.rsplit("<script>", 1)[1].split("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"sha256-{digest}" in policy[1].replace("&#43;", "+")
    assert "unsafe-eval" not in policy[1]
    assert "script-src 'unsafe-inline'" not in policy[1]


@pytest.mark.parametrize(
    "text",
    [
        "</script><script>alert(1)</script>",
        "<!-- <script>",
        "\u2028 and \u2029",
        "a & b",
        '"quoted" \\ \x00 \x1b',
        "😀 𝔘",
    ],
)
def test_no_text_can_end_the_data_and_all_come_back_as_they_were(text: str) -> None:
    written = as_script_data(json.dumps([text], ensure_ascii=False))
    assert not re.search("[<>&\u2028\u2029]", written)
    assert json.loads(written) == [text]


@pytest.mark.parametrize("rows", [60, 12_000])  # the data of many is compressed
def test_a_page_given_its_own_data_is_the_same_to_the_letter(tmp_path: Path, rows: int) -> None:
    page = write_snapshot(tmp_path, make_snapshot(rows=rows, title="</script> & <b>{}"), max_points=rows).read_text()
    data = page_file.data(page)
    assert data is not None
    assert ('data-packed="yes"' in page) is (rows > 60)
    assert page_file.with_data(page, data) == page
    other = page_file.with_data(page, {**data, "stories": [], "begin": 7})
    assert page_file.data(other) == {**data, "stories": [], "begin": 7}
    assert page.partition("<ol")[0] == other.partition("<ol")[0]


def test_an_exported_page_needs_no_other_file(tmp_path: Path) -> None:
    write_snapshot(tmp_path / "pages", make_snapshot(), max_points=1000)
    page = export_page(tmp_path / "pages", 1, tmp_path / "one.html").read_text()
    assert 'src="plotly.min.js"' not in page
    assert (tmp_path / "pages" / "plotly.min.js").read_text() in page
    assert "<h1>newstide</h1>" in page  # no link to a list of runs that does not come along
    with pytest.raises(FileNotFoundError):
        export_page(tmp_path / "pages", 7, tmp_path / "seven.html")


def test_a_run_without_headlines_has_a_page(tmp_path: Path) -> None:
    full = make_snapshot()
    data = data_of(
        write_snapshot(tmp_path, Snapshot(1, BEGIN, full.headlines[:0], full.stories[:0], {}), max_points=1000)
    )
    assert data["x"] == []
    assert data["stories"] == []


def test_a_story_closed_by_this_run_is_listed_without_a_place(tmp_path: Path) -> None:
    snapshot = make_snapshot()
    stories = snapshot.stories
    stories["events"] = [["closed"], *stories["events"][1:]]
    stories["status"] = ["closed", *stories["status"][1:]]
    stories.loc[0, "successor"] = 3
    data = data_of(write_snapshot(tmp_path, snapshot, max_points=1000))
    assert data["stories"][-1]["number"] == 0
    assert data["stories"][-1]["place"] is None
    assert "in 5 stories" in (tmp_path / "run-000001.html").read_text()


def test_a_failed_write_leaves_the_old_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_snapshot(tmp_path, make_snapshot(run=1), max_points=1000)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_snapshot(tmp_path, make_snapshot(run=2), max_points=1000)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_of_too_many_headlines_each_story_keeps_its_most_probable() -> None:
    headlines = make_snapshot(rows=5000, stories=200).headlines
    rows = chosen_rows(headlines, 500)
    assert len(rows) == 500
    assert (np.diff(rows) > 0).all()
    chosen = headlines.iloc[rows]
    inside = headlines[headlines["cluster_label"] >= 0]
    assert set(inside["cluster_label"]) <= set(chosen["cluster_label"])
    assert set(inside.groupby("cluster_label")["label_probability"].idxmax()) <= set(rows.tolist())
    noise_share = (headlines["cluster_label"] < 0).mean()
    assert abs((chosen["cluster_label"] < 0).mean() - noise_share) < 0.01


@pytest.mark.parametrize("label", [-1, 3])
def test_headlines_all_in_one_story_or_in_none_are_chosen_from_too(label: int) -> None:
    headlines = make_snapshot(rows=300).headlines.assign(cluster_label=label)
    assert len(chosen_rows(headlines, 100)) == 100


def test_a_page_that_leaves_headlines_out_says_so_and_shades_where_they_lie(tmp_path: Path) -> None:
    data = data_of(write_snapshot(tmp_path, make_snapshot(rows=3000), max_points=500))
    assert len(data["x"]) == 500
    assert data["leftOut"] == 2500
    assert base64.b64decode(data["density"]["source"].split(",")[1]).startswith(b"\x89PNG")


def test_the_shade_covers_the_map_and_is_darkest_where_most_lie() -> None:
    x = np.r_[np.zeros(1000), 10.0]
    y = np.r_[np.zeros(1000), 5.0]
    image = density_image(x, y)
    assert (image["left"], image["top"], image["width"], image["height"]) == (0, 5, 10, 5)
    content = base64.b64decode(image["source"].split(",")[1]).split(b"IDAT")[1].split(b"IEND")[0][:-8]
    lines = np.frombuffer(zlib.decompress(content), np.uint8).reshape(256, 1 + 256 * 4)
    opacity = lines[:, 1:].reshape(256, 256, 4)[..., 3]
    assert opacity[255, 0] == opacity.max()  # bottom left
    assert opacity[255, 0] > opacity[0, 255]
    assert opacity[0, 255] > 0  # top right
    assert opacity[0, 0] == 0


def test_fifty_thousand_headlines_take_at_most_six_megabytes(tmp_path: Path) -> None:
    page = write_snapshot(tmp_path, made_snapshot(50_000), max_points=50_000)  # words as frequent as a language's
    assert page.stat().st_size <= 6_000_000
    assert len(data_of(page)["x"]) == 50_000


def test_two_may_write_a_page_at_once_and_what_a_killed_one_left_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "latest.html"
    flush = os.fsync

    def another_writes(descriptor: int) -> None:
        monkeypatch.setattr("os.fsync", flush)
        replace_text(page, "of the other")
        flush(descriptor)

    monkeypatch.setattr("os.fsync", another_writes)
    replace_text(page, "of the one")
    assert page.read_text() == "of the one"
    left = tmp_path / f".run-000007.html.{'0' * 32}.tmp"
    left.touch()
    with replacing(tmp_path / "run-000008.html"):  # its writer is at work
        (held,) = tmp_path.glob(".run-000008.html.*")
        write_snapshot(tmp_path, make_snapshot(), max_points=1000)
        assert not left.exists()
        assert held.exists()


def test_the_foot_names_every_fact_there_is(tmp_path: Path) -> None:
    facts = {
        "model": "made <up>",
        "kept": 0.97314,
        "rows": 20_000,
        "map_seconds": 1.25,
        "recall": None,
        "fitted_anew": False,
        "parameters": {"min_dist": 0.1, "neighbours": 15},
    }
    page = write_snapshot(tmp_path, replace(make_snapshot(), facts=facts), max_points=1000).read_text()
    foot = page[page.index("<footer>") : page.index("</footer>")]
    assert "97.3 % of headlines kept their story" in foot.split("</summary>")[0]
    assert re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", foot) == [
        ("kept their story", "97.3 % of headlines"),
        ("model", "made &lt;up&gt;"),
        ("rows", "20,000"),
        ("map seconds", "1.25"),
        ("fitted anew", "no"),
        ("min dist", "0.1"),
        ("neighbours", "15"),
    ]
    without = write_snapshot(tmp_path, replace(make_snapshot(), facts={"kept": None}), max_points=1000).read_text()
    assert "kept" not in without[without.index("<footer>") : without.index("</footer>")]


def _rgb(code: str) -> Any:
    return np.array([int(code[at : at + 2], 16) for at in (1, 3, 5)]) / 255


def _drawn(code: str, theme: str) -> Any:
    """A colour as a point of it looks on the page."""
    return _rgb(code) * POINT_OPACITY + _rgb(PAPER[theme]) * (1 - POINT_OPACITY)


def _linear(channel: Any) -> Any:
    return np.where(channel <= 0.04045, channel / 12.92, ((channel + 0.055) / 1.055) ** 2.4)


_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
_SIGHTS = {  # Machado, Oliveira and Fernandes 2009, table 1, severity 1.0
    "usual": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("sight", _SIGHTS)
def test_colours_of_stories_are_told_apart_by_every_eye(theme: str, sight: str) -> None:
    def cielab(channels: Any) -> Any:
        xyz = _XYZ @ np.clip(_SIGHTS[sight] @ _linear(channels), 0, 1) / [0.9505, 1, 1.089]
        f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
        return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])

    colours = np.array([cielab(_drawn(code, theme)) for code in PALETTES[theme]])
    apart = np.linalg.norm(colours[:, None] - colours[None], axis=-1)
    assert apart[~np.eye(len(colours), dtype=bool)].min() >= 18


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_colours_of_stories_stand_out_from_the_page_and_noise_does_not(theme: str) -> None:
    def contrast(channels: Any) -> float:
        low, high = sorted(float(_linear(one) @ _XYZ[1]) for one in (channels, _rgb(PAPER[theme])))
        return (high + 0.05) / (low + 0.05)

    for code in PALETTES[theme]:
        assert contrast(_drawn(code, theme)) >= 3, code
    assert contrast(_rgb(colour(-1, theme))) < 2.3
    assert colour(-1, theme) == NOISE[theme]


def test_the_style_sheet_has_the_same_paper_and_ink() -> None:
    style = (Path(page_file.__file__).parent / "assets" / "page.css").read_text()
    light, dark = re.findall(r"--paper: (#\w{6});.*?--ink: (#\w{6});", style)
    assert {"light": light, "dark": dark} == {theme: (PAPER[theme], INK[theme]) for theme in PAPER}


def test_a_storys_colour_is_its_own_for_ever() -> None:
    assert [PALETTES["light"].index(colour(number)) for number in range(12)] == [0, 7, 4, 1, 8, 5, 2, 9, 6, 3, 1, 8]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_pages_tables_give_the_same_colours(theme: str) -> None:
    table = colour_tables()[theme]
    numbers = [*range(1000), 123_456_789, 2**53]
    assert [table["stories"][number % len(table["stories"])] for number in numbers] == [
        colour(number, theme) for number in numbers
    ]
    assert table["noise"] == colour(-1, theme)
