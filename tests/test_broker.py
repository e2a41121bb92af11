"""Kafka access against the real broker."""

import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaAdminClient
from kafka.admin import ConfigFilterType, ConfigResource
from pydantic import SecretStr

from newstide.core.errors import BrokerUnavailable, DeliveryError, SettingsError
from newstide.core.local_server import free_port
from newstide.core.settings import KafkaSettings, Settings
from newstide.kafka.client import client_options
from newstide.kafka.consumer import make_consumer
from newstide.kafka.lag import end_offsets, lag
from newstide.kafka.local_broker import LocalKafka
from newstide.kafka.producer import Sender
from newstide.kafka.topics import ensure_topics, reachable


def read_all(settings: KafkaSettings, topic: str, expected: int, group: str = "reader") -> list[Any]:
    consumer = make_consumer(settings, [topic], group=f"{group}-{topic}")
    records: list[Any] = []
    deadline = time.monotonic() + 20
    try:
        while len(records) < expected and time.monotonic() < deadline:
            for part in consumer.poll(timeout_ms=200).values():
                records.extend(part)
        if records:
            consumer.commit()
    finally:
        consumer.close(autocommit=False)
    return records


def partitions_and_configs(settings: KafkaSettings, topic: str) -> tuple[int, dict[str, str]]:
    with KafkaAdminClient(bootstrap_servers=settings.bootstrap_servers) as admin:
        partitions = len(admin.describe_topics([topic])[0]["partitions"])
        (found,) = admin.describe_configs([ConfigResource("topic", topic)], config_filter=ConfigFilterType.ALL)[
            "topic"
        ].values()
    return partitions, {name: entry["value"] for name, entry in found.items()}


def test_topics_are_made_as_the_contract_says(kafka_settings: KafkaSettings) -> None:
    assert partitions_and_configs(kafka_settings, kafka_settings.topic)[0] == 4
    assert partitions_and_configs(kafka_settings, kafka_settings.events_topic)[0] == 4
    assert partitions_and_configs(kafka_settings, kafka_settings.lease_topic)[0] == 1
    partitions, configs = partitions_and_configs(kafka_settings, kafka_settings.dead_letter_topic)
    assert partitions == 4
    assert configs["retention.ms"] == str(30 * 24 * 3600 * 1000)


def test_topics_that_exist_are_left_as_they_are(kafka_settings: KafkaSettings) -> None:
    ensure_topics(kafka_settings.model_copy(update={"partitions": 7, "dead_letter_retention": timedelta(days=1)}))
    assert partitions_and_configs(kafka_settings, kafka_settings.topic)[0] == 4
    assert partitions_and_configs(kafka_settings, kafka_settings.dead_letter_topic)[1]["retention.ms"] != "86400000"


def test_an_impossible_replication_is_refused_with_kafkas_reason(kafka_settings: KafkaSettings) -> None:
    settings = kafka_settings.model_copy(update={"topic": f"{kafka_settings.topic}-3", "replication_factor": 3})
    with pytest.raises(BrokerUnavailable, match=r"replication factor") as caught:
        ensure_topics(settings)
    assert "kafka.replication_factor" in caught.value.way_out


def test_everything_sent_is_acknowledged_counted_and_read_back(kafka_settings: KafkaSettings) -> None:
    sender = Sender(kafka_settings)
    for number in range(5_000):
        sender.send(kafka_settings.topic, key=b"%d" % number, value=b"v%d" % number, headers=[("n", b"1")])
    deliveries = sender.flush()
    sender.close()
    assert (deliveries.acknowledged, deliveries.failed, deliveries.first_error) == (5_000, 0, "")
    assert sum(end_offsets(kafka_settings, kafka_settings.topic).values()) == 5_000
    records = read_all(kafka_settings, kafka_settings.topic, 5_000)
    assert sorted(int(record.key) for record in records) == list(range(5_000))
    assert records[0].headers == [("n", b"1")]


def test_a_message_kafka_does_not_take_is_counted_with_its_reason(kafka_settings: KafkaSettings) -> None:
    sender = Sender(kafka_settings)
    sender.send(kafka_settings.topic, key=b"good", value=b"x")
    sender.send(kafka_settings.topic, key=b"huge", value=b"x" * 3_000_000)
    deliveries = sender.flush(tolerant=True)
    assert (deliveries.acknowledged, deliveries.failed) == (1, 1)
    assert deliveries.first_error.startswith("MessageSizeTooLargeError")
    sender.send(kafka_settings.topic, key=b"huge", value=b"x" * 3_000_000)
    with pytest.raises(DeliveryError, match="did not acknowledge 1 messages: MessageSizeTooLarge"):
        sender.flush()
    sender.send(kafka_settings.topic, key=b"good", value=b"x")
    assert sender.flush().acknowledged == 2  # an old failure is not raised again
    sender.close()


def test_no_more_than_a_bounded_number_of_messages_is_in_flight(
    kafka_settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("newstide.kafka.producer._MAX_IN_FLIGHT", 50)
    sender = Sender(kafka_settings)
    for number in range(500):
        sender.send(kafka_settings.topic, key=b"k", value=b"v")
        assert number + 1 - sender.acknowledged <= 50
    assert sender.flush().acknowledged == 500
    sender.close()


def test_a_message_without_key_and_value_can_still_become_a_dead_letter(kafka_settings: KafkaSettings) -> None:
    sender = Sender(kafka_settings)
    sender.send(kafka_settings.dead_letter_topic, key=None, value=None, headers=[("reason", b"no value")])
    assert sender.flush().acknowledged == 1
    sender.close()


def test_the_largest_message_kafka_takes_fits_into_the_dead_letters(kafka_settings: KafkaSettings) -> None:
    settings = kafka_settings.model_copy(update={"compression": "none"})
    sender = Sender(settings)
    largest = b"x" * (1_048_588 - 100)
    sender.send(settings.topic, key=b"k", value=largest)
    sender.send(settings.dead_letter_topic, key=b"k", value=largest, headers=[("reason", b"r" * 1000)])
    assert sender.flush().acknowledged == 2
    sender.close()


def test_a_missing_topic_is_said_within_the_delivery_timeout(kafka_settings: KafkaSettings) -> None:
    sender = Sender(kafka_settings.model_copy(update={"delivery_timeout": timedelta(seconds=2)}))
    with pytest.raises(DeliveryError, match="no-such-topic"):
        sender.send("no-such-topic", key=b"k", value=b"v")
    sender.close()


def test_lag_is_what_the_group_has_not_committed(kafka_settings: KafkaSettings) -> None:
    assert lag(kafka_settings, kafka_settings.group) == {0: 0, 1: 0, 2: 0, 3: 0}
    sender = Sender(kafka_settings)
    for number in range(100):
        sender.send(kafka_settings.topic, key=b"%d" % number, value=b"v")
    sender.flush()
    sender.close()
    assert sum(lag(kafka_settings, kafka_settings.group).values()) == 100
    read_all(kafka_settings, kafka_settings.topic, 100, group="g")
    assert sum(lag(kafka_settings, f"g-{kafka_settings.topic}").values()) == 0
    assert sum(lag(kafka_settings, kafka_settings.group).values()) == 100


def test_lag_of_a_missing_topic_is_an_error_that_names_it(kafka_settings: KafkaSettings) -> None:
    with pytest.raises(BrokerUnavailable, match="'nowhere'"):
        lag(kafka_settings.model_copy(update={"topic": "nowhere"}), "g")


def test_reachable_names_the_version(kafka_settings: KafkaSettings) -> None:
    assert reachable(kafka_settings) == "Kafka 4.3, 1 broker"


def test_without_any_kafka_the_error_says_how_to_get_one() -> None:
    with pytest.raises(BrokerUnavailable, match="No Kafka is configured and no local one is running") as caught:
        reachable(KafkaSettings())
    assert "newstide up" in caught.value.way_out


def test_nothing_listening_is_said_at_once_and_named() -> None:
    address = f"127.0.0.1:{free_port()}"
    started = time.monotonic()
    with pytest.raises(BrokerUnavailable, match=f"{address} cannot be reached: Connection refused"):
        reachable(KafkaSettings(bootstrap_servers=address))
    assert time.monotonic() - started < 2


def test_an_address_without_a_port_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"'kafka\.example'"):
        client_options(KafkaSettings(bootstrap_servers="kafka.example"))


def test_missing_security_settings_are_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"kafka\.sasl_username, kafka\.sasl_password"):
        client_options(KafkaSettings(bootstrap_servers="k:9092", security_protocol="SASL_SSL", sasl_mechanism="PLAIN"))
    with pytest.raises(SettingsError, match=r"kafka\.ssl_cafile .*absent\.pem"):
        client_options(
            KafkaSettings(bootstrap_servers="k:9092", security_protocol="SSL", ssl_cafile=tmp_path / "absent.pem")
        )


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaSettings]:
    """A broker that asks for a password, and is only started while its topics are already being asked for."""
    port = free_port()
    login = "org.apache.kafka.common.security.plain.PlainLoginModule required"
    kafka = LocalKafka(
        tmp_path_factory.mktemp("guarded"),
        Settings().cache_dir,
        port=0,
        extra_properties={
            "listeners": f"SASL_PLAINTEXT://127.0.0.1:{port}",
            "advertised.listeners": f"SASL_PLAINTEXT://127.0.0.1:{port}",
            "listener.security.protocol.map": "SASL_PLAINTEXT:SASL_PLAINTEXT",
            "sasl.enabled.mechanisms": "PLAIN",
            "listener.name.sasl_plaintext.plain.sasl.jaas.config": f'{login} user_desk="right";',
        },
    )
    settings = KafkaSettings(
        bootstrap_servers=f"127.0.0.1:{port}",
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanism="PLAIN",
        sasl_username="desk",
        sasl_password=SecretStr("right"),
    )
    starting = threading.Thread(target=kafka.start)
    starting.start()
    try:
        ensure_topics(settings)
        starting.join()
        yield settings
    finally:
        starting.join()
        kafka.stop()


def test_a_broker_that_comes_up_later_is_waited_for_and_takes_the_right_password(guarded: KafkaSettings) -> None:
    sender = Sender(guarded)
    sender.send(guarded.topic, key=b"k", value=b"v")
    assert sender.flush().acknowledged == 1
    sender.close()


def test_a_wrong_password_is_said_soon_and_not_shown(guarded: KafkaSettings) -> None:
    started = time.monotonic()
    with pytest.raises(BrokerUnavailable, match=r"refuses desk: .*Invalid username or password") as caught:
        reachable(guarded.model_copy(update={"sasl_password": SecretStr("of-no-use")}))
    assert "of-no-use" not in str(caught.value)
    assert time.monotonic() - started < 20


def test_the_wrong_protocol_is_said_with_what_to_look_at(
    guarded: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("newstide.kafka.client._ANSWER_WITHIN", 1.0)
    with pytest.raises(BrokerUnavailable, match="does not answer as it should") as caught:
        reachable(guarded.model_copy(update={"security_protocol": "PLAINTEXT"}))
    assert "kafka.security_protocol" in caught.value.way_out


def test_a_leader_whose_topic_grows_gets_the_new_partitions_though_each_poll_is_shorter_than_a_join(
    kafka_settings: KafkaSettings,
) -> None:
    """It once stayed without any partition, for ever: the join outlasted the poll that it had begun in."""
    consumer = make_consumer(kafka_settings, [kafka_settings.topic], group="leader", metadata_max_age_ms=200)
    deadline = time.monotonic() + 60

    def poll_until_it_has(partitions: int) -> None:
        while len(consumer.assignment()) != partitions:
            consumer.poll(timeout_ms=1)
            assert time.monotonic() < deadline, f"{len(consumer.assignment())} of {partitions} partitions"

    try:
        poll_until_it_has(4)
        for partitions in (5, 6, 7):
            with KafkaAdminClient(bootstrap_servers=kafka_settings.bootstrap_servers) as admin:
                admin.create_partitions({kafka_settings.topic: partitions})
            poll_until_it_has(partitions)
    finally:
        consumer.close(autocommit=False)


def test_a_partition_that_was_paused_is_read_on_after_others_were_read_to_their_end(
    kafka_settings: KafkaSettings,
) -> None:
    """It once was never read again."""
    sender = Sender(kafka_settings)
    for number in range(400):
        sender.send(kafka_settings.topic, key=str(number).encode(), value=b"v")
    sender.flush()
    sender.close()
    consumer = make_consumer(kafka_settings, [kafka_settings.topic], group="pausing")
    read: set[bytes] = set()
    deadline = time.monotonic() + 60

    def read_until(number: int) -> None:
        while len(read) < number:
            for records in consumer.poll(timeout_ms=100, max_records=10).values():
                read.update(record.key for record in records)
            assert time.monotonic() < deadline, f"{len(read)} of {number} were read"

    try:
        read_until(1)
        (first,) = {partition for partition in consumer.assignment() if consumer.position(partition)}
        left = end_offsets(kafka_settings, kafka_settings.topic)[first.partition] - consumer.position(first)
        consumer.pause(first)
        read_until(400 - left)
        consumer.resume(first)
        read_until(400)
    finally:
        consumer.close(autocommit=False)
