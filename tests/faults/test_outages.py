"""Kafka and Milvus away, at the start of the consumer and later: said once, waited for without load, nothing lost."""

import json
import os
import signal
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil
import pytest

from newstide.core.headline import encode
from newstide.core.local_server import LocalServer, free_port
from newstide.core.settings import MonitoringSettings, Settings
from newstide.kafka.local_broker import LocalKafka
from newstide.kafka.producer import Sender
from newstide.milvus.local_server import LocalMilvus
from tests.harness.services import Service, made_headlines, opened


@dataclass
class Scene:
    """A Kafka and a Milvus to be killed, and a consumer of its own process."""

    kafka: LocalKafka
    milvus: LocalMilvus
    settings: Settings

    def consumer(self) -> Service:
        """Started, and not waited for."""
        service = Service("consumer", self.settings)
        service.keep_up()
        return service

    def send(self, first: int, end: int) -> None:
        """Headlines of these numbers."""
        sender = Sender(self.settings.kafka)
        for headline in made_headlines(end)[first:]:
            sender.send(self.settings.kafka.topic, key=headline.id.encode(), value=encode(headline))
        sender.flush()
        sender.close()

    def rows(self) -> int:
        """In Milvus."""
        with opened(self.settings) as store:
            return store.count_headlines()

    def said(self, event: str) -> int:
        """How often the consumer has."""
        log = (self.settings.data_dir / "consumer.log").read_text(encoding="utf-8")
        lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
        return sum(line["event"].startswith(event) for line in lines)

    def wait_for(self, what: str, condition: Callable[[], object], seconds: float = 90) -> None:
        """Fails with the consumer's last words."""
        deadline = time.monotonic() + seconds
        while not condition():
            log = (self.settings.data_dir / "consumer.log").read_text(encoding="utf-8")[-3_000:]
            assert time.monotonic() < deadline, f"{what} did not happen within {seconds} s\n{log}"
            time.sleep(0.1)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LocalKafka, LocalMilvus]]:
    """Neither of them runs yet: the first test starts them."""
    folder = tmp_path_factory.mktemp("mortal")
    kafka = LocalKafka(folder / "kafka", Settings().cache_dir, port=free_port())
    milvus = LocalMilvus(folder / "milvus", port=free_port())
    try:
        yield kafka, milvus
    finally:
        kafka.stop()
        milvus.stop()


@pytest.fixture
def scene(servers: tuple[LocalKafka, LocalMilvus], tmp_path: Path) -> Scene:
    """Topics and collections of this test's own."""
    kafka, milvus = servers
    mark = uuid.uuid4().hex[:8]
    topics = ("topic", "dead_letter_topic", "events_topic", "lease_topic", "group")
    return Scene(
        kafka,
        milvus,
        Settings(data_dir=tmp_path, monitoring=MonitoringSettings(port=0)).updated(
            kafka={"bootstrap_servers": kafka.bootstrap_servers, **{name: f"{name}-{mark}" for name in topics}},
            milvus={"uri": milvus.uri, "prefix": f"t{mark}_"},
        ),
    )


def kill(server: LocalServer) -> None:
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    while server.alive():
        time.sleep(0.01)


def load(consumer: Service, seconds: float) -> float:
    """Seconds of CPU time for each second."""
    process = psutil.Process(consumer.pid)
    before = sum(process.cpu_times()[:2])
    time.sleep(seconds)
    return float(sum(process.cpu_times()[:2]) - before) / seconds


def ended_in_time(consumer: Service) -> None:
    told = time.monotonic()
    assert consumer.stop(30) == 0, consumer.last_words()
    assert time.monotonic() - told < 10


def test_a_consumer_started_before_kafka_and_milvus_waits_for_both_and_says_so_once(scene: Scene) -> None:
    consumer = scene.consumer()
    try:
        scene.wait_for("it waits", lambda: scene.said("waiting for a server"))
        assert load(consumer, 2) < 0.3
        ended_in_time(consumer)

        consumer.keep_up()
        scene.wait_for("it waits again", lambda: scene.said("waiting for a server") == 2)
        scene.kafka.start()
        assert load(consumer, 2) < 0.3
        assert scene.said("reading") == 0
        scene.milvus.start()
        scene.wait_for("it reads", lambda: scene.said("reading"))
        assert (scene.said("waiting for a server"), scene.said("the servers are there")) == (2, 1)
        scene.send(0, 50)
        scene.wait_for("all is stored", lambda: scene.rows() == 50)
    finally:
        ended_in_time(consumer)


@pytest.mark.parametrize("mute", ["kafka", "milvus"])
def test_a_consumer_can_be_stopped_while_a_server_takes_its_connection_and_answers_nothing(
    scene: Scene, mute: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        if mute == "milvus":
            scene.kafka.start()
            scene.settings = scene.settings.updated(milvus={"uri": f"http://{address}"})
        else:
            scene.settings = scene.settings.updated(kafka={"bootstrap_servers": address})
        consumer = scene.consumer()
        try:
            listener.settimeout(60)
            held = [listener.accept()[0] for _ in range(2 if mute == "kafka" else 1)]  # Kafka's: a look, and the client
        finally:
            ended_in_time(consumer)
        for connection in held:
            connection.close()


def _said_times(scene: Scene, times: int) -> bool:
    return scene.said("Kafka is away") == times


@pytest.mark.slow  # its twin: the first test of this file
def test_a_kafka_that_goes_away_and_comes_back_is_waited_for(scene: Scene) -> None:
    scene.kafka.start()
    scene.milvus.start()
    consumer = scene.consumer()
    try:
        scene.wait_for("it reads", lambda: scene.said("reading"))
        for times in (1, 2):
            kill(scene.kafka)
            scene.wait_for("it says so", partial(_said_times, scene, times))
            assert load(consumer, 2) < 0.3
            if times == 1:
                scene.kafka.start()
                scene.wait_for("it says so", lambda: scene.said("Kafka is back"))
                scene.send(0, 50)
                scene.wait_for("all is stored", lambda: scene.rows() == 50)
    finally:
        ended_in_time(consumer)
    assert scene.said("Kafka is away") == 2


@pytest.mark.parametrize(
    "how",
    [
        pytest.param(signal.SIGKILL, id="killed"),
        pytest.param(signal.SIGSTOP, id="not answering", marks=pytest.mark.slow),
    ],
)
def test_a_milvus_that_goes_away_in_the_middle_of_the_stream_costs_nothing(scene: Scene, how: signal.Signals) -> None:
    if how == signal.SIGKILL:  # else a call has the half minute it has by default
        scene.settings = scene.settings.updated(milvus={"timeout": "3s"})
    scene.kafka.start()
    scene.milvus.start()
    consumer = scene.consumer()
    try:
        scene.wait_for("it reads", lambda: scene.said("reading"))
        assert scene.milvus.pid is not None
        os.kill(scene.milvus.pid, how)
        scene.send(0, 300)
        if how == signal.SIGKILL:
            scene.wait_for("it says so", lambda: scene.said("Milvus is away"))
        assert load(consumer, 2) < 0.3
        ended_in_time(consumer)

        if how == signal.SIGSTOP:
            os.kill(scene.milvus.pid, signal.SIGCONT)
        scene.milvus.start()
        consumer.keep_up()
        scene.wait_for("all is stored", lambda: scene.rows() == 300)
    finally:
        ended_in_time(consumer)
    assert scene.said("Milvus is away") <= 1
