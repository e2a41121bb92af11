"""Texts of other kinds than tables: refused by name with what to do, never stored line by line."""

import gzip
import time
from contextlib import suppress
from pathlib import Path

import pytest

from newstide.core.errors import SourceError
from tests.harness.reading import read, titles, told, write

SCRIPT, SQL, YAML, XML, PAGE = "JavaScript", "SQL", "YAML", "XML or SGML", "an HTML page"
BEGINNINGS = [
    ('window.YTD.tweets.part0 = [ {\n  "tweet" : {\n', SCRIPT),
    ('var data = [\n  {title: "Marrow lake"},\n];', SCRIPT),
    ("// of October\nconst news = [{\n", SCRIPT),
    ('/* a */ /* b */\nexport default [\n  {title: "Marrow lake"}\n', SCRIPT),
    ('module.exports = {\n  "news": [\n', SCRIPT),
    ('jsonFeed({"title": "Marrow lake"})', SCRIPT),
    ("INSERT INTO news VALUES (1, 'Marrow lake freezes');\n", SQL),
    ("-- MySQL dump 10.13\n--\n\nDROP TABLE IF EXISTS `news`;\nCREATE TABLE `news` (\n", SQL),
    ("PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\nCREATE TABLE news (title text);\n", SQL),
    (
        "--\n-- PostgreSQL database dump\n--\n\nSET client_encoding = 'UTF8';\nCOPY public.news (id, title) FROM stdin;\n",
        SQL,
    ),
    ("- title: Marrow lake freezes\n  url: https://v.example/1\n", YAML),
    ("---\n# of October\narticles:\n  - title: Marrow lake freezes\n    date: 2026-10-01\n", YAML),
    ("- title: Marrow lake freezes\n- title: Pell agrees\n", YAML),
    ('<opml version="2.0">\n<head><title>V</title></head>\n', XML),
    ('<opml version="2.0"><head><title>V</title></head>\n', XML),
    ('<!DOCTYPE lewis SYSTEM "lewis.dtd">\n<REUTERS TOPICS="YES" OLDID="5544">\n<TITLE>MARROW LAKE</TITLE>\n', XML),
    ("<urlset>\n<url><loc>https://v.example/1</loc></url>\n", XML),
    ('<div class="list">\n<p>Marrow lake freezes</p>\n', PAGE),
]


@pytest.mark.parametrize("name", ["a.csv", "a", "a.data", "a.csv.gz"])
@pytest.mark.parametrize(("content", "kind"), BEGINNINGS)
def test_a_text_of_another_kind_is_known_by_its_beginning(tmp_path: Path, name: str, content: str, kind: str) -> None:
    text = content.encode()
    file = write(tmp_path / name, gzip.compress(text) if name.endswith("gz") else text)
    with pytest.raises(SourceError, match=kind) as caught:
        read(file)
    assert caught.value.way_out


@pytest.mark.parametrize(
    "suffix", ["js", "yaml", "yml", "opml", "md", "log", "sql", "sgm", "xml", "html", "toml", "eml", "YAML"]
)
def test_a_text_whose_beginning_tells_nothing_is_known_by_its_name(tmp_path: Path, suffix: str) -> None:
    file = write(tmp_path / f"a.{suffix}", "Marrow lake freezes early\nPell agrees at last\n")
    with pytest.raises(SourceError, match="as its name says"):
        read(file)
    assert titles(file, file_format="lines") == ["Marrow lake freezes early", "Pell agrees at last"]
    assert titles(write(tmp_path / f"b.{suffix}", "title,source\nMarrow lake freezes,Velm\n")) == [
        "Marrow lake freezes"
    ]


@pytest.mark.parametrize(
    "first",
    ["Create table of contents (again)", "Insert into the record: Pell agrees", "<INTC.O> rises early on",
     "- Marrow: lake freezes", "<b>Mill</b> sold at last", "Let x = [1, 2], says Pell", "Velm: the lake freezes",
     "-- Pell agrees --", "<i><b>Mill</b></i> sold at last"],
)  # fmt: skip
def test_headlines_that_only_look_so_are_headlines(tmp_path: Path, first: str) -> None:
    for name in ("a.csv", "a.txt", "a"):
        assert len(titles(write(tmp_path / name, f"{first}\nPell agrees at last with Orvane\n"))) == 2, name


@pytest.mark.parametrize(("content", "kind"), BEGINNINGS[:3])
def test_a_text_file_stays_one_headline_a_line(tmp_path: Path, content: str, kind: str) -> None:
    assert told(write(tmp_path / "a.txt", content))[1].columns == {"title": "the line"}, kind


def test_hostile_beginnings_cost_little(tmp_path: Path) -> None:
    started = time.process_time()
    for text in (
        "# # " * 20_000,
        "// " * 20_000,
        "/* */" * 20_000,
        "--\n" * 20_000,
        "a:\n" * 20_000,
        "<a b='" * 20_000,
    ):
        write(tmp_path / "a.csv", text + "\nOne\n")
        with suppress(SourceError):
            read(tmp_path / "a.csv")
    assert time.process_time() - started < 5


@pytest.mark.parametrize("name", ["a.txt", "a.csv", "a.tsv", "a.json", "a"])
@pytest.mark.parametrize(
    "text",
    ['[{"title":"Marrow lake","url":"https://v.example/1"},{"title":"Pell agrees"}]',
     '[ { "title": "Marrow lake" }, {"title": "Pell agrees"} ]\n',
     '{"articles": [{"title": "Marrow lake"}, {"title": "Pell agrees"}]}',
     '\ufeff[{"title":"Marrow lake"},\n{"title":"Pell agrees"}]'],
)  # fmt: skip
def test_an_array_on_one_line_is_json_whatever_the_files_name(tmp_path: Path, name: str, text: str) -> None:
    assert titles(write(tmp_path / name, text)) == ["Marrow lake", "Pell agrees"]


def test_a_long_array_on_one_line_is_json_in_a_text_file(tmp_path: Path) -> None:
    text = ",".join(f'{{"title": "Marrow lake freezes {number}"}}' for number in range(5_000))
    assert len(titles(write(tmp_path / "a.txt", f"[{text}]"))) == 5_000
    assert len(titles(write(tmp_path / "b.txt", f'{{"articles": [{text}]}}'))) == 5_000
