"""Answers of servers that report an error: they have a title, and are no headlines, in files and in messages."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.harness.reading import read, rejects, titles, write
from tests.test_messages import items

ERRORS: list[dict[str, Any]] = [
    {"type": "about:blank", "title": "Not Found", "status": 404, "detail": "No such feed."},
    {"title": "Too Many Requests", "status": "429"},
    {"statusCode": 500, "title": "Internal Server Error", "description": "Try again."},
    {"status": "422", "source": {"pointer": "/data"}, "title": "Invalid attribute"},
    {"status_code": 403, "headline": "Forbidden"},
]
HEADLINES: list[dict[str, Any]] = [
    {"title": "Velm mill shuts", "status": "published"},
    {"title": "Velm mill shuts", "status": 200},
    {"title": "Velm mill shuts", "status": 404, "url": "https://v.example/1"},  # of the page that was fetched
    {"title": "Velm mill shuts", "status": 404, "published_at": "2026-09-20T20:30:00Z"},
    {"title": "Velm mill shuts", "code": 404},
    {"title": "Velm mill shuts", "status": True},
]


@pytest.mark.parametrize("error", ERRORS)
def test_an_error_of_a_server_is_no_headline(tmp_path: Path, error: dict[str, Any]) -> None:
    (item,) = items(error)
    assert item.headline is None
    assert "server's error, with the status " in item.fault
    beside = {"title": "Dam holds"}
    for name, content in {
        "a.json": json.dumps(error, indent=1),
        "b.json": json.dumps({"errors": [error]}),
        "c.jsonl": f"{json.dumps(beside)}\n{json.dumps(error)}\n",
    }.items():
        (rejected,) = rejects(read(write(tmp_path / name, content)))
        assert "server's error, with the status " in rejected.reason
    assert titles(tmp_path / "c.jsonl") == ["Dam holds"]


@pytest.mark.parametrize("record", HEADLINES)
def test_a_headline_may_have_a_status(tmp_path: Path, record: dict[str, Any]) -> None:
    (item,) = items(record)
    assert item.headline is not None
    assert titles(write(tmp_path / "a.jsonl", json.dumps(record))) == ["Velm mill shuts"]
