"""Damaged files of the local Kafka and Milvus Lite: the fault is named, and nothing else is lost."""

import os
import re
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import structlog
from kafka import TopicPartition

from consumers.group import join_group
from newstide.core.errors import StoreUnavailable
from newstide.core.settings import MilvusSettings, Settings
from newstide.embedding.base import ModelCard
from newstide.kafka import patches
from newstide.kafka.lag import end_offsets
from newstide.kafka.local_broker import LocalKafka
from newstide.kafka.topics import ensure_topics
from newstide.milvus import HeadlineRow, Store, open_store
from newstide.milvus.local_server import LocalMilvus
from tests.harness.consuming import drained, require_sums
from tests.harness.newsroom import own_topics
from tests.harness.workers import good, headline, send


def test_offsets_are_committed_with_the_epoch_by_which_a_cut_log_is_found_out(settings: Settings) -> None:
    send(settings, good(range(1)))
    ((partition, _),) = [one for one in end_offsets(settings.kafka, settings.kafka.topic).items() if one[1]]
    place = TopicPartition(settings.kafka.topic, partition)
    assert drained(settings).stored == 1
    consumer = join_group(settings.kafka)
    try:
        found = consumer.committed(place, metadata=True)
        assert (found.offset, found.leader_epoch) == (1, 0)
        consumer.unsubscribe()
        consumer.assign([place])
        patches.seek(consumer, place, found)
        assert patches.positions(consumer)[place] == found
    finally:
        consumer.close(autocommit=False)


@pytest.mark.slow  # its twins: the test above; of a flipped byte: tests/faults/test_topic_faults.py
@pytest.mark.parametrize("more_comes_first", [False, True])
def test_a_log_of_kafkas_that_is_cut_loses_what_was_cut_alone_and_what_comes_later_is_read(
    tmp_path: Path, milvus_settings: MilvusSettings, store: Store, *, more_comes_first: bool
) -> None:
    folder = tmp_path / "kafka"
    with LocalKafka(folder, Settings().cache_dir, port=0) as kafka:
        settings = Settings(data_dir=tmp_path, kafka=own_topics(kafka.bootstrap_servers, "cut"), milvus=milvus_settings)
        ensure_topics(settings.kafka)
        for number in range(40):  # a batch each
            send(settings, good(range(number, number + 1)))
        assert drained(settings).stored == 40
        ends = end_offsets(settings.kafka, settings.kafka.topic)
        assert kafka.pid is not None
        os.kill(kafka.pid, signal.SIGKILL)
        while kafka.alive():
            time.sleep(0.01)
    cut = max(ends, key=lambda partition: ends[partition])
    (segment,) = (folder / "log" / f"{settings.kafka.topic}-{cut}").glob("*.log")
    os.truncate(segment, segment.stat().st_size * 2 // 3)
    with LocalKafka(folder, Settings().cache_dir, port=0) as kafka:
        settings = settings.updated(kafka={"bootstrap_servers": kafka.bootstrap_servers})
        left = end_offsets(settings.kafka, settings.kafka.topic)
        assert {one: end for one, end in left.items() if one != cut} == {
            one: end for one, end in ends.items() if one != cut
        }
        assert 0 < left[cut] < ends[cut]
        if more_comes_first:  # to where the consumer has read to, and beyond
            send(settings, good(range(40, 80)))
            assert end_offsets(settings.kafka, settings.kafka.topic)[cut] >= ends[cut]
        with structlog.testing.capture_logs() as logged:
            tally = drained(settings)
        require_sums(tally)
        assert (tally.stored, tally.duplicates) == (40 * more_comes_first, 0), "what is there is there once"
        assert [one["partition"] for one in logged if one["event"] == "Kafka has fewer messages than were read"] == [
            cut
        ]
        if not more_comes_first:
            send(settings, good(range(40, 80)))
            assert drained(settings).stored == 40
        assert store.count_headlines() == 80


@pytest.mark.parametrize("damaged", ["manifest.json", "*.parquet"])
def test_a_damaged_file_of_milvus_lite_is_named_before_it_starts_and_nothing_is_lost_where_it_comes_back(
    damaged: str, tmp_path: Path
) -> None:
    rows = [HeadlineRow(headline(number), np.eye(2, dtype=np.float32)[0], 1) for number in range(50)]
    with LocalMilvus(tmp_path, port=0) as milvus:
        settings = MilvusSettings(uri=milvus.uri)
        store = open_store(settings, ModelCard("plain", 2, "ab"))
        for some in (rows[:30], rows[30:]):  # a manifest each
            store.insert_headlines(some)
            store.settle()
        store.close()
    for file in tmp_path.glob(f"data/collections/headlines_*/**/{damaged}"):
        content = file.read_bytes()
        file.write_bytes(content[: len(content) // 2])
        with pytest.raises(StoreUnavailable, match=re.escape(f"is damaged, {file}: ")) as refused:
            LocalMilvus(tmp_path, port=0).start()
        assert "`newstide restore`" in refused.value.way_out
        file.write_bytes(content)
    with LocalMilvus(tmp_path, port=0) as milvus:
        store = open_store(settings.model_copy(update={"uri": milvus.uri}), None)
        assert store.count_headlines() == 50
        store.close()
