"""Ids that were given stay: a headline that is sent again has the id it had."""

import json
from pathlib import Path

from newstide.core.headline import decode
from producers.rows import Row
from producers.sources import read_files

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
