"""`newstide produce --check`: what a file is read as, with nothing sent and no server asked."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from newstide.core.errors import SettingsError, SourceError
from newstide_app.cli.main import app
from producers.publisher import Summary
from producers.rows import Rejected
from producers.tally import Tally
from tests.harness.reading import write

TABLE = "id,Headline,When\n1,Pell harbour dredged,13/10/2025\n2,Marrow lake freezes,01/10/2025\n3,,01/10/2025\n"


def test_a_check_says_columns_times_ids_counts_and_the_first_headlines(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", TABLE)
    done = CliRunner().invoke(
        app, ["produce", "--check", str(file), "--column", "published_at=When", "--max-rejected", "50%"]
    )
    assert done.exit_code == 0
    told = " ".join(done.output.split())
    for words in (
        "title from 'Headline'",
        "'13/10/2025' is 2025-10-13T00:00:00Z; 2 of 2 headlines have one",
        "the day first",
        "0 kept, 2 derived",
        "read 3: 2 headlines, 1 rejected, the same item twice 0",
        "The title is missing or empty.",
        "2025-10-01T00:00:00Z Marrow lake freezes",
    ):
        assert words in told, words


def test_a_check_as_json_and_its_exit_code(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", TABLE)
    done = CliRunner().invoke(app, ["produce", "--check", "--json", str(file), str(tmp_path / "absent.csv")])
    assert done.exit_code == 1
    first, absent = json.loads(done.output)
    assert (first["read"], first["given"], first["rejected"], first["well"]) == (3, 2, 1, False)
    assert "cannot be opened" in absent["error"]


def test_closing_lines_say_the_most_frequent_reasons_and_what_was_left_out() -> None:
    tally = Tally("a.csv", given=97, twice=1)
    for line in (3, 5):
        tally.reject(Rejected("a.csv", line, f"The title has {2_000 + line} characters; 2,000 are allowed.", ""))
    tally.leave_out("time", "soon", 7)
    summary = Summary(100, 96, 2, 1, 0.5, "Timeout", "r.jsonl", twice=1, tallies=[tally], max_rejected=0.05)
    assert summary.read == summary.sent + summary.failed + summary.rejected + summary.twice
    text = summary.describe()
    assert "the same item twice 1" in text
    assert "rejected 2: The title has 2003 characters; 2,000 are allowed. (a.csv:3)" in text
    assert "left out 1: time, as 'soon' in a.csv:7" in text
    assert not summary.well


def test_exit_codes_tell_fruitless_files_from_those_with_nothing_new() -> None:
    refused = Tally("a.csv", rejected=3)
    came_before, header_alone = Tally("b.csv", twice=3), Tally("c.csv")
    assert not Summary(3, 0, 3, 0, 0.1, tallies=[refused]).well
    nothing_new = Summary(3, 0, 0, 0, 0.1, twice=3, tallies=[came_before, header_alone], max_rejected=0.05)
    assert nothing_new.well
    assert "all of its items were sent before" in nothing_new.describe()
    assert "it holds no rows" in nothing_new.describe()
    assert not Summary(100, 90, 10, 0, 0.1, max_rejected=0.05).well


def test_a_file_of_nothing_is_an_error_and_nothing_else_is_said_of_it(tmp_path: Path) -> None:
    files = [write(tmp_path / name, "\n \n") for name in ("a.jsonl", "b.csv", "c.txt", "d.json")]
    files += [write(tmp_path / "e.jsonl", ""), tmp_path / "absent.csv"]
    done = CliRunner().invoke(app, ["produce", "--check", *map(str, files)])
    assert done.exit_code == 1
    told = " ".join(done.output.split())
    assert told.count("is empty.") == 5
    assert told.count("It needs one headline at least.") == 4
    assert told.count("It needs a first line that names its columns.") == 1, "a table"
    assert "absent.csvcannotbeopened" in told.replace(" ", ""), "a long path is broken"
    assert "columns none" not in told


def test_a_table_with_a_header_alone_and_an_empty_list_are_no_faults(tmp_path: Path) -> None:
    files = [write(tmp_path / "a.csv", "title,date\n"), write(tmp_path / "b.json", "[]")]
    done = CliRunner().invoke(app, ["produce", "--check", *map(str, files)])
    assert (done.exit_code, done.output.count("read 0: 0 headlines")) == (0, 2), done.output


@pytest.mark.parametrize("check", [["--check"], []])
@pytest.mark.parametrize(
    "flags",
    [
        *(["--pace", pace] for pace in ("abc", "-5x", "infx", "nanx")),
        ["--every", "0s"],
        ["--rejects", "a.csv/nowhere"],
        ["--rejects", "."],
        ["--rejects", "./a.csv"],
        ["--records", "a.b"],
        ["--records", "a.b", "--format", "lines"],
    ],
)
def test_flags_are_checked_before_anything_is_read_or_asked(
    check: list[str], flags: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "a.csv", TABLE)
    monkeypatch.setattr("producers.publisher.ensure_topics", _unasked)
    monkeypatch.setattr("producers.files.check.read_files", _unasked)
    done = CliRunner().invoke(app, ["produce", "a.csv", *check, *flags])
    assert isinstance(done.exception, SettingsError), done.output
    said = done.exception.message
    assert flags[0].strip("-") in said
    assert flags[1] in said or str(Path(flags[1])) in said or "a.csv is a table" in said or "lines" in said
    assert done.exception.way_out
    assert (tmp_path / "a.csv").read_text() == TABLE


@pytest.mark.parametrize("url", ["notaurl", "ftp://x/y", "http://", "http://[x", "http://x:99999/"])
@pytest.mark.parametrize("command", [["produce", "--once"], ["up"]])
def test_the_address_of_a_feed_is_checked_before_any_server_is_asked(
    url: str, command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("producers.publisher.ensure_topics", _unasked)
    monkeypatch.setattr("newstide_app.services.supervisor.up", _unasked)
    done = CliRunner().invoke(app, [*command, "--rss", url])
    assert isinstance(done.exception, SourceError), done.output
    assert url in done.exception.message
    assert done.exception.way_out


def _unasked(*_: object, **__: object) -> None:
    raise AssertionError
