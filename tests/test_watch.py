"""`newstide watch` with a real Kafka: what is told to a webhook, by mail and on a topic, and what bad targets do."""

import json
import os
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
import trustme
from aiosmtpd.smtp import AuthResult

from newstide.core.errors import NewstideError, SettingsError, Undelivered
from newstide.core.local_server import free_port
from newstide.core.settings import KafkaSettings, Settings, as_environment
from newstide.kafka.consumer import records_of
from newstide_app.maintenance.doctor import examine
from newstide_app.maintenance.doctor_watch import look_at_watches
from newstide_app.maintenance.findings import Visit
from newstide_app.services.cards import figures_of, running_services
from newstide_app.watch.alerts import Alert
from newstide_app.watch.outbox import Outbox, outbox_file
from newstide_app.watch.service import run_watch
from newstide_app.watch.trial import dry_run, send_test
from newstide_app.watch.webhook import WebhookTarget, signature, signing_key
from tests.harness.watching import (
    HOSTILE_TITLE,
    KEY,
    Receiver,
    as_event,
    made_event,
    mail_server,
    receiving,
    send_events,
    until,
)

SECRET_PATH = "/hook/TOPSECRETPATH"  # noqa: S105 - a made one


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCH_KEY", KEY)


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


def settings_with(kafka: KafkaSettings, folder: Path, *watches: dict[str, Any], **more: Any) -> Settings:
    return Settings(data_dir=folder, kafka=kafka, watch=watches, **more)


def hooked(hook: Receiver, **fields: Any) -> dict[str, Any]:
    return {"name": "floods", "webhook": [{"url": hook.address, "secret_env": "WATCH_KEY"}], **fields}


def _ready(folder: Path) -> str:
    """The address of the service that is ready, or nothing."""
    ready = [str(one["address"]) for one in running_services(folder) if not one["not_ready"]]
    return ready[0] if ready else ""


@contextmanager
def watching(settings: Settings) -> Iterator[str]:
    """The service in a thread; the address of its monitoring."""
    stop, failed = Event(), list[BaseException]()

    def run() -> None:
        try:
            run_watch(settings, stop=stop)
        except BaseException as error:  # noqa: BLE001 - told to the test
            failed.append(error)

    thread = Thread(target=run)
    thread.start()
    try:
        until("the service watches", lambda: failed or _ready(settings.data_dir))
        if failed:
            raise failed[0]
        yield _ready(settings.data_dir)
    finally:
        stop.set()
        thread.join(30)
    assert not failed


def test_a_webhook_a_mail_and_a_topic_are_told_and_signatures_are_right(
    kafka_settings: KafkaSettings, tmp_path: Path, hook: Receiver
) -> None:
    topic = f"{kafka_settings.events_topic}-told"
    port = free_port()
    watch = hooked(hook, words="flood", mail=[{"to": ["desk@example.org"]}], kafka=[{"topic": topic}])
    mail = {"host": "127.0.0.1", "port": port, "tls": "none", "sender": "newstide@example.org"}
    settings = settings_with(kafka_settings, tmp_path, watch, mail=mail)
    send_events(kafka_settings, [made_event(1)])  # before there was a service: nobody is told of it
    with mail_server(port) as box, watching(settings) as address:
        send_events(kafka_settings, [made_event(2, title=HOSTILE_TITLE), made_event(3, title="Football")])
        until("all are told", lambda: hook.taken and box.mails)
        until("the topic is told", lambda: list(records_of(kafka_settings, topic)))
        until("deliveries are noted", lambda: not Outbox(outbox_file(tmp_path)).next("floods/kafka"))
        figures = figures_of(address)
    assert hook.bad == []
    assert [one["id"] for one in hook.taken] == ["7/2/born"]
    (mail_taken,) = box.mails
    assert mail_taken["To"] == "desk@example.org"
    assert "Bcc" not in mail_taken
    assert len(str(mail_taken["Subject"]).splitlines()) == 1
    assert mail_taken["X-Newstide-Key"] == hook.keys[0]
    (record,) = records_of(kafka_settings, topic)
    assert dict(record.headers)["idempotency-key"].decode() == json.loads(record.value)["key"] == hook.keys[0]
    assert record.key == b"2"
    assert figures is not None
    assert figures["newstide_watch_events_total"] == {"": 2.0}


def test_a_run_that_alerts_nobody_a_message_that_is_no_event_and_a_repeated_event_tell_nothing(
    kafka_settings: KafkaSettings, tmp_path: Path, hook: Receiver
) -> None:
    with watching(settings_with(kafka_settings, tmp_path, hooked(hook))) as address:
        quiet = [made_event(n, quiet="first run") for n in range(5)]
        again = made_event(9)
        send_events(kafka_settings, [*quiet, {"story": 9, "no": "event"}, again, again, made_event(9, "grown")])
        until("both are told", lambda: len(hook.taken) == 2)
        figures = figures_of(address)
    assert [one["id"] for one in hook.taken] == ["7/9/born", "7/9/grown"]
    assert figures is not None
    assert figures["newstide_watch_events_quiet_total"] == {"": 5.0}
    assert figures["newstide_watch_events_unreadable_total"] == {"": 1.0}
    assert figures["newstide_watch_matches_total"] == {"queued/floods": 2.0, "known/floods": 1.0}


def test_a_dead_target_stops_no_other_and_stands_in_doctor_and_metrics_without_its_address(
    kafka_settings: KafkaSettings, tmp_path: Path, hook: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEAD_HOOK", f"http://127.0.0.1:{free_port()}{SECRET_PATH}")
    dead = {"name": "dead", "webhook": [{"url_env": "DEAD_HOOK", "secret_env": "WATCH_KEY"}]}
    settings = settings_with(kafka_settings, tmp_path, dead, hooked(hook))
    with watching(settings) as address:
        send_events(kafka_settings, [made_event(n) for n in range(20)])
        until("the living one is told", lambda: len(hook.taken) == 20)
        waiting = {"dead/webhook": 20, "floods/webhook": 0}
        until("the figures show it", lambda: (figures_of(address) or {}).get("newstide_watch_waiting") == waiting)
        until("and why", lambda: (figures_of(address) or {})["newstide_watch_target_failing"]["dead/webhook"] == 1)
        figures = figures_of(address)
        findings = {finding.name: finding for finding in look_at_watches(Visit(settings))}
    assert figures is not None
    assert figures["newstide_watch_target_failing"]["dead/webhook"] == 1
    assert findings["watch dead/webhook"].status == "warn"
    assert "it cannot be reached" in findings["watch dead/webhook"].seen
    assert findings["watch floods/webhook"].status == "ok"
    assert "TOPSECRETPATH" not in f"{figures} {findings}"


def test_secrets_stand_in_no_finding_of_doctor_and_in_no_error(
    kafka_settings: KafkaSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = {"name": "floods", "webhook": [{"url": f"https://hooks.example{SECRET_PATH}", "secret_env": "WATCH_KEY"}]}
    settings = settings_with(kafka_settings, tmp_path, watch)
    shown = json.dumps(examine(settings).as_dict())
    assert "TOPSECRETPATH" not in shown
    assert KEY not in shown
    assert "TOPSECRETPATH" in as_environment(settings)["NEWSTIDE_WATCH"]  # for the service that `up` starts
    (tmp_path / "newstide.toml").write_text(f'[[watch]]\nname = "a"\n[[watch.webhook]]\nurl = "ftp://x{SECRET_PATH}"\n')
    with pytest.raises(SettingsError, match="http or https") as refused:
        Settings.load(config=tmp_path / "newstide.toml")
    assert "TOPSECRETPATH" not in str(refused.value)
    monkeypatch.setenv("BAD_HOOK", f"ftp://x{SECRET_PATH}")
    bad = settings_with(kafka_settings, tmp_path, {"name": "a", "webhook": [{"url_env": "BAD_HOOK"}]})
    with pytest.raises(SettingsError, match="BAD_HOOK holds no address") as refused:
        send_test(bad, "a")
    assert "TOPSECRETPATH" not in str(refused.value)


def test_watches_are_handed_to_the_services_as_they_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "newstide.toml").write_text(
        '[watching]\ntimeout = "3s"\n[mail]\nhost = "mail.example"\nsender = "a@example.org"\npassword_env = "PW"\n'
        '[[watch]]\nname = "floods"\nwords = \'flood OR "high water"\'\nkinds = ["born"]\nlanguages = ["en"]\n'
        '[[watch.webhook]]\nurl_env = "HOOK"\nstyle = "slack"\n[[watch.mail]]\nto = ["b@example.org"]\n'
    )
    settings = Settings.load(config=tmp_path / "newstide.toml", data_dir=tmp_path)
    for name in [name for name in os.environ if name.startswith("NEWSTIDE_")]:
        monkeypatch.delenv(name)
    for name, value in as_environment(settings).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    assert Settings.load().watch == settings.watch
    assert Settings.load().mail == settings.mail


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (500, "it answers 500"),
        (302, "it answers 302, a redirect, which is not followed"),
        (429, "it answers 429"),
        ("close", "the connection broke off"),
        ("hang", "no answer within 0.5 s"),
    ],
)
def test_what_a_bad_webhook_does_is_named_and_a_redirect_is_not_followed(
    hook: Receiver, answer: int | str, reason: str
) -> None:
    with receiving() as elsewhere:
        hook.answer = lambda: answer
        hook.headers = {"Location": elsewhere.address, "Retry-After": "77"}
        with pytest.raises(Undelivered, match=reason) as failed:
            WebhookTarget(hook.address, KEY, "plain", 0.5).deliver(alert())
        assert elsewhere.tries == 0
    assert failed.value.wait == (77 if isinstance(answer, int) else 0)
    assert not failed.value.refused


def alert(title: str = "Flood") -> Alert:
    return Alert("floods/7/1/born/0", "floods", "alert", (as_event(made_event(1, title=title)),))


def test_a_webhook_that_answers_byte_by_byte_is_given_up_at_the_deadline() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    done = Event()

    def drip() -> None:
        connection, _ = listener.accept()
        with connection:
            while not done.wait(0.1):
                try:
                    connection.sendall(b"H")
                except OSError:
                    return

    Thread(target=drip, daemon=True).start()
    with pytest.raises(Undelivered, match="no answer within 1 s"):
        WebhookTarget(f"http://127.0.0.1:{listener.getsockname()[1]}/", KEY, "plain", 1.0).deliver(alert())
    done.set()
    listener.close()


def test_plain_http_goes_to_private_addresses_only(monkeypatch: pytest.MonkeyPatch) -> None:
    def look_up(*_arguments: object, **_options: object) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.216.34", 80))]

    monkeypatch.setattr("newstide.core.outgoing.socket.getaddrinfo", look_up)
    with pytest.raises(Undelivered, match="plain http goes to private addresses only"):
        WebhookTarget("http://hooks.example/x", KEY, "plain", 1.0).deliver(alert())


def test_a_key_may_be_base64_as_standard_webhooks_has_it() -> None:
    key = signing_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    body = b'{"test": 2432232314}'
    assert signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", body) == (
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    )
    with pytest.raises(SettingsError, match="no base64"):
        signing_key("whsec_***")


def test_an_alert_that_a_target_refuses_is_given_up_after_five_tries_and_the_next_goes(
    kafka_settings: KafkaSettings, tmp_path: Path, hook: Receiver
) -> None:
    hook.answer = lambda: 400 if hook.tries <= 5 else 200
    settings = settings_with(kafka_settings, tmp_path, hooked(hook), watching={"longest_wait": "100ms"})
    with watching(settings) as address:
        send_events(kafka_settings, [made_event(1)])
        until("it was tried", lambda: hook.tries >= 1)
        send_events(kafka_settings, [made_event(2)])
        until("the next is told", lambda: hook.taken)
        until("it is noted", lambda: Outbox(outbox_file(tmp_path)).next("floods/webhook") is None)
        figures = figures_of(address)
    assert [one["id"] for one in hook.taken] == ["7/2/born"]
    assert figures is not None
    assert figures["newstide_watch_deliveries_total"]["refused/floods/webhook"] == 1
    assert Outbox(outbox_file(tmp_path)).states(["floods/webhook"])["floods/webhook"].refused == 1


@pytest.mark.parametrize(("password", "reason"), [("right password", ""), ("wrong", "refuses the user or password")])
def test_mail_goes_over_tls_that_is_checked_with_user_and_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, password: str, reason: str
) -> None:
    authority, port = trustme.CA(), free_port()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("MAIL_PASSWORD", password)
    mail = {
        "host": "localhost",
        "port": port,
        "sender": "n@example.org",
        "username": "n",
        "password_env": "MAIL_PASSWORD",
    }
    settings = Settings(watch=[{"name": "a", "mail": [{"to": ["b@example.org"]}]}], mail=mail)

    def authenticate(_server: Any, _session: Any, _envelope: Any, _how: str, data: Any) -> AuthResult:
        return AuthResult(success=data.password == b"right password", handled=False)

    with mail_server(port, tls_context=context, authenticator=authenticate, auth_required=True) as box:
        assert "certificate is not trusted" in send_test(settings, "a")["a/mail"]
        assert box.mails == []
        trusted = settings.updated(mail={"ssl_cafile": tmp_path / "ca.pem"})
        assert reason in send_test(trusted, "a")["a/mail"]
        assert len(box.mails) == (not reason)


def test_a_mail_server_without_tls_is_refused_unless_the_settings_say_none(tmp_path: Path) -> None:
    port = free_port()
    mail = {"host": "127.0.0.1", "port": port, "sender": "n@example.org"}
    settings = Settings(watch=[{"name": "a", "mail": [{"to": ["b@example.org"]}]}], mail=mail)
    with mail_server(port) as box:
        assert "offers no TLS" in send_test(settings, "a")["a/mail"]
        assert send_test(settings.updated(mail={"tls": "none"}), "a") == {"a/mail": ""}
    assert str(box.mails[0]["Subject"]).startswith("[newstide] TEST a:")


def test_a_dry_run_tells_what_would_have_been_sent_and_sends_nothing(
    kafka_settings: KafkaSettings, tmp_path: Path, hook: Receiver
) -> None:
    hours_ago = int(time.time() * 1000) - 7_200_000
    send_events(
        kafka_settings,
        [
            made_event(1, at=hours_ago),
            made_event(2),
            made_event(3),
            made_event(4, title="Sport"),
            made_event(5, quiet="x"),
        ],
    )
    settings = settings_with(kafka_settings, tmp_path, hooked(hook, words="flood", most_an_hour=1))
    found, counts = dry_run(settings, hours_ago + 3_600_000)
    assert [(one.outcome, one.targets) for one in found] == [
        ("queued", ("floods/webhook",)),
        ("held", ("floods/webhook",)),
    ]
    assert "Flood closes bridge 2" in found[0].text
    assert counts == {"events": 4, "quiet": 1, "unreadable": 0, "told": 0}
    assert len(dry_run(settings, 0)[0]) == 3
    assert hook.tries == 0
    assert not outbox_file(tmp_path).exists()


def test_a_test_is_marked_and_a_watch_that_is_not_there_is_named(hook: Receiver) -> None:
    settings = Settings(watch=[hooked(hook)])
    assert send_test(settings, "floods") == {"floods/webhook": ""}
    assert hook.taken[0]["message"] == "test"
    assert hook.taken[0]["text"].startswith("[floods] TEST")
    assert hook.bad == []
    with pytest.raises(SettingsError, match="no watch 'storms'"):
        send_test(settings, "storms")


def test_what_the_hours_limit_holds_back_is_delivered_as_one_digest_once_there_is_room(
    kafka_settings: KafkaSettings, tmp_path: Path, hook: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("newstide_app.watch.outbox.HOUR", 3.0)
    with watching(settings_with(kafka_settings, tmp_path, hooked(hook, most_an_hour=2))):
        send_events(kafka_settings, [made_event(n) for n in range(6)])
        until("the digest is told", lambda: len(hook.taken) == 3)
    assert [one["message"] for one in hook.taken] == ["alert", "alert", "digest"]
    told = [[event["story"] for event in one["events"]] for one in hook.taken]
    assert [len(some) for some in told] == [1, 1, 4]
    assert sorted(number for some in told for number in some) == list(range(6))
    assert hook.bad == []


def test_a_second_service_on_the_same_folder_is_refused(
    kafka_settings: KafkaSettings, tmp_path: Path, hook: Receiver
) -> None:
    settings = settings_with(kafka_settings, tmp_path, hooked(hook))
    with watching(settings), pytest.raises(NewstideError, match=r"runs on .* already"):
        run_watch(settings, stop=Event())
