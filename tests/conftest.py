"""Fixtures that several test files share: one real Apache Kafka and one real Milvus Lite for the whole session."""

import json
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from pymilvus import MilvusClient

from newstide.core import logs
from newstide.core.settings import ClusteringSettings, KafkaSettings, MilvusSettings, Settings
from newstide.core.threads import let_idle_threads_sleep
from newstide.kafka.local_broker import LocalKafka
from newstide.kafka.topics import ensure_topics
from newstide.milvus.local_server import LocalMilvus
from tests.harness.newsroom import add_headlines

let_idle_threads_sleep()  # of the processes that tests start, and of kernels not loaded yet


@pytest.fixture(scope="session", autouse=True)
def _quiet_logs() -> None:
    """On stderr: what a test's code prints is its own."""
    logs.configure("info", json=False)


@pytest.fixture(scope="session")
def local_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalKafka]:
    """A running local Kafka on a free port; its jars come from the user's cache, or are fetched into it once."""
    with LocalKafka(tmp_path_factory.mktemp("kafka"), Settings().cache_dir, port=0) as kafka:
        yield kafka


@pytest.fixture
def kafka_settings(local_kafka: LocalKafka) -> KafkaSettings:
    """Settings with topics and a group of this test's own; the topics are made."""
    mark = uuid.uuid4().hex[:8]
    settings = KafkaSettings(
        bootstrap_servers=local_kafka.bootstrap_servers,
        topic=f"headlines-{mark}",
        dead_letter_topic=f"headlines-{mark}.dead-letter",
        events_topic=f"story-events-{mark}",
        lease_topic=f"recluster-lease-{mark}",
        group=f"newstide-{mark}",
    )
    ensure_topics(settings)
    return settings


@pytest.fixture(scope="session")
def local_milvus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalMilvus]:
    """A running Milvus Lite server on a free port."""
    with LocalMilvus(tmp_path_factory.mktemp("milvus"), port=0) as milvus:
        yield milvus


@pytest.fixture
def milvus_settings(local_milvus: LocalMilvus) -> MilvusSettings:
    """Settings with collections of this test's own."""
    return MilvusSettings(uri=local_milvus.uri, prefix=f"t{uuid.uuid4().hex[:8]}_")


@pytest.fixture
def milvus_client(milvus_settings: MilvusSettings) -> Iterator[MilvusClient]:
    """Anyone's client of that server, patient and with a connection of its own: one that others share may be hung up."""
    options = {"grpc.use_local_subchannel_pool": 1, "grpc.keepalive_time_ms": 2**31 - 1}
    client = MilvusClient(uri=str(milvus_settings.uri), timeout=60, dedicated=True, grpc_options=options)
    yield client
    client.close()


@pytest.fixture(scope="session")
def real_headlines() -> Path:
    """The folder of real, labelled headlines, which are not part of the project; without it a test is left out."""
    folder = Path(os.environ.get("NEWSTIDE_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real headlines are not here: {folder} does not exist; set NEWSTIDE_TEST_DATA to their folder")
    return folder


@pytest.fixture(scope="session")
def newsroom(local_kafka: LocalKafka, local_milvus: LocalMilvus, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings under which 400 headlines of the bundled day lie in Milvus, clustered in two runs, with their pages.

    What tests add to it stays: they count what there is, and expect no number.
    """
    from clustering.run.reclusterer import recluster
    from producers.sample import day_file

    mark = uuid.uuid4().hex[:8]
    settings = Settings(
        data_dir=tmp_path_factory.mktemp("newsroom"),
        kafka=KafkaSettings(
            bootstrap_servers=local_kafka.bootstrap_servers,
            topic=f"headlines-{mark}",
            dead_letter_topic=f"headlines-{mark}.dead-letter",
            events_topic=f"story-events-{mark}",
            lease_topic=f"recluster-lease-{mark}",
        ),
        milvus=MilvusSettings(uri=local_milvus.uri, prefix=f"n{mark}_"),
        clustering=ClusteringSettings(window=None),
    )
    ensure_topics(settings.kafka)
    lines = day_file().read_text(encoding="utf-8").splitlines()
    for part in (lines[:250], lines[250:400]):
        add_headlines(settings, [json.loads(line) for line in part])
        recluster(settings)
    return settings
