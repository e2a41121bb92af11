"""The page's search reads words as feeds and watches do."""

import json
import shutil
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import pytest

from tests.test_words import TABLE

pytestmark = pytest.mark.browser

FINDS = """async (examples) => {
    const { parsed, wants, refuses } = await import("/search.js");
    const { fold } = await import("/words.js");
    return examples.map(([words, title]) => {
        const search = parsed(words), text = fold(title);
        return wants(search, text) && !refuses(search, text);
    });
}"""


def test_the_pages_search_finds_what_feeds_and_watches_find(visitor: Any, serve: str, tmp_path: Path) -> None:
    with as_file(files("clustering.pages") / "assets" / "script") as scripts:
        for name in ("search.js", "words.js"):
            shutil.copy(scripts / name, tmp_path / name)
    (tmp_path / "empty.html").write_text("<!doctype html><title>empty</title><link rel='icon' href='data:,'>")
    visitor.page.goto(f"{serve}/empty.html")
    table = json.loads(TABLE.read_text(encoding="utf-8"))
    found = visitor.page.evaluate(FINDS, table)
    assert [[words, title, hit] for (words, title, _), hit in zip(table, found, strict=True)] == table
