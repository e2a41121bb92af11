"""The neighbour graph through whole runs: on Milvus Lite by either searcher, with a cache that is kept, damaged or stale."""

import json
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from clustering.run.graph import CurrentGraph
from clustering.run.reclusterer import recluster
from clustering.tree.tutorial import as_searched
from newstide.core.headline import Headline
from newstide.core.settings import Settings
from newstide.milvus import HeadlineRow, Store, open_store
from producers.sample import day_file
from tests.harness.newsroom import add_headlines, for_the_day
from tests.harness.services import opened
from tests.harness.tutorial import tutorials_own_code

DAY = [json.loads(line) for line in day_file().read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return for_the_day(settings)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids whose vectors were read from Milvus."""
    ids: list[str] = []
    embeddings = Store.embeddings

    def counted(store: Store, some: Sequence[str]) -> npt.NDArray[np.float32]:
        ids.extend(some)
        return embeddings(store, some)

    monkeypatch.setattr(Store, "embeddings", counted)
    return ids


def test_a_run_by_the_searches_of_milvus_reads_only_what_is_new_and_knows_its_recall(
    settings: Settings, asked: list[str]
) -> None:
    chosen = settings.updated(clustering={"searcher": "milvus"})
    add_headlines(chosen, DAY[:300])
    first = recluster(chosen)
    assert (first.searcher, first.rebuilt, first.reason, first.recall) == ("milvus", True, "there was no graph", None)
    assert len(asked) == first.rows
    add_headlines(chosen, DAY[300:330])
    asked.clear()
    second = recluster(chosen)
    assert second.new == second.rows - first.rows > 0
    assert len(asked) == len(set(asked)) == second.new + 20  # and a sample, to compare
    assert second.searcher == "milvus"
    assert not second.rebuilt
    assert second.searched < first.rows
    assert second.recall is not None
    assert second.recall > 0.99


def test_a_map_of_some_rows_is_made_of_their_stored_vectors_whatever_became_of_those_at_hand(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = settings.updated(pages={"enabled": True, "max_points": 100})
    add_headlines(chosen, DAY[:250])
    given: list[tuple[list[str], bool, npt.NDArray[np.float32]]] = []
    vectors_of = CurrentGraph.vectors_of

    def noted(current: CurrentGraph, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        found = vectors_of(current, rows)
        centred = not np.array_equal(current.graph.vectors[rows], found)
        given.append((current.graph.ids[rows].tolist(), centred, found))
        return found

    monkeypatch.setattr(CurrentGraph, "vectors_of", noted)
    recluster(chosen)
    add_headlines(chosen, DAY[250:280])
    recluster(chosen)
    with opened(chosen) as store:
        for ids, _, vectors in given:
            np.testing.assert_array_equal(vectors, store.embeddings(ids))
    assert [(len(ids), centred) for ids, centred, _ in given] == [(100, True), (100, True)]


def test_a_number_of_rows_about_the_limit_of_exact_searches_builds_the_graph_once(settings: Settings) -> None:
    chosen = settings.updated(clustering={"exact_rows": 200})
    reports = []
    for rows in (DAY[:190], DAY[190:230]):
        add_headlines(chosen, rows)
        reports.append(recluster(chosen))
    with opened(chosen) as store:
        ids = sorted(store.headlines("", ["id"])["id"])
        store.delete_headlines(ids[::5])
    reports.append(recluster(chosen, force=True))
    assert [(report.searcher, report.rebuilt) for report in reports] == [
        ("exact", True),
        ("cells", False),
        ("cells", False),
    ]
    assert reports[-1].rows <= 200


def test_a_damaged_cache_is_rebuilt_and_the_report_says_why(settings: Settings, asked: list[str]) -> None:
    add_headlines(settings, DAY[:120])
    first = recluster(settings)
    cache = settings.data_dir / "cache" / "graph.bin"
    content = bytearray(cache.read_bytes())
    content[-100] ^= 1
    cache.write_bytes(content)
    asked.clear()
    second = recluster(settings, force=True)
    assert second.rebuilt
    assert "fails its checksum" in second.reason
    assert second.searched == len(asked) == first.rows
    third = recluster(settings, force=True)
    assert (third.rebuilt, third.reason, third.searched) == (False, "", 0)


def test_an_id_that_was_removed_and_came_again_with_another_text_has_the_new_texts_neighbours(
    settings: Settings, asked: list[str]
) -> None:
    add_headlines(settings, DAY[:120])
    first = recluster(settings)
    store = open_store(settings.milvus, None)
    try:
        rows = store.headlines("", ["id", "published_at"]).sort_values("id", ignore_index=True)
        (old, when), (model, _) = rows.head(2).itertuples(index=False)
        vector = store.embeddings([model])[0]
        store.delete_headlines([old])
        again = Headline(id=old, title="Quite another headline", published_at=int(when))
        store.insert_headlines([HeadlineRow(again, vector, int(time.time() * 1000))])
    finally:
        store.close()
    asked.clear()
    second = recluster(settings)
    assert old in asked
    assert (second.rows, second.rebuilt, second.searched) == (first.rows, False, 1)


def test_run_as_the_tutorial_the_stories_are_those_of_its_own_code(settings: Settings) -> None:
    from clustering.neighbours import ExactSearcher, update_graph

    chosen = settings.updated(clustering={"tutorial": True})
    add_headlines(chosen, DAY[:250])
    recluster(chosen)
    store = open_store(chosen.milvus, None)
    try:
        rows = store.headlines("", ["id", "cluster_label"]).sort_values("id", ignore_index=True)
        vectors = store.embeddings(rows["id"].tolist())
    finally:
        store.close()
    graph, _ = update_graph(None, rows["id"].tolist(), lambda _: vectors, ExactSearcher(), k=49, spare=0)
    labels, _ = tutorials_own_code(*as_searched(graph.indices, graph.similarities))
    found: npt.NDArray[Any] = rows["cluster_label"].to_numpy()
    assert labels.max() > 5
    np.testing.assert_array_equal(found < 0, labels < 0)
    pairs = np.unique(np.stack((found, labels)), axis=1)
    assert pairs.shape[1] == len(np.unique(found)) == len(np.unique(labels))
