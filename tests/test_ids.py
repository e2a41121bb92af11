"""Ids that were given stay: a headline that is sent again has the id it had."""

import json
from pathlib import Path

import pytest

from newstide.core.headline import decode, derive_id
from newstide.core.ids import names_a_site, stands_alone
from producers.files import read_files
from producers.rows import Row

NOW = 1_790_000_000_000
KEPT = Path(__file__).parent / "data" / "ids.jsonl"  # written once, by the version of October 2026


def kept(kind: str) -> list[tuple[dict[str, object], str]]:
    lines = map(json.loads, KEPT.read_text(encoding="utf-8").strip().split("\n"))
    return [(line["fields"], line["id"]) for line in lines if line["kind"] == kind]


def test_five_hundred_messages_keep_their_ids() -> None:
    messages = kept("message")
    assert len(messages) == 500
    for fields, id_ in messages:
        assert decode(json.dumps(fields).encode(), NOW, NOW).headline.id == id_, fields


def test_five_hundred_rows_of_files_keep_their_ids(tmp_path: Path) -> None:
    rows = kept("row")
    assert len(rows) == 500
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(f"{json.dumps(fields)}\n" for fields, _ in rows), encoding="utf-8")
    for (fields, id_), row in zip(rows, read_files([file], now=lambda: NOW / 1000), strict=True):
        assert isinstance(row, Row), fields
        assert row.headline.id == id_, fields


@pytest.mark.parametrize(
    "id_",
    [
        "5f0c1a2b-0000-4000-8000-00aa11bb22cc",
        "{5F0C1A2B-0000-4000-8000-00AA11BB22CC}",
        "00112233445566ff",
        "1795775078123456789",
        "123456789012345",
        "https://velm.example/a",
        "tag:velm.example,2026:1",
        "nyt://article/1",
    ],
)
def test_an_id_counts_by_its_own_form(id_: str) -> None:
    assert stands_alone(id_)


@pytest.mark.parametrize("id_", ["1", "N10001", "12345678901234", "00112233445566f", "a1", "", "17:30", "row 1"])
def test_what_may_be_a_rows_number_identifies_nothing(id_: str) -> None:
    assert not stands_alone(id_)


def test_a_sites_own_address_gives_no_id() -> None:
    for url in ("https://pell.example", "https://pell.example/", "HTTP://PELL.example/ "):
        assert names_a_site(url)
        assert derive_id(url, "S", "One", None) == derive_id("", "S", "One", None)
    for url in ("https://pell.example/a", "https://pell.example/?p=1", "https://pell.example/#a", "pell.example", ""):
        assert not names_a_site(url)
