"""The short form of `python -m benchmarks.faults --fuzz 10000`: what becomes of messages that are no headlines."""

from pathlib import Path

import pytest

from newstide.core.settings import KafkaSettings, MilvusSettings, Settings
from tests.harness import fuzz


def test_fuzzed_messages_are_rows_dead_letters_with_reasons_or_counted_duplicates(
    tmp_path: Path, kafka_settings: KafkaSettings, milvus_settings: MilvusSettings
) -> None:
    """The fast twin of the test below: of so few, neither memory nor rates tell anything."""
    result = fuzz.run(300, Settings(data_dir=tmp_path, kafka=kafka_settings, milvus=milvus_settings))
    assert fuzz.wrong(result, measured=False) == [], result
    assert min(result["rows"], result["dead_letters"], result["duplicates"]) > 5, result
    assert len(result["reasons"]) >= 3, result["reasons"]


@pytest.mark.slow
@pytest.mark.alone
def test_of_many_fuzzed_messages_memory_stays_flat_and_the_rate_is_that_of_clean_ones(
    tmp_path: Path, kafka_settings: KafkaSettings, milvus_settings: MilvusSettings
) -> None:
    result = fuzz.run(1_500, Settings(data_dir=tmp_path, kafka=kafka_settings, milvus=milvus_settings))
    assert fuzz.wrong(result) == [], result
    assert min(result["rows"], result["dead_letters"], result["duplicates"]) > 50, result
    assert len(result["reasons"]) >= 4, result["reasons"]


def test_the_same_messages_are_made_each_time() -> None:
    assert fuzz.messages(150) == fuzz.messages(150)
