"""The short form of `python -m benchmarks.faults --fuzz 10000`: what becomes of messages that are no headlines."""

from pathlib import Path

from newstide.core.settings import KafkaSettings, MilvusSettings, Settings
from tests.harness import fuzz


def test_fuzzed_messages_are_rows_dead_letters_with_reasons_or_counted_duplicates_at_flat_memory(
    tmp_path: Path, kafka_settings: KafkaSettings, milvus_settings: MilvusSettings
) -> None:
    result = fuzz.run(1_500, Settings(data_dir=tmp_path, kafka=kafka_settings, milvus=milvus_settings))
    assert fuzz.wrong(result) == [], result
    assert min(result["rows"], result["dead_letters"], result["duplicates"]) > 50, result
    assert len(result["reasons"]) >= 4, result["reasons"]


def test_the_same_messages_are_made_each_time() -> None:
    assert fuzz.messages(150) == fuzz.messages(150)
