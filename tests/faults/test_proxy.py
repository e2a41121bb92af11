"""Between consumer and Kafka something delays, cuts and swallows: headlines come late, and once."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from newstide.core.settings import KafkaSettings, MilvusSettings, Settings
from newstide.kafka.lag import lag
from newstide.kafka.local_broker import LocalKafka
from newstide.kafka.topics import ensure_topics
from newstide.milvus import Store, open_store
from tests.harness.hashing import Hashing
from tests.harness.kafka_proxy import KafkaProxy
from tests.harness.workers import Worker, good, send, wait_for

# Their twins, with a Kafka that goes away and answers nothing: tests/faults/test_outages.py.
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[KafkaProxy, LocalKafka]]:
    proxy = KafkaProxy()

    class Behind(LocalKafka):
        """A broker that sends all its clients to the proxy."""

        def _properties(self, controller_port: int) -> dict[str, str]:
            proxy.forward_to(self.port)
            own = super()._properties(controller_port)
            return {**own, "advertised.listeners": f"PLAINTEXT://127.0.0.1:{proxy.port}"}

    kafka = Behind(tmp_path_factory.mktemp("kafka"), Settings().cache_dir, port=0)
    try:
        with kafka:
            yield proxy, kafka
    finally:
        proxy.close()


@pytest.mark.parametrize("fault", ["delays", "cuts", "swallows"])
def test_headlines_come_once_though_the_way_to_kafka(
    fault: str, proxy: tuple[KafkaProxy, LocalKafka], milvus_settings: MilvusSettings, tmp_path: Path
) -> None:
    between, kafka = proxy
    names = {"topic": fault, "dead_letter_topic": f"{fault}.dead", "group": fault}
    through = KafkaSettings(bootstrap_servers=f"127.0.0.1:{between.port}", **names)
    ensure_topics(through)
    settings = Settings(data_dir=tmp_path, kafka=through, milvus=milvus_settings).updated(
        consumer={"batch_size": 64, "linger": "200ms"}
    )
    store = open_store(milvus_settings, Hashing.card)
    worker = Worker(settings, Hashing(0.1), {"request_timeout_ms": 12_000, "session_timeout_ms": 10_000})
    try:
        send(settings, good(range(100)))
        wait_for("some are written", lambda: store.count_headlines() > 0)
        _strike(fault, between)
        send(settings, good(range(100, 200)))
        wait_for("all are there", lambda: store.count_headlines() == 200, 180)
        between.delay = 0.0
        wait_for("all are committed", lambda: not sum(lag(settings.kafka, settings.kafka.group).values()), 120)
        tally = worker.end()
        assert tally.stored == 200
        assert tally.dead_letters == 0
        assert _ids(store) == {f"h{number:06d}" for number in range(200)}
    finally:
        between.delay, between.swallows = 0.0, False
        worker.stop.set()
        store.close()
    assert kafka.alive()


def _strike(fault: str, between: KafkaProxy) -> None:
    if fault == "delays":
        between.delay = 0.2
    elif fault == "cuts":
        for _ in range(5):
            between.cut()
            time.sleep(0.5)
        assert between.cuts
    else:
        between.swallows = True
        time.sleep(15)  # longer than a request may take
        between.swallows = False


def _ids(store: Store) -> set[str]:
    return set(store.headlines("", ["id"])["id"])
