"""Kafka that asks for a name and a secret, or for a certificate: let in with the right one, told clearly without."""

import time
import uuid
from pathlib import Path
from typing import Any

import pytest

from newstide.core.errors import BrokerUnavailable, SettingsError
from newstide.core.settings import KafkaSettings
from newstide.kafka.client import client_options
from newstide.kafka.consumer import make_consumer
from newstide.kafka.lag import lag
from newstide.kafka.producer import Sender
from newstide.kafka.topics import ensure_topics, reachable
from tests.harness.access import SECRET, USER, Guarded

WRONG = "nobody-was-told-this"
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


def secret(mechanism: str, password: str = SECRET) -> dict[str, Any]:
    return {"sasl_mechanism": mechanism, "sasl_username": USER, "sasl_password": password}


def refused(settings: KafkaSettings, capfd: pytest.CaptureFixture[str]) -> str:
    """What is said when Kafka does not let us in: soon, and without the secret, in the error and in the log."""
    started = time.monotonic()
    with pytest.raises(BrokerUnavailable) as caught:
        reachable(settings)
    assert time.monotonic() - started < 8
    said = str(caught.value)
    shown = said + repr(caught.value) + repr(settings) + "".join(capfd.readouterr())
    assert WRONG not in shown
    assert SECRET not in shown
    return said


@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize("listener", ["SASL", "SASLTLS"])
def test_the_right_secret_is_let_in(guarded_kafka: Guarded, listener: str, mechanism: str) -> None:
    settings = guarded_kafka.settings(listener, **secret(mechanism), ssl_cafile=guarded_kafka.file("ca.pem"))
    assert reachable(settings).startswith("Kafka ")


@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize("listener", ["SASL", "SASLTLS"])
def test_the_wrong_secret_is_refused_at_once_and_shown_nowhere(
    guarded_kafka: Guarded, listener: str, mechanism: str, capfd: pytest.CaptureFixture[str]
) -> None:
    wrong = {**secret(mechanism, WRONG), "ssl_cafile": guarded_kafka.file("ca.pem")}
    said = refused(guarded_kafka.settings(listener, **wrong), capfd)
    assert f"refuses {USER}" in said
    assert "sasl_password" in said


def test_headlines_go_both_ways_under_a_secret_and_tls(guarded_kafka: Guarded) -> None:
    mark = uuid.uuid4().hex[:8]
    settings = guarded_kafka.settings(
        "SASLTLS",
        **secret("SCRAM-SHA-512"),
        ssl_cafile=guarded_kafka.file("ca.pem"),
        topic=f"headlines-{mark}",
        partitions=1,
        group=f"newstide-{mark}",
    )
    ensure_topics(settings)
    sender = Sender(settings)
    sender.send(settings.topic, key=b"1", value=b'{"title": "Harbour fire"}')
    assert sender.flush().acknowledged == 1
    sender.close()
    consumer = make_consumer(settings, [settings.topic], group=settings.group)
    values: list[bytes] = []
    deadline = time.monotonic() + 30
    while not values and time.monotonic() < deadline:
        for records in consumer.poll(timeout_ms=500).values():
            values.extend(record.value for record in records)
    consumer.commit()
    consumer.close(autocommit=False)
    assert values == [b'{"title": "Harbour fire"}']
    assert lag(settings, settings.group) == {0: 0}


def test_a_broker_that_asks_for_a_certificate_gets_ours(guarded_kafka: Guarded) -> None:
    file = guarded_kafka.file
    for key, password in (("client.key", None), ("client-locked.key", SECRET)):
        settings = guarded_kafka.settings(
            "MTLS",
            ssl_cafile=file("ca.pem"),
            ssl_certfile=file("client.pem"),
            ssl_keyfile=file(key),
            ssl_keypassword=password,
        )
        assert reachable(settings).startswith("Kafka ")


@pytest.mark.parametrize(
    ("listener", "files", "words"),
    [
        ("TLS", {"ssl_cafile": "strange-ca.pem"}, "certificate verify failed"),
        ("MTLS", {"ssl_cafile": "ca.pem"}, "certificate required"),
        (
            "MTLS",
            {"ssl_cafile": "ca.pem", "ssl_certfile": "strange.pem", "ssl_keyfile": "strange.key"},
            "certificate unknown",
        ),
    ],
    ids=["a broker signed by another", "no certificate of ours", "ours signed by another"],
)
def test_without_trust_there_is_no_connection(
    guarded_kafka: Guarded, listener: str, files: dict[str, str], words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    paths = {name: guarded_kafka.file(file) for name, file in files.items()}
    said = refused(guarded_kafka.settings(listener, **paths), capfd)
    assert words in said
    assert "ssl_cafile" in said


def test_the_certificate_must_be_the_hosts(guarded_kafka: Guarded, capfd: pytest.CaptureFixture[str]) -> None:
    settings = guarded_kafka.settings("TLS", ssl_cafile=guarded_kafka.file("ca.pem"))
    by_address = settings.model_copy(update={"bootstrap_servers": f"127.0.0.1:{guarded_kafka.ports['TLS']}"})
    assert reachable(settings).startswith("Kafka ")
    assert "certificate is not valid for '127.0.0.1'" in refused(by_address, capfd)


def test_a_port_that_speaks_tls_says_so_to_a_client_that_does_not(
    guarded_kafka: Guarded, capfd: pytest.CaptureFixture[str]
) -> None:
    plain = guarded_kafka.settings("TLS").model_copy(update={"security_protocol": "PLAINTEXT"})
    assert "Check that the port speaks kafka.security_protocol." in refused(plain, capfd)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"ssl_cafile": "absent.pem"}, "kafka.ssl_cafile .* is no file"),
        ({"ssl_cafile": "client.key"}, "holds no certificates"),
        ({"ssl_certfile": "client.pem", "ssl_keyfile": "server.key"}, "cannot be used: .*mismatch"),
        ({"ssl_certfile": "client.pem", "ssl_keyfile": "client-locked.key"}, "ssl_keypassword"),
        ({"ssl_keyfile": "client.key"}, "kafka.ssl_certfile is not"),
    ],
)
def test_files_that_cannot_be_right_are_named_before_anything_is_reached(
    certificates: Path, files: dict[str, str], words: str
) -> None:
    paths: Any = {name: certificates / file for name, file in files.items()}
    with pytest.raises(SettingsError, match=words) as caught:
        client_options(KafkaSettings(bootstrap_servers="localhost:1", security_protocol="SSL", **paths))
    assert SECRET not in str(caught.value)


def test_the_password_of_a_key_is_in_no_error(certificates: Path) -> None:
    settings = KafkaSettings(
        bootstrap_servers="localhost:1",
        security_protocol="SSL",
        ssl_certfile=certificates / "client.pem",
        ssl_keyfile=certificates / "client-locked.key",
        ssl_keypassword=WRONG,
    )
    with pytest.raises(SettingsError, match="ssl_keypassword") as caught:
        client_options(settings)
    assert WRONG not in str(caught.value) + repr(settings)
