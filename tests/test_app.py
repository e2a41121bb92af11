"""The commands as a person types them: `demo`, `up`, and what a second terminal asks of it."""

import json
import os
import re
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from producers.sample import day_file
from tests.harness.console import NEWSTIDE, environment, started, typed
from tests.harness.watching import Receiver, receiving

CONFIG = "newstide.toml"
_LISTENS = {"consume", "recluster"}  # for signals: in a process of their own


def wait_for(what: str, condition: Any, seconds: float = 90) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.3)
    raise AssertionError(f"{what} did not happen within {seconds} s")


def test_the_demo_ends_by_itself_and_tells_its_stories_as_one_json_object(tmp_path: Path) -> None:
    finished = started(tmp_path, "demo", "--json", timeout=240)
    assert finished.returncode == 0, finished.stderr
    report = json.loads(finished.stdout)
    assert {"headlines", "stories", "noise_share", "bcubed_f1", "ami", "page", "seconds"} <= set(report)
    assert report["headlines"] == 800
    assert sum(story["size"] for story in report["stories"]) == round(800 * (1 - report["noise_share"]))
    assert report["bcubed_f1"] >= 0.6
    assert sum(number for _, number in report["by_language"].values()) == 800
    assert report["ami"] > 0.4
    assert Path(report["page"]).is_file()
    assert [one["run"] for one in report["runs"]] == [1, 2, 3]
    assert not (tmp_path / "demo" / "endpoints.json").exists()


@pytest.fixture(scope="module")
def hook() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, hook: Receiver) -> Iterator[Path]:
    """A `newstide up` of its own, with the day sent to it and one run made; stopped at the end by its process id."""
    folder = tmp_path_factory.mktemp("up")
    (folder / CONFIG).write_text(
        f'[[watch]]\nname = "meteors"\nwords = "meteorite"\n[[watch.webhook]]\nurl = "{hook.address}"\n'
    )
    ports = {
        "NEWSTIDE_KAFKA_LOCAL_PORT": "19292",
        "NEWSTIDE_MILVUS_LOCAL_PORT": "19730",
        "NEWSTIDE_PAGES_PORT": "18431",
    }
    with (folder / "up.log").open("w") as log:
        process = subprocess.Popen(
            [*NEWSTIDE, "--config", str(folder / CONFIG), "up", "--every", "5s"],
            env=environment(folder, NEWSTIDE_CLUSTERING_WINDOW="none", **ports),
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_for("the services", (folder / "endpoints.json").exists)
        sent = started(folder, "produce", str(day_file()))
        assert sent.returncode == 0, sent.stderr
        wait_for("the last run", lambda: _rows_of_last_run(folder) == 800, 150)
        yield folder
    finally:
        process.send_signal(signal.SIGINT)
        code = process.wait(60)
    assert code == 0, (folder / "up.log").read_text()
    assert not (folder / "endpoints.json").exists()


def _rows_of_last_run(folder: Path) -> int:
    pages = sorted((folder / "snapshots").glob("run-*.json"))
    return int(json.loads(pages[-1].read_text())["headlines"]) if pages else 0


def test_up_finds_a_second_terminal_and_shows_it_stories(running: Path) -> None:
    shown = started(running, "stories", "--limit", "3")
    assert shown.returncode == 0, shown.stderr
    assert len(re.findall(r"^ *\d+ +\d+ ", shown.stdout, re.MULTILINE)) == 3
    stories = json.loads(typed(running, "stories", "--json").stdout)
    assert stories[0]["size"] >= stories[1]["size"]
    assert {"cluster_label", "title", "keywords", "languages", "status"} <= set(stories[0])
    number = str(stories[0]["cluster_label"])
    told = json.loads(typed(running, "headlines", number, "--json", "--limit", "500").stdout)
    assert told["story"]["title"] == stories[0]["title"]
    assert len(told["headlines"]) == stories[0]["size"]
    assert stories[0]["title"] in typed(running, "headlines", number).stdout


def test_search_finds_by_meaning_across_languages(running: Path) -> None:
    found = json.loads(typed(running, "search", "earthquake in Chile", "--json", "--limit", "5").stdout)
    assert len(found) == 5
    assert found[0]["similarity"] >= found[-1]["similarity"] > 0.3
    said = typed(running, "search", "Erdbeben in Chile", "--urls").stdout
    assert f"story {found[0]['cluster_label']}: " in said
    english = json.loads(typed(running, "search", "Erdbeben in Chile", "--json", "--language", "en").stdout)
    assert {headline["language"] for headline in english} == {"en"}
    stories = json.loads(typed(running, "stories", "--json", "--limit", "500").stdout)
    titled = {story["cluster_label"]: story["titles"].get("en", story["title"]) for story in stories}
    named = {
        headline["cluster_label"]: headline["story_title"] for headline in english if headline["cluster_label"] >= 0
    }
    assert named == {label: titled[label] for label in named}
    label = found[0]["cluster_label"]
    told = json.loads(typed(running, "headlines", str(label), "--language", "en", "--json").stdout)
    assert told["story"]["title"] == titled[label]


def test_up_says_where_the_map_is_and_how_to_send_and_stop(running: Path) -> None:
    said = (running / "up.log").read_text()
    pages = json.loads((running / "endpoints.json").read_text())["pages"]
    block = said[said.index("newstide is up.") : said.index("Below is the log.")]
    for words in (
        pages,
        "Ctrl-C",
        *(f"newstide --data-dir {running} {what}" for what in ("produce FILE", "produce --rss URL")),
    ):
        assert words in block


def test_doctor_says_what_is_in_force_and_reachable(running: Path) -> None:
    told = typed(running, "doctor", "--json")
    assert told.returncode == 0, told.stdout + told.stderr
    findings = json.loads(told.stdout)
    assert findings["well"] is True
    assert {finding["name"] for finding in findings["findings"]} >= {"Kafka", "Milvus", "model", "pages"}
    assert "ok" in typed(running, "doctor").stdout


def test_the_pages_are_served_and_the_services_give_signs_of_life(running: Path) -> None:
    pages = json.loads((running / "endpoints.json").read_text())["pages"]
    answers = {"/": "newstide", "/runs": "Runs", "/latest.html": "newstide", "/latest.json": '"run"', "/healthz": "ok"}
    for path, words in answers.items():
        with urllib.request.urlopen(pages + path, timeout=10) as answer:  # noqa: S310 - our own server
            assert words in answer.read().decode()
    for service in ("consumer", "reclusterer"):
        assert typed(running, "health", service).returncode == 0
    assert typed(running, "health", "nobody").returncode == 1


def pids(folder: Path, command: str) -> list[int]:
    """The processes of a service that `newstide up` on this folder has started."""
    ours = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            mine = f"NEWSTIDE_DATA_DIR={folder}".encode() in (process / "environ").read_bytes().split(b"\0")
            if mine and (process / "cmdline").read_bytes().endswith(f"\0{command}\0".encode()):
                ours.append(int(process.name))
        except OSError:  # another user's, or just gone
            continue
    return ours


def test_the_reclusterer_lets_consumers_and_readers_go_first(running: Path) -> None:
    ours = {name: pids(running, name)[0] for name in ("consume", "recluster\0--every\x005s")}
    consumer, reclusterer = (os.getpriority(os.PRIO_PROCESS, pid) for pid in ours.values())
    assert reclusterer == min(consumer + 15, 19)


def test_a_service_that_dies_is_started_again(running: Path) -> None:
    (before,) = wait_for("one consumer", lambda: pids(running, "consume") if len(pids(running, "consume")) == 1 else 0)
    os.kill(before, signal.SIGKILL)
    wait_for("another consumer", lambda: len(now := pids(running, "consume")) == 1 and now[0] != before)


def test_up_keeps_watches_going_which_tell_what_happens_next_and_doctor_shows_them(
    running: Path, hook: Receiver
) -> None:
    (before,) = wait_for("the watches", lambda: pids(running, "watch"))
    assert hook.tries == 0  # the first run alerts nobody
    os.kill(before, signal.SIGKILL)
    wait_for("the watches again", lambda: len(now := pids(running, "watch")) == 1 and now[0] != before)
    titles = [f"Meteorite of {kilos} kilos falls on a barn in Lapland" for kilos in (40, 41, 42, 43, 45)]
    sent = running / "meteorite.jsonl"
    sent.write_text("\n".join(json.dumps({"title": title, "language": "en"}) for title in titles))
    assert typed(running, "produce", str(sent)).returncode == 0
    wait_for("the alert", lambda: hook.taken)
    assert [(one["watch"], one["events"][0]["kind"]) for one in hook.taken] == [("meteors", "born")]
    found = json.loads(typed(running, "--config", str(running / CONFIG), "doctor", "--json").stdout)["findings"]
    told = {finding["name"]: (finding["status"], finding["seen"]) for finding in found}
    assert told["watch meteors/webhook"] == ("ok", "1 delivered, 0 waiting")


def test_two_on_one_folder_are_refused(running: Path) -> None:
    second = started(running, "up")
    assert second.returncode == 1
    assert "already running" in second.stderr


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["stories"], "No Milvus is configured and no local one is running"),
        (["consume"], "No Kafka is configured"),
        (["produce"], "Nothing to send"),
        (["recluster", "--once", "--window", "soon"], "clustering.window"),
        (["recluster", "--every", "never"], "never"),
        (["search", " "], "empty"),
        (["evaluate", "absent.parquet"], "absent.parquet"),
        (["--config", "absent.toml", "stories"], "absent.toml"),
    ],
)
def test_a_mistake_is_one_clear_message_and_no_traceback(tmp_path: Path, command: list[str], words: str) -> None:
    finished = started(tmp_path, *command) if command[0] in _LISTENS else typed(tmp_path, *command)
    assert finished.returncode == 1
    assert words in finished.stderr
    assert "Traceback" not in finished.stderr


def test_a_run_is_exported_as_one_file_and_one_that_is_not_there_is_said(running: Path, tmp_path: Path) -> None:
    target = tmp_path / "map.html"
    finished = typed(running, "export", "1", "--to", str(target))
    assert finished.returncode == 0, finished.stderr
    assert target.stat().st_size > 4_000_000
    missing = typed(running, "export", "99999")
    assert missing.returncode == 1
    assert "no page of run 99999" in missing.stderr
