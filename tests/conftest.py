"""Fixtures that several test files share, and the servers behind them.

One real Apache Kafka serves every worker of a run in parallel: the process that hands out the tests starts it. Each
worker has a Milvus Lite of its own, whose one thread would serialise them. Topics and collections go at the end of the
module that asked for them.
"""

import json
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaAdminClient
from kafka.errors import UnknownTopicOrPartitionError
from pymilvus import MilvusClient

from newstide.core import logs
from newstide.core.settings import KafkaSettings, MilvusSettings, Settings
from newstide.core.threads import let_idle_threads_sleep
from newstide.kafka.local_broker import LocalKafka
from newstide.kafka.topics import ensure_topics
from newstide.milvus.local_server import LocalMilvus
from tests.harness.feed_site import Site
from tests.harness.labelled import hand_on, labelled
from tests.harness.longest import LONGEST
from tests.harness.newsroom import add_headlines, of_a_module, own_topics
from tests.harness.remembered import remembered

hand_on()
let_idle_threads_sleep()  # of the processes that tests start, and of kernels not loaded yet

_SHARED_KAFKA = pytest.StashKey[LocalKafka]()
_OF_MODELS = {"test_embedding.py", "test_conversion.py", "test_tokens.py", "test_vectors.py", "test_weights.py"}
_FOLDER = pytest.StashKey[tempfile.TemporaryDirectory[str]]()
_PORT, _DATA = "newstide_kafka_port", "newstide_kafka_data"  # of what a worker is told


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take long come first."""
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.nodeid.partition("::")[0], len(places)))


def pytest_configure(config: pytest.Config) -> None:
    """Starts the Kafka that all workers share, before there is a worker."""
    if hasattr(config, "workerinput") or not getattr(config.option, "numprocesses", None) or config.option.collectonly:
        return
    config.stash[_FOLDER] = tempfile.TemporaryDirectory(prefix="newstide-kafka-")
    kafka = LocalKafka(Path(config.stash[_FOLDER].name), Settings().cache_dir, port=0)
    kafka.start()
    config.stash[_SHARED_KAFKA] = kafka


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tells a worker where that Kafka is."""
    kafka = node.config.stash[_SHARED_KAFKA]
    node.workerinput[_PORT], node.workerinput[_DATA] = kafka.port, str(kafka.data_dir)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stops it."""
    if (kafka := config.stash.get(_SHARED_KAFKA, None)) is not None:
        kafka.stop()
        config.stash[_FOLDER].cleanup()


@pytest.fixture(scope="session", autouse=True)
def _quiet_logs() -> None:
    """On stderr: what a test's code prints is its own."""
    logs.configure("info", json=False)


@pytest.fixture(scope="module", autouse=True)
def _models(request: pytest.FixtureRequest) -> Iterator[None]:
    """Models are loaded once a process, and texts embedded once, but for the tests of the models themselves."""
    with nullcontext() if request.node.path.name in _OF_MODELS else remembered():
        yield


@pytest.fixture(scope="session")
def local_kafka(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalKafka]:
    """A running local Kafka, that no test stops: the one that the workers share, or one for this session alone."""
    folder = tmp_path_factory.mktemp("kafka")
    told: dict[str, Any] = getattr(request.config, "workerinput", {})
    if _PORT in told:  # its address and its data; its process is not ours
        yield LocalKafka(Path(told[_DATA]), Settings().cache_dir, port=told[_PORT])
        return
    with LocalKafka(folder, Settings().cache_dir, port=0) as kafka:
        yield kafka


@pytest.fixture(scope="module")
def topics(local_kafka: LocalKafka) -> Iterator[list[KafkaSettings]]:
    """Settings whose topics were made for this module, and go with it."""
    made: list[KafkaSettings] = []
    yield made
    if not made:
        return
    admin: Any = KafkaAdminClient(bootstrap_servers=local_kafka.bootstrap_servers)
    try:
        there = set(admin.list_topics())
        names = {name for one in made for name in (one.topic, one.dead_letter_topic, one.events_topic, one.lease_topic)}
        admin.delete_topics(sorted(names & there))
    except UnknownTopicOrPartitionError:  # a test has deleted its own meanwhile
        pass
    finally:
        admin.close()


@pytest.fixture
def kafka_settings(local_kafka: LocalKafka, topics: list[KafkaSettings]) -> KafkaSettings:
    """Settings with topics and a group of this test's own; the topics are made."""
    settings = own_topics(local_kafka.bootstrap_servers, uuid.uuid4().hex[:8])
    topics.append(settings)
    ensure_topics(settings)
    return settings


@pytest.fixture(scope="session")
def local_milvus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalMilvus]:
    """A running Milvus Lite server on a free port: one a worker."""
    with LocalMilvus(tmp_path_factory.mktemp("milvus"), port=0) as milvus:
        yield milvus


@pytest.fixture
def settings(tmp_path: Path, kafka_settings: KafkaSettings, milvus_settings: MilvusSettings) -> Settings:
    """Everything of this test's own: topics, collections, data folder."""
    return Settings(data_dir=tmp_path, kafka=kafka_settings, milvus=milvus_settings)


def _patient_client(settings: MilvusSettings) -> MilvusClient:
    """A client with a connection of its own that does not ping: Milvus Lite hangs up on one that does."""
    options = {"grpc.use_local_subchannel_pool": 1, "grpc.keepalive_time_ms": 2**31 - 1}
    return MilvusClient(uri=str(settings.uri), timeout=60, dedicated=True, grpc_options=options)


@pytest.fixture(scope="module")
def collections(request: pytest.FixtureRequest) -> Iterator[list[MilvusSettings]]:
    """Settings whose collections were made for this module, and go with it."""
    made: list[MilvusSettings] = []
    yield made
    if not made:
        return
    client = _patient_client(made[0])
    try:
        for name in client.list_collections():
            if name.startswith(tuple(one.prefix for one in made)):
                client.drop_collection(name)
    finally:
        client.close()


@pytest.fixture
def milvus_settings(local_milvus: LocalMilvus, collections: list[MilvusSettings]) -> MilvusSettings:
    """Settings with collections of this test's own."""
    settings = MilvusSettings(uri=local_milvus.uri, prefix=f"t{uuid.uuid4().hex[:8]}_")
    collections.append(settings)
    return settings


@pytest.fixture
def milvus_client(milvus_settings: MilvusSettings) -> Iterator[MilvusClient]:
    """Anyone's client of that server, patient and with a connection of its own: one that others share may be hung up."""
    client = _patient_client(milvus_settings)
    yield client
    client.close()


@pytest.fixture(scope="session")
def real_headlines() -> Path:
    """The folder of real, labelled headlines, which are not part of the project; without it a test is left out."""
    return labelled()


@pytest.fixture(scope="session")
def newsroom(local_kafka: LocalKafka, local_milvus: LocalMilvus, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings under which 400 headlines of the bundled day lie in Milvus, clustered in two runs, with their pages.

    What tests add to it stays: they count what there is, and expect no number.
    """
    from clustering.run.reclusterer import recluster
    from producers.sample import day_file

    folder = tmp_path_factory.mktemp("newsroom")
    settings = of_a_module(folder, local_kafka, local_milvus, f"n{uuid.uuid4().hex[:8]}")
    lines = day_file().read_text(encoding="utf-8").splitlines()
    for part in (lines[:250], lines[250:400]):
        add_headlines(settings, [json.loads(line) for line in part])
        recluster(settings)
    return settings


@pytest.fixture
def site() -> Iterator[Site]:
    """A web server whose pages a test sets."""
    site = Site()
    yield site
    site.close()
