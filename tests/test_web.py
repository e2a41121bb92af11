"""The web server, spoken to over HTTP: pages, headers, who is let in, and the live view."""

import base64
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from typer.testing import CliRunner

from clustering.pages.page_file import served_policy
from newstide.core.local_server import free_port, listens, terminate
from newstide.core.settings import Settings
from newstide_app.cli.main import app
from newstide_app.web import serve
from tests.harness.web import served, write_run

TOKEN = "a-token-of-some-length"  # noqa: S105


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with the pages of two runs, a file beside them and a link out of them."""
    folder = tmp_path_factory.mktemp("web")
    for run in (1, 2):
        write_run(folder / "snapshots", run)
    (folder / "secret.html").write_text("secret")
    (folder / "snapshots" / "link.html").symlink_to(folder / "secret.html")
    (folder / "snapshots" / ".hidden.html").write_text("secret")
    (folder / "snapshots" / "deeper").mkdir()
    (folder / "snapshots" / "deeper" / "page.html").write_text("secret")
    return folder


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[httpx.Client]:
    with served(Settings(data_dir=folder)) as client:
        yield client


def directives(response: httpx.Response) -> dict[str, list[str]]:
    parts = [part.split() for part in response.headers["content-security-policy"].split(";")]
    return {part[0]: part[1:] for part in parts}


def test_an_empty_folder_says_that_a_map_will_come(tmp_path: Path) -> None:
    with served(Settings(data_dir=tmp_path)) as client:
        answer = client.get("/")
        assert answer.status_code == 200
        assert "No map yet" in answer.text
        assert "newstide produce" in answer.text  # and so does who has just started it learn how to go on
        assert client.get("/healthz").text == "ok\n"
        assert "No map yet" in client.get("/runs").text
        assert client.get("/run-000001.html").status_code == 404


@pytest.mark.parametrize("path", ["/", "/runs", "/index.html", "/latest.html", "/run-000001.html"])
def test_every_page_comes_with_strict_headers_and_scripts_by_hash_alone(client: httpx.Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 200
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["x-frame-options"] == "DENY"
    policy = directives(answer)
    assert (
        policy["default-src"] == policy["base-uri"] == policy["form-action"] == policy["frame-ancestors"] == ["'none'"]
    )
    assert policy["script-src"]
    assert all(value.startswith("'sha256-") for value in policy["script-src"])
    for tag, text in re.findall(r"<script([^>]*)>(.*?)</script>", answer.text, re.DOTALL):
        if "application/json" in tag:
            continue
        source = re.search(r'src="([^"]+)" integrity="([^"]+)"', tag)
        content = client.get("/" + source.group(1)).content if source else text.encode()
        digest = "sha256-" + base64.b64encode(hashlib.sha256(content).digest()).decode()
        assert f"'{digest}'" in policy["script-src"]
        assert source is None or source.group(2) == digest


def test_a_script_that_a_headline_smuggled_in_is_not_allowed(folder: Path, client: httpx.Client) -> None:
    page = folder / "snapshots" / "run-000001.html"
    evil = "alert(1)"
    (folder / "snapshots" / "run-000009.html").write_text(
        page.read_text().replace("</body>", f"<script>{evil}</script></body>")
    )
    answer = client.get("/run-000009.html")
    (folder / "snapshots" / "run-000009.html").unlink()
    assert evil in answer.text
    digest = base64.b64encode(hashlib.sha256(evil.encode()).digest()).decode()
    assert f"'sha256-{digest}'" not in directives(answer)["script-src"]


def test_only_drawing_with_webgl_may_compile_scripts(tmp_path: Path) -> None:
    write_run(tmp_path / "snapshots", 1, rows=5_001, stories=50)
    with served(Settings(data_dir=tmp_path)) as client:
        assert "'unsafe-eval'" in directives(client.get("/latest.html"))["script-src"]
        assert "'unsafe-eval'" not in directives(client.get("/runs"))["script-src"]


def test_a_policy_keeps_what_else_the_page_says() -> None:
    served_ = served_policy("default-src 'none'; script-src 'sha256-A=' 'self' file:; img-src data:", ["sha256-B="])
    assert served_ == "default-src 'none'; script-src 'sha256-A=' 'sha256-B='; img-src data:; frame-ancestors 'none'"


def test_what_a_browser_has_is_not_sent_again_until_it_changes(tmp_path: Path) -> None:
    write_run(tmp_path / "snapshots", 1)
    with served(Settings(data_dir=tmp_path)) as client:
        first = client.get("/latest.html")
        assert first.headers["cache-control"] == "no-cache"
        again = client.get("/latest.html", headers={"If-None-Match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        write_run(tmp_path / "snapshots", 2)
        changed = client.get("/latest.html", headers={"If-None-Match": first.headers["etag"]})
        assert changed.status_code == 200
        assert 'data-run="2"' in changed.text


def test_scripts_are_kept_for_ever_under_the_name_of_what_they_hold(client: httpx.Client) -> None:
    names = re.findall(r'src="((?:plotly\.min|live)\.js\?v=[0-9a-f]+)"', client.get("/latest.html").text)
    assert len(names) == 2
    for name in names:
        assert client.get("/" + name).headers["cache-control"] == "public, max-age=31536000, immutable"
        assert client.get("/" + name.partition("?")[0]).headers["cache-control"] == "no-cache"
        assert client.get("/" + name[:-4] + "0000").headers["cache-control"] == "no-cache"


def test_head_tells_what_get_would_without_sending_it(client: httpx.Client) -> None:
    for path in ("/", "/latest.html", "/plotly.min.js", "/api/openapi.json", "/healthz", "/events"):
        head = client.head(path)
        assert (head.status_code, head.content) == (200, b""), path
    assert client.head("/latest.html").headers["etag"] == client.get("/latest.html").headers["etag"]
    assert client.head("/nothing.html").status_code == 404


def test_packed_and_plain_are_the_same(client: httpx.Client) -> None:
    packed = client.get("/latest.html", headers={"Accept-Encoding": "gzip"})
    plain = client.get("/latest.html", headers={"Accept-Encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert packed.content == plain.content
    assert int(packed.headers["content-length"]) < int(plain.headers["content-length"]) / 2


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.html",
        "/%2e%2e/secret.html",
        "/..%2fsecret.html",
        "/..%5csecret.html",
        "//secret.html",
        "/deeper/page.html",
        "/deeper%2fpage.html",
        "/.hidden.html",
        "/link.html",
        "/plotly.version",
        "/latest.html%00",
        "/" + "a" * 300 + ".html",
    ],
)
def test_nothing_but_the_pages_can_be_had(client: httpx.Client, path: str) -> None:
    url = httpx.URL(str(client.base_url)).copy_with(raw_path=path.encode())
    answer = client.get(url)
    assert answer.status_code == 404
    assert "secret" not in answer.text.replace(path, "").replace("secret.html", "")


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8000", "localhost.evil.example", "", "[::1].evil.example"]
)
def test_a_name_that_is_not_ours_is_turned_away(client: httpx.Client, host: str) -> None:
    for path in ("/", "/api/stories", "/events"):
        answer = client.get(path, headers={"Host": host})
        assert answer.status_code == 421
        assert "NEWSTIDE_PAGES_ALLOWED_HOSTS" in answer.text


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "127.0.0.1:1", "[::1]:8000", "192.0.2.7"])
def test_names_of_this_machine_and_bare_addresses_are_let_in(client: httpx.Client, host: str) -> None:
    assert client.get("/", headers={"Host": host}).status_code == 200


def test_a_name_is_let_in_by_a_setting(folder: Path) -> None:
    settings = Settings(data_dir=folder).updated(pages={"allowed_hosts": "news.example, maps.example"})
    with served(settings) as client:
        assert client.get("/", headers={"Host": "maps.example:443"}).status_code == 200
        assert client.get("/", headers={"Host": "other.example"}).status_code == 421


@pytest.fixture(scope="module")
def locked(folder: Path) -> Iterator[httpx.Client]:
    with served(Settings(data_dir=folder).updated(pages={"token": TOKEN})) as client:
        yield client


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": "Bearer"},
        {"Cookie": "newstide=wrong"},
        {"Cookie": f"newstide={TOKEN}"},
        {"Cookie": "newstide="},
        {"Authorization": "Bearer \u00fc"},
    ],
)
def test_without_the_token_nothing_is_told(locked: httpx.Client, headers: dict[str, str]) -> None:
    raw = {name.encode(): value.encode("latin-1") for name, value in headers.items()}
    for path in ("/", "/latest.html", "/latest.json", "/api/stories", "/api/openapi.json", "/events", "/?token=wrong"):
        answer = locked.get(path, headers=raw)
        assert answer.status_code == 401, path
        assert answer.headers["www-authenticate"] == "Bearer"
        assert TOKEN not in answer.text
    assert locked.get("/healthz", headers=raw).status_code == 200


def test_a_program_brings_the_token_and_a_browser_keeps_a_cookie(locked: httpx.Client) -> None:
    assert locked.get("/api/openapi.json", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
    welcome = locked.get(f"/latest.html?token={TOKEN}&x=1%202")
    assert (welcome.status_code, welcome.headers["location"]) == (303, "./latest.html?x=1+2")
    cookie = welcome.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert TOKEN not in cookie
    kept = cookie.partition(";")[0]
    page = locked.get(welcome.url.join(welcome.headers["location"]), headers={"Cookie": kept})
    assert page.status_code == 200
    script = re.search(r'src="(plotly[^"]+)"', page.text)
    assert script is not None
    held = locked.get("/" + script.group(1), headers={"Cookie": kept}).headers["cache-control"]
    assert held == "private, max-age=31536000, immutable"


def test_the_way_back_after_the_token_leads_to_this_server_only(locked: httpx.Client) -> None:
    for path in ("//evil.example/", "//evil.example", "/\\evil.example", "/https:evil.example"):
        url = httpx.URL(str(locked.base_url)).copy_with(raw_path=f"{path}?token={TOKEN}".encode())
        target = url.join(locked.get(url).headers["location"])
        assert (target.host, target.port) == (locked.base_url.host, locked.base_url.port), path


def test_the_way_back_after_the_token_holds_behind_a_proxy_that_adds_a_prefix(locked: httpx.Client) -> None:
    outside = httpx.URL("https://news.example/maps/")
    for path, target in (("", "/maps/"), ("run-000001.html", "/maps/run-000001.html"), ("api/runs", "/maps/api/runs")):
        location = locked.get(f"/{path}", params={"token": TOKEN}).headers["location"]
        assert outside.join(path).join(location).path == target


def test_a_short_token_is_refused_and_not_shown() -> None:
    from newstide.core.errors import SettingsError

    with pytest.raises(SettingsError, match=r"pages\.token") as refused:
        Settings.load(pages={"token": "tiny"})
    assert "tiny" not in str(refused.value)


def test_without_a_setting_only_this_machine_is_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}
    monkeypatch.setattr("newstide_app.web.serve", lambda _settings, host, port: asked.update(host=host, port=port))
    monkeypatch.setenv("NEWSTIDE_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("NEWSTIDE_PAGES_HOST", raising=False)
    monkeypatch.chdir(tmp_path)  # no newstide.toml
    done = CliRunner().invoke(app, ["web", "--port", "8123"])
    assert done.exit_code == 0, done.output
    assert asked == {"host": "127.0.0.1", "port": 8123}


@pytest.mark.parametrize(
    ("host", "token", "warned"),
    [("127.0.0.1", None, False), ("::1", None, False), ("0.0.0.0", None, True), ("0.0.0.0", TOKEN, False)],  # noqa: S104
)
def test_serving_everyone_without_a_token_is_warned_of(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    host: str,
    token: str | None,
    warned: bool,
) -> None:
    asked: dict[str, Any] = {}
    monkeypatch.setattr(
        uvicorn.Server, "run", lambda server, sockets=None: sockets or asked.update(host=server.config.host)
    )
    serve(Settings(data_dir=tmp_path).updated(pages={"token": token}), host, 8000)
    assert asked["host"] == host
    shown = capfd.readouterr()
    assert ("anyone who reaches this address can read everything" in shown.err + shown.out) is warned
    assert TOKEN not in shown.err + shown.out


def events(stream: httpx.Response) -> Iterator[dict[str, Any]]:
    for line in stream.iter_lines():
        if line.startswith("data:"):
            yield json.loads(line[5:])


def test_who_listens_hears_the_latest_run_at_once_and_each_that_follows(tmp_path: Path) -> None:
    write_run(tmp_path / "snapshots", 3)
    with served(Settings(data_dir=tmp_path)) as client, client.stream("GET", "/events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert "content-encoding" not in stream.headers
        heard = events(stream)
        assert next(heard)["run"] == 3
        write_run(tmp_path / "snapshots", 4, rows=80)
        began = time.monotonic()
        told = next(heard)
        assert time.monotonic() - began < 5
        assert (told["run"], told["page"], told["headlines"]) == (4, "run-000004.html", 80)
        assert isinstance(told["events"], dict)


def test_more_listeners_than_allowed_are_sent_away(folder: Path) -> None:
    settings = Settings(data_dir=folder).updated(pages={"most_listeners": 1})
    with served(settings) as client, client.stream("GET", "/events") as stream:
        heard = events(stream)  # kept: without it the connection is closed
        assert next(heard)["run"] == 2
        assert client.get("/events").status_code == 503
        assert client.get("/").status_code == 200


def test_the_command_ends_at_once_on_sigterm_though_a_page_listens(folder: Path) -> None:
    port = free_port()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("NEWSTIDE_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "newstide_app", "web", "--port", str(port)],
        env={**kept, "NEWSTIDE_DATA_DIR": str(folder), "NEWSTIDE_PAGES_TOKEN": TOKEN},
        stderr=subprocess.PIPE,
    )
    try:
        while not listens(port):
            assert process.poll() is None
            time.sleep(0.1)
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        with httpx.stream("GET", f"http://127.0.0.1:{port}/events", headers=bearer, trust_env=False) as stream:
            heard = events(stream)  # kept: without it the connection is closed
            assert next(heard)["run"] == 2
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            assert process.wait(15) == 0
            assert time.monotonic() - began < 8
    finally:
        terminate(process, 10)
    assert process.stderr is not None
    assert TOKEN.encode() not in process.stderr.read()


def test_the_api_describes_itself_on_a_page_without_other_servers(client: httpx.Client) -> None:
    answer = client.get("/api/docs")
    assert answer.status_code == 200
    assert directives(answer)["default-src"] == ["'none'"]
    assert "script-src" not in directives(answer)
    for path, operations in client.get("/api/openapi.json").json()["paths"].items():
        assert f"GET {path}" in answer.text
        for parameter in operations["get"].get("parameters", []):
            assert f"<code>{parameter['name']}</code>" in answer.text
    assert "http://" not in answer.text
    assert "https://" not in answer.text
