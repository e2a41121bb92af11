"""Opening a store: what is missing is made, what is not ours is refused, and the message says what to do."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from pymilvus import DataType, MilvusClient

from newstide.core.errors import EmptyStore, ModelMismatch, SchemaMismatch, SettingsError, StoreUnavailable
from newstide.core.settings import MilvusSettings
from newstide.embedding.base import ModelCard
from newstide.milvus import connection as reaching
from newstide.milvus import open_store, schema
from tests.harness.store_rows import CARD, headline_rows


def test_reading_before_anything_was_written_says_what_to_start(
    milvus_settings: MilvusSettings, milvus_client: MilvusClient
) -> None:
    with pytest.raises(EmptyStore, match="Nothing has been ingested yet") as empty:
        open_store(milvus_settings, None)
    assert "newstide consume" in empty.value.way_out
    assert not milvus_client.has_collection(f"{milvus_settings.prefix}headlines")


def test_what_was_made_is_opened_again_with_or_without_naming_the_model(milvus_settings: MilvusSettings) -> None:
    first = open_store(milvus_settings, CARD)
    first.insert_headlines(headline_rows(5))
    first.close()
    for card in (CARD, None):
        store = open_store(milvus_settings, card)
        assert (store.card, store.dim) == (CARD, CARD.dim)
        assert store.count_headlines() == 5
        store.close()


def test_a_prefix_keeps_two_models_apart(milvus_settings: MilvusSettings) -> None:
    other_settings = milvus_settings.model_copy(update={"prefix": milvus_settings.prefix + "other_"})
    store, other = open_store(milvus_settings, CARD), open_store(other_settings, ModelCard("other", 3, "ff"))
    store.insert_headlines(headline_rows(2))
    assert (store.count_headlines(), other.count_headlines()) == (2, 0)
    store.close()
    other.close()


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        ({"name": "bge-m3"}, "bge-m3 (8 dimensions, fingerprint 0123456789ab)"),
        ({"dim": 16}, "test-model (16 dimensions, fingerprint 0123456789ab)"),
        ({"fingerprint": "f" * 64}, "test-model (8 dimensions, fingerprint ffffffffffff)"),
    ],
)
def test_another_model_is_refused_naming_both(
    milvus_settings: MilvusSettings, change: dict[str, object], shown: str
) -> None:
    open_store(milvus_settings, CARD).close()
    with pytest.raises(ModelMismatch) as mismatch:
        open_store(milvus_settings, replace(CARD, **change))  # type: ignore[arg-type]
    assert "test-model (8 dimensions, fingerprint 0123456789ab)" in mismatch.value.message
    assert shown in mismatch.value.message
    assert f"{milvus_settings.prefix}headlines" in mismatch.value.message
    assert "NEWSTIDE_EMBEDDING_MODEL=test-model" in mismatch.value.way_out
    assert "NEWSTIDE_MILVUS_PREFIX" in mismatch.value.way_out


@pytest.mark.parametrize("card", [CARD, None])
def test_a_collection_of_someone_else_is_refused_and_left_alone(
    milvus_settings: MilvusSettings, milvus_client: MilvusClient, card: ModelCard | None
) -> None:
    foreign = milvus_client.create_schema()
    foreign.add_field("key", DataType.INT64, is_primary=True)
    foreign.add_field("vector", DataType.FLOAT_VECTOR, dim=4)
    name = f"{milvus_settings.prefix}headlines"
    milvus_client.create_collection(name, schema=foreign)

    with pytest.raises(SchemaMismatch, match="made by something other than newstide") as mismatch:
        open_store(milvus_settings, card)

    assert name in mismatch.value.message
    assert "NEWSTIDE_MILVUS_PREFIX" in mismatch.value.way_out
    assert [field["name"] for field in milvus_client.describe_collection(name)["fields"]] == ["key", "vector"]
    assert milvus_client.list_indexes(name) == []


def test_another_version_of_the_schema_is_refused(
    milvus_settings: MilvusSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as later:
        later.setattr(schema, "SCHEMA_VERSION", "99")
        open_store(milvus_settings, CARD).close()
    needed = f"newstide with schema 99; this newstide needs schema {schema.SCHEMA_VERSION}"
    with pytest.raises(SchemaMismatch, match=needed):
        open_store(milvus_settings, CARD)


def test_what_a_killed_start_left_half_done_is_completed(
    milvus_settings: MilvusSettings, milvus_client: MilvusClient
) -> None:
    name = f"{milvus_settings.prefix}headlines"
    milvus_client.create_collection(
        name, schema=schema.fields("headlines", CARD, 32_000), properties=schema.properties(CARD)
    )  # no index, not loaded, and the other collections missing

    store = open_store(milvus_settings, CARD)

    store.insert_headlines(headline_rows(3))
    assert store.count_headlines() == 3
    assert set(milvus_client.list_indexes(name)) >= {"embedding", "published_at", "cluster_label"}
    store.close()


def test_services_that_start_at_once_agree_on_what_they_make(milvus_settings: MilvusSettings) -> None:
    with ThreadPoolExecutor(6) as threads:
        stores = list(threads.map(lambda _: open_store(milvus_settings, CARD), range(6)))
    stores[0].insert_headlines(headline_rows(4))
    assert [store.count_headlines() for store in stores] == [4] * 6
    for store in stores:
        store.close()


def test_facts_for_people_name_server_rows_and_model(milvus_settings: MilvusSettings) -> None:
    store = open_store(milvus_settings, CARD)
    store.insert_headlines(headline_rows(2))
    facts = store.describe()
    assert facts.pop("version")
    assert facts == {"headlines": 2, "stories": 0, "runs": 0, "means": 0, "model": "test-model"}
    store.close()


def test_without_an_address_it_says_how_to_get_one() -> None:
    with pytest.raises(StoreUnavailable, match=r"No Milvus is configured and no local one is running\.") as missing:
        open_store(MilvusSettings(), CARD)
    assert "newstide up" in missing.value.way_out
    assert "NEWSTIDE_MILVUS_URI" in missing.value.way_out


@pytest.mark.parametrize("uri", ["./milvus.db", "localhost:19530", "http://", "http://host:port", ""])
def test_what_is_no_address_is_refused_at_once(uri: str) -> None:
    with pytest.raises(SettingsError, match="is not an address"):
        open_store(MilvusSettings(uri=uri), CARD)


def test_token_and_database_reach_the_client_which_does_not_ping_a_server_on_this_machine(
    milvus_settings: MilvusSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[dict[str, object]] = []

    def recorded(**options: object) -> MilvusClient:
        given.append(options)
        return MilvusClient(uri=options["uri"], timeout=60)

    monkeypatch.setattr(reaching, "MilvusClient", recorded)
    secured = MilvusSettings(uri=milvus_settings.uri, token="root:Milvus", database="news")
    reaching.Connection(secured).close()
    reaching.Connection(milvus_settings).close()
    assert (given[0]["token"], given[0]["db_name"]) == ("root:Milvus", "news")
    assert not {"token", "db_name"} & set(given[1])
    assert given[1]["grpc_options"] == {"grpc.keepalive_time_ms": 2**31 - 1}  # never

    monkeypatch.setattr(reaching, "is_loopback", lambda _host: False)
    reaching.Connection(milvus_settings).close()
    assert "grpc_options" not in given[2]
