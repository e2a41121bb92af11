"""Headlines in Milvus: written once, found, read in full, labelled and removed."""

from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from pymilvus import MilvusClient

from newstide.core.errors import RowsMissing, StoreLimit, StoreRefused
from newstide.core.settings import MilvusSettings
from newstide.milvus import Store, collection, open_store
from newstide.milvus.collection import Collection
from newstide.milvus.connection import Connection
from tests.harness.clock import set_clock
from tests.harness.store_rows import CARD, DIM, headline_row, headline_rows, unit_vectors

COLUMNS = ["id", "title", "description", "source", "url", "language", "published_at", "ingested_at", "cluster_label"]
LABELS = ["cluster_label", "label_probability", "label_run"]


def test_a_row_comes_back_as_it_was_written(store: Store) -> None:
    vector = unit_vectors(1, seed=3)[0]
    row = headline_row(
        "a/1", vector, title="Ünïcode 標題 🗞", description="two\nlines", source="Der \"Bote\"", url="https://x.org/1",
        language="pt-BR", published_at=1_799_999_999_999, ingested_at=7, cluster_label=4, label_probability=0.25,
        label_run=0,
    )  # fmt: skip

    assert store.insert_headlines([row]) == 1

    frame = store.headlines("", [*COLUMNS, "label_probability", "label_run", "embedding"])
    found = frame.to_dict("records")[0]
    np.testing.assert_array_equal(found.pop("embedding"), vector)
    assert found == {
        "id": "a/1", "title": "Ünïcode 標題 🗞", "description": "two\nlines", "source": "Der \"Bote\"",
        "url": "https://x.org/1", "language": "pt-BR", "published_at": 1_799_999_999_999, "ingested_at": 7,
        "cluster_label": 4, "label_probability": 0.25, "label_run": 0,
    }  # fmt: skip


def test_known_ids_are_known_at_once_however_many_are_asked_for(store: Store) -> None:
    rows = headline_rows(2_500)
    store.insert_headlines(rows)
    there = [row.headline.id for row in rows]
    assert store.known_ids([*there, *there[:10], "absent", ""]) == set(there)
    assert store.known_ids([]) == set()


def test_written_again_after_an_answer_was_lost_nothing_is_there_twice(store: Store) -> None:
    rows = headline_rows(50)
    store.insert_headlines(rows)
    store.insert_headlines(rows)
    assert store.count_headlines() == 50
    assert len(store.headlines("", ["id"])) == 50


def test_of_rows_with_the_same_id_in_one_call_the_first_is_written(store: Store) -> None:
    assert store.insert_headlines([headline_row("a", title="first"), headline_row("a", title="second")]) == 1
    assert store.headlines("", ["title"])["title"].tolist() == ["first"]


def test_large_writes_are_split_and_all_of_them_arrive(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    monkeypatch.setattr(collection, "_REQUEST_BYTES", 3_000)
    whole = collection.Collection._send

    def counted(self: collection.Collection, client: MilvusClient, rows: Sequence[Mapping[str, Any]]) -> None:
        sizes.append(len(rows))
        whole(self, client, rows)

    monkeypatch.setattr(collection.Collection, "_send", counted)
    store.insert_headlines(headline_rows(100))
    assert sum(sizes) == 100
    assert len(sizes) > 5
    assert store.count_headlines() == 100


def test_counts_follow_filter_writes_and_removals_at_once(store: Store) -> None:
    store.insert_headlines(headline_rows(30))
    assert store.count_headlines() == 30
    assert store.count_headlines("published_at >= 10 and published_at < 20") == 10
    store.delete_headlines(["h00010", "h00011", "absent"])
    assert store.count_headlines("published_at >= 10 and published_at < 20") == 8
    assert store.known_ids(["h00010", "h00012"]) == {"h00012"}


def test_iteration_gives_every_row_once_in_order(store: Store, reading: Callable[[Store], None]) -> None:
    rows = headline_rows(20_000)
    store.insert_headlines(rows[:12_345])
    store.settle()  # some rows on disk, some in the log
    store.insert_headlines(rows[12_345:])
    reading(store)
    frames = list(store.iterate_headlines("", ["id", "published_at"], batch_size=3_000))
    assert max(map(len, frames)) <= 3_000
    ids = [id_ for frame in frames for id_ in frame["id"]]
    assert ids == [row.headline.id for row in rows]
    times = [time for frame in frames for time in frame["published_at"]]
    assert times == list(range(20_000))
    assert len(store.headlines("", ["id"])) == 20_000  # more than a server sends at once


@pytest.mark.parametrize("batch_size", [1, 2, 5, 1_000])
def test_iteration_passes_ids_that_look_like_filters(
    store: Store, reading: Callable[[Store], None], batch_size: int
) -> None:
    ids = sorted(['" or id > "', 'a"', "a\\", "a\\\\", "a'b", 'b" or 1==1 or id == "', "c", "日本", "🗞", "%", "\\n"])
    store.insert_headlines([headline_row(id_) for id_ in ids])
    reading(store)
    seen = [id_ for frame in store.iterate_headlines("", ["id"], batch_size=batch_size) for id_ in frame["id"]]
    assert seen == sorted(ids, key=str.encode)


def test_iteration_respects_a_filter_with_an_or_in_it(store: Store, reading: Callable[[Store], None]) -> None:
    store.insert_headlines(headline_rows(10))
    reading(store)
    where = "published_at < 2 or published_at > 7"
    seen = [id_ for frame in store.iterate_headlines(where, ["id"], batch_size=1) for id_ in frame["id"]]
    assert seen == ["h00000", "h00001", "h00008", "h00009"]


def test_rows_by_id_come_in_the_order_asked_for(store: Store) -> None:
    store.insert_headlines(headline_rows(5))
    frame = store.headlines_by_id(["h00003", "absent", "h00001", "h00003"], ["published_at", "embedding"])
    assert list(frame.columns) == ["published_at", "embedding"]
    assert frame["published_at"].tolist() == [3, 1, 3]
    np.testing.assert_array_equal(np.stack(frame["embedding"].tolist()), unit_vectors(5)[[3, 1, 3]])
    assert store.headlines_by_id([], ["id", "title"]).columns.tolist() == ["id", "title"]


def test_vectors_come_back_bit_for_bit_in_the_order_asked_for(store: Store) -> None:
    store.insert_headlines(headline_rows(1_500))
    order = np.random.default_rng(5).integers(0, 1_500, 2_000)  # some twice
    vectors = store.embeddings([f"h{number:05}" for number in order])
    assert vectors.dtype == np.float32
    np.testing.assert_array_equal(vectors, unit_vectors(1_500)[order])
    assert store.embeddings([]).shape == (0, DIM)


def test_asking_for_the_vector_of_a_row_that_is_not_there_names_it(store: Store) -> None:
    store.insert_headlines(headline_rows(2))
    with pytest.raises(RowsMissing, match="1 headlines are not in Milvus, 'absent'"):
        store.embeddings(["h00000", "absent"])


@pytest.mark.parametrize("whole_rows", [False, True], ids=["partial update", "whole rows"])
def test_labels_are_written_and_nothing_else_changes(
    store: Store, whole_rows: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = headline_rows(2_300)
    store.insert_headlines(rows)
    others = ["id", "title", "published_at", "ingested_at"]
    before = store.headlines("", others).to_dict("list")
    changed = [row.headline.id for row in rows[100:]]
    labels = np.arange(len(changed), dtype=np.int64) - 1
    probabilities = np.linspace(0, 1, len(changed), dtype=np.float32)
    if whole_rows:
        _refuse_partial_updates(monkeypatch)

    store.write_labels(changed, labels, probabilities, 9)

    after = store.headlines("", [*others, *LABELS])
    assert after[others].to_dict("list") == before
    assert after["cluster_label"].tolist() == [-1] * 100 + labels.tolist()
    assert after["label_run"].tolist() == [0] * 100 + [9] * len(changed)
    np.testing.assert_array_equal(after["label_probability"][100:].to_numpy(np.float32), probabilities)
    np.testing.assert_array_equal(store.embeddings(changed), unit_vectors(2_300)[100:])
    assert store.count_headlines() == 2_300


def test_labelling_a_row_that_is_gone_does_not_bring_it_back_and_labels_the_others(store: Store) -> None:
    store.insert_headlines(headline_rows(3))
    store.delete_headlines(["h00001"])
    store.write_labels(["h00000", "h00001", "h00002"], np.array([7, 8, 9]), np.ones(3, np.float32), 1)
    assert store.headlines("", ["id", "cluster_label"]).to_dict("list") == {
        "id": ["h00000", "h00002"],
        "cluster_label": [7, 9],
    }


def test_labels_are_one_query_away_for_anyone(
    store: Store, milvus_settings: MilvusSettings, milvus_client: MilvusClient
) -> None:
    store.insert_headlines(headline_rows(6))
    store.write_labels(["h00002", "h00004"], np.array([3, 0]), np.array([0.5, 1.0], np.float32), 1)

    found = milvus_client.query(
        collection_name=f"{milvus_settings.prefix}headlines",
        filter="cluster_label >= 0",
        output_fields=["title", "cluster_label"],
        limit=100,
    )

    assert {row["title"]: row["cluster_label"] for row in found} == {"Title of h00002": 3, "Title of h00004": 0}


def test_the_newest_publication_time_and_the_highest_label_are_found(store: Store) -> None:
    assert store.newest_published_at() is None
    assert store.highest_label() == -1
    store.insert_headlines(headline_rows(20))
    assert store.newest_published_at() == store.newest_published_at(after=18) == 19
    assert store.newest_published_at(after=19) is None
    assert store.highest_label() == -1
    store.write_labels(["h00003"], np.array([41]), np.ones(1, np.float32), 1)
    assert store.highest_label() == 41


@pytest.mark.parametrize(
    ("vector", "fault"),
    [
        (np.full(DIM, np.nan), "holds nan"),
        (np.array([np.inf] + [0] * (DIM - 1)), "holds inf"),
        (np.ones(DIM), "has length 2.828, not 1"),
        (np.zeros(DIM), "has length 0, not 1"),
        (np.ones(DIM + 1), r"has shape \(9,\); \(8,\) is wanted"),
    ],
)
def test_a_vector_that_cannot_be_right_is_refused_and_nothing_is_written(
    store: Store, vector: np.ndarray, fault: str
) -> None:
    rows = [headline_row("good"), headline_row("bad", vector.astype(np.float32))]
    with pytest.raises(StoreLimit, match=f"The vector of 'bad' {fault}"):
        store.insert_headlines(rows)
    assert store.count_headlines() == 0


def test_a_probability_that_is_no_number_is_refused(store: Store) -> None:
    store.insert_headlines(headline_rows(1))
    with pytest.raises(StoreLimit, match="h00000 is nan"):
        store.write_labels(["h00000"], np.array([1]), np.array([np.nan], np.float32), 1)


@pytest.mark.parametrize("id_", ["", "日" * 43], ids=["empty", "129 bytes"])
def test_an_id_that_a_server_would_not_hold_is_refused(store: Store, id_: str) -> None:
    with pytest.raises(StoreLimit, match="1 to 128 are allowed"):
        store.insert_headlines([headline_row(id_)])


def test_texts_are_counted_in_bytes_and_cut_between_characters(store: Store) -> None:
    longest_title = "🗞" * 2_000
    store.insert_headlines([
        headline_row("a", title=longest_title, description="x" + "日" * 20_000, source="é" * 600),
    ])  # fmt: skip
    (row,) = store.headlines("", ["title", "description", "source"]).to_dict("records")
    assert row["title"] == longest_title
    assert row["description"] == "x" + "日" * 10_666  # 31,999 of 32,000 bytes: another one would be 32,002
    assert row["source"] == "é" * 512


def test_a_collection_made_with_less_room_is_not_overfilled_by_later_settings(
    milvus_settings: MilvusSettings,
) -> None:
    open_store(milvus_settings.model_copy(update={"description_bytes": 300}), CARD).close()
    store = open_store(milvus_settings, CARD)
    store.insert_headlines([headline_row("a", description="y" * 5_000)])
    assert store.headlines("", ["description"])["description"].tolist() == ["y" * 300]
    store.close()


def _refuse_partial_updates(monkeypatch: pytest.MonkeyPatch) -> None:
    put = collection.Collection.put

    def whole_only(self: collection.Collection, rows: list[dict[str, object]], *, partly: bool = False) -> None:
        if partly:
            raise StoreRefused("Milvus refused a request: fields are missing.")
        put(self, rows)

    monkeypatch.setattr(collection.Collection, "put", whole_only)


@pytest.mark.parametrize(
    ("walk", "row", "asked"),
    [
        (
            4.0,
            0.00005,
            [100, 200, 400, 400, 400, 400],
        ),  # a large collection: each answer is mostly a walk over all rows
        (0.0, 0.01, [100, 200, 100, 100, 100, 100]),  # a small one: twice the rows take twice the time
    ],
)
def test_pages_of_lite_grow_while_that_makes_an_answer_little_longer(
    monkeypatch: pytest.MonkeyPatch, walk: float, row: float, asked: list[int]
) -> None:
    now, limits = [0.0], []
    there = [{"id": f"h{number:05}"} for number in range(2_000)]

    def answer(where: str, _columns: object, *, limit: int, **_: object) -> list[dict[str, str]]:
        limits.append(limit)
        now[0] += walk + row * limit
        behind = where.split('"')[1] if where else ""
        return [one for one in there if one["id"] > behind][:limit]

    connection = SimpleNamespace(lite=True)
    headlines = Collection(cast("Connection", connection), "headlines", "headlines", 8)
    monkeypatch.setattr(headlines, "_all", answer)
    monkeypatch.setattr(collection, "MOST", 100)
    set_clock(monkeypatch, "newstide.milvus.collection", monotonic=lambda: now[0])
    frames = list(headlines.iterate("", ["id"]))
    assert [one for frame in frames for one in frame["id"]] == [one["id"] for one in there]
    assert limits[:6] == asked
    limits.clear()
    assert max(map(len, headlines.iterate("", ["id"], batch_size=70))) == 70
    assert set(limits) == {70}
