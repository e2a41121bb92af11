"""A stranger's worst headlines, all the way: Kafka, Milvus, a run, the page in a browser, and the console."""

import io
import json
import threading
import time
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import uvicorn
from playwright.sync_api import Page
from rich.console import Console
from typer.testing import CliRunner

from clustering.run.reclusterer import recluster
from newstide.core.local_server import free_port, listens
from newstide.core.settings import KafkaSettings, MilvusSettings, Settings, as_environment
from newstide.core.text import clean
from newstide.kafka.producer import Sender
from newstide.milvus import open_store
from newstide.milvus.filters import all_of, any_of, quote
from newstide_app.cli.main import app
from newstide_app.cli.tables import print_headlines
from newstide_app.services.run import run_consumer
from newstide_app.web import make_app

pytestmark = pytest.mark.browser

RUNS = "window.hacked = 1"
TITLES = [
    f"<script>{RUNS}</script> in the harbour",
    f"<img src=x onerror='{RUNS}'> storm warning",
    f'"><svg onload="{RUNS}">',
    f"<a href='javascript:{RUNS}'>click</a>",
    "{{ 7 * 7 }} {% raw %} ${7*7} #{7*7} <%= 7*7 %>",
    "\u202eesrever\u202c and \u2066isolated\u2069 \u200f text",
    "line\u2028separator\u2029 and \x00 NUL \x07 bell \x1b[31mred\x1b[0m",
    "👩‍👩‍👧‍👦 family 🏳️‍🌈 flag \U0001f9ff",
    "Z̸̡̢͎̤a̷l̶g̵o̴ text",
    "[bold red]markup[/bold red] [link=file:///etc/passwd]x[/link] \\[escaped]",
    "' or 1==1 --",
    "=cmd|' /C calc'!A0",
    "../../../../etc/passwd",
    "%s %n %x {0} {}",
    "W" * 2000,
    "constructor __proto__ toString",
]
MARKUP_ALONE = [  # no title is left of these
    f"</script><script>{RUNS}</script>",
    f"<!--<script>{RUNS}//-->",
    f"<iframe srcdoc='<script>{RUNS}</script>'></iframe>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
]
(OPENING,) = (title for title in TITLES if "<svg" in title)
(BOLD,) = (title for title in TITLES if "[bold red]" in title)
IDS = [
    '" or 1==1',
    "' or 1==1 or '",
    'x" or cluster_label > -5 or id == "',
    'id in ["a"]) or (1 == 1',
    "\\",
    '\\"',
    "a\nb",
    "%_%",
    "__proto__",
    "<script>window.hacked=1</script>",
    "🏴" * 32,
]
URLS = [
    "javascript:window.hacked=1",
    "JaVaScRiPt:window.hacked=1",
    " javascript:window.hacked=1",
    "java\nscript:window.hacked=1",
    "data:text/html,<script>window.hacked=1</script>",
    "vbscript:x",
    "file:///etc/passwd",
    "//evil.example/x",
    "https://ok.example/\"onmouseover='window.hacked=1'",
    "https://ok.example/<script>window.hacked=1</script>",
    "http://user:pass@ok.example/",
    "x" * 5000,
]


def _json(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


def good() -> list[bytes]:
    """Messages that are headlines, whatever they hold."""
    found = [
        _json(title=title, source=source, description=title * 3, id=f"title {number} {source[:20]}")
        for number, title in enumerate(TITLES)
        for source in ("One", title[:200])
    ]
    found += [_json(title=f"An id that is code, number {n}", id=one) for n, one in enumerate(IDS)]
    found += [_json(title=f"A link that is code, number {n}", url=one, id=f"url {n}") for n, one in enumerate(URLS)]
    found += [
        _json(title="From the future", published_at="2099-12-31T23:59:59Z", id="2099"),
        _json(title="From long ago", published_at="1970-01-01T00:00:00Z", id="1970"),
        b'{"title": "A lone \\ud800 surrogate", "id": "lone"}',
        b'{"title": "Twice", "title": "The last one counts", "id": "twice"}',
        _json(title="Unknown fields", __class__="x", cluster_label=7, label_run=9, embedding=[1], id="fields"),
        _json(title="A strange language", language="<script>", id="language"),
        b'{"title": "x", "url": {}}',
    ]
    return found


SAME = [  # what cannot be read of these is left out, so that they are the headline `x` once more
    b'{"title": "x", "published_at": 1e400}',
    b'{"title": "x", "id": "' + b"y" * 129 + b'"}',
]
BAD = [
    b"",
    b"\x00" * 100,
    b"\xff\xfe\x00",
    b'{"title": "\xff"}',
    b"null",
    b"[]",
    b'{"title": 1}',
    *(json.dumps({"title": title}).encode() for title in MARKUP_ALONE),
    b'{"title": "' + b"x" * 2**20 + b'"}',
    b'{"title": ' + b"[" * 30_000 + b"]" * 30_000 + b"}",
    b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    b'{"title": "\\u202e\\u0000"}',
    b"<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]><a>&b;</a>",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hostile")


@pytest.fixture
def settings(kafka_settings: KafkaSettings, milvus_settings: MilvusSettings, folder: Path) -> Settings:
    return Settings.load(
        data_dir=folder,
        kafka=kafka_settings.model_dump(),
        milvus=milvus_settings.model_dump(),
        clustering={"window": None},
    )


@pytest.mark.slow  # its twin: tests/browser/test_markup.py
def test_the_worst_headlines_go_through_everything_and_nothing_of_them_runs(
    settings: Settings,
    folder: Path,
    visitor: Any,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    headlines = good()
    sender = Sender(settings.kafka)
    for number, value in enumerate([*headlines, *SAME, *BAD, headlines[0]]):
        sender.send(settings.kafka.topic, key=str(number).encode(), value=value)
    assert sender.flush().failed == 0
    sender.close()

    tally = run_consumer(settings, stop=Event(), drain=True)
    assert (tally.stored, tally.dead_letters, tally.duplicates) == (len(headlines), len(BAD), 1 + len(SAME))
    assert tally.messages == len(headlines) + len(SAME) + len(BAD) + 1
    said = "".join(capfd.readouterr())
    assert not [character for character in said if character in "\x00\x07\u202e\u2028"], "a log line shows raw controls"
    assert max(len(line) for line in said.splitlines()) < 3000

    report = recluster(settings)
    assert (report.status, report.rows) == ("finished", len(headlines))
    rows = _rows(settings)
    assert rows["published_at"].max() < (time.time() + 3600) * 1000
    assert set(IDS) - {"a\nb"} <= set(rows["id"])

    _show_on_the_console(settings, monkeypatch)
    _look_around(visitor.visit(Path(report.page).as_uri()))
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(make_app(settings), host="127.0.0.1", port=port, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        while not listens(port):
            time.sleep(0.05)
        page = visitor.visit(f"http://127.0.0.1:{port}/latest.html")
        _look_around(page)
        page.goto("about:blank")  # or its stream of news would hold the server
    finally:
        server.should_exit = True
        thread.join(15)
    page.goto((folder / "snapshots" / "index.html").as_uri())
    assert page.evaluate("window.hacked") is None


def _look_around(page: Page) -> None:
    """Searches, opens every story, and looks at all links."""
    for query in ("script", '"', "harbour", "\\", "<"):
        page.fill("#query", query)
        page.wait_for_timeout(200)
    page.fill("#query", "")
    page.wait_for_timeout(300)  # the search looks a moment after the last key, and leads back to the list
    seen = set()
    for at in range(page.locator("#stories button").count()):
        page.locator("#stories button").nth(at).click()
        page.locator("#story .headlines").wait_for()
        hrefs = page.eval_on_selector_all(".headlines a, #card a", "all => all.map(e => e.href)")
        assert all(href.startswith(("http://", "https://")) for href in hrefs), hrefs
        seen.update(hrefs)
        page.keyboard.press("Escape")
        page.locator("#story .headlines").wait_for(state="hidden")
    assert any(href.startswith("https://ok.example/") for href in seen), "no link was looked at"
    assert page.evaluate("window.hacked") is None
    assert page.locator("#panel img, #panel iframe, #panel svg[onload], #story script, #labels img").count() == 0


def _show_on_the_console(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """No view prints a control character that came with a headline, nor takes its text for markup."""
    for name, value in as_environment(settings).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("COLUMNS", "400")  # no word is wrapped
    run = CliRunner()
    story = json.loads(run.invoke(app, ["stories", "--json"]).stdout)[0]["cluster_label"]
    views = {
        "stories": ["stories", "--status", "all", "--limit", "1000"],
        "headlines": ["headlines", str(story), "--limit", "1000"],
        "search": ["search", "[bold red]markup[/bold red]", "--limit", "1000"],
        "dead letters": ["dead-letters", "list", "--limit", "1000"],
    }
    shown = {name: run.invoke(app, command) for name, command in views.items()}
    for name, view in shown.items():
        assert view.exit_code == 0, (name, view.output)
        bad = [character for character in view.output if character in "\x00\x07\x1b\u202e\u2028\u2066"]
        assert not bad, name
    assert "[bold red]" in shown["search"].output.replace("\n", ""), "a title is no markup"
    assert "not UTF-8" in shown["dead letters"].output


def _rows(settings: Settings) -> Any:
    """What is in Milvus; ids that are code find themselves and nothing else."""
    store = open_store(settings.milvus, None)
    try:
        columns = ["id", "title", "url", "source", "language", "published_at", "cluster_label", "label_run"]
        rows = store.headlines("", [*columns, "label_probability"])
        for id_ in IDS:
            if id_ in set(rows["id"]):
                assert list(store.headlines_by_id([id_], ["id"])["id"]) == [id_]
        assert list(store.headlines(any_of("id", ['" or 1==1']), ["id"])["id"]) == ['" or 1==1']
        assert store.count_headlines(all_of(f"source == {quote(clean(OPENING))}")) == 1
    finally:
        store.close()
    assert all(url == "" or url.startswith(("http://", "https://")) for url in rows["url"])
    console = Console(file=io.StringIO(), width=120, force_terminal=True)
    print_headlines(
        {"cluster_label": -1, "title": BOLD, "size": 1, "keywords": [], "languages": [], "status": "open"},
        rows,
        console,
    )
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    assert "[bold red]" in shown, "a title is no markup"
    assert "\x1b[31mred" not in shown
    assert not [character for character in shown if character in "\x00\x07\u202e\u2028"]
    return rows
