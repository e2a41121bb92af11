"""Another model while reading goes on: nothing is lost, stories keep their numbers, old installations take part."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pymilvus import MilvusClient
from typer.testing import CliRunner

from clustering.run.lease import Lease
from clustering.run.reclusterer import recluster
from consumers import group
from newstide.core.errors import ModelMismatch, NewstideError
from newstide.core.settings import (
    EmbeddingSettings,
    Settings,
    as_environment,
)
from newstide.embedding import load_embedder
from newstide.embedding.headlines import embed
from newstide.milvus import Store, Tombstone, aliases, open_store, schema
from newstide.milvus.tombstones import key_of
from newstide_app.cli.main import app
from newstide_app.maintenance import reembed as module
from newstide_app.maintenance.reembed import reembed
from newstide_app.maintenance.takedown import forget
from newstide_app.services.run import run_consumer
from producers.publisher import produce_files
from producers.sample import day_file
from tests.harness.newsroom import for_the_day

ROWS, MORE = 180, 10
OLD, NEW = "use-multilingual", "multilingual-e5-small"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return for_the_day(settings).updated(embedding={"model": OLD})


def take_in(settings: Settings, first: int, last: int) -> None:
    lines = day_file().read_text(encoding="utf-8").splitlines()[first:last]
    path = settings.data_dir / "part.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    produce_files([str(path)], settings.kafka, progress=False)
    run_consumer(settings, stop=Event(), drain=True)


@contextmanager
def read_all_the_while(client: MilvusClient, name: str) -> Iterator[list[int]]:
    """How many rows a reader finds under that name, again and again."""
    answers: list[int] = []
    stop = Event()

    def read() -> None:
        while not stop.is_set():
            answers.append(client.query(name, filter="", output_fields=["count(*)"])[0]["count(*)"])

    reader = Thread(target=read)
    reader.start()
    try:
        yield answers
    finally:
        stop.set()
        reader.join()


def require_numbers_kept(before: pd.Series, stories: pd.Series, new: Store) -> None:
    """Most stories go on, and a number stands for the headlines that it stood for; `before` holds labels by id."""
    after = new.headlines("", ["id", "cluster_label"]).set_index("id")["cluster_label"]
    survived = set(after) & set(stories)
    assert len(survived) >= 0.6 * len(stories)
    both = before.index.intersection(after.index)
    kept = [(before[both] == label)[after[both] == label].mean() for label in survived]
    assert np.mean(kept) > 0.7, "a number stands for the headlines that it stood for"


def test_with_another_model_stories_keep_their_numbers_and_readers_their_name(
    settings: Settings, milvus_client: MilvusClient
) -> None:
    take_in(settings, 0, ROWS)
    recluster(settings)
    name = f"{settings.milvus.prefix}headlines"
    old = open_store(settings.milvus, None)
    before = old.headlines("", ["id", "cluster_label"]).set_index("id")["cluster_label"]
    stories, highest = old.stories(), old.highest_label()

    with Lease(settings.kafka) as lease:  # a reclusterer is at work: nothing is turned, but the vectors are made
        assert lease.held(15_000)
        waiting = reembed(settings, NEW)
    assert not waiting.swapped
    assert waiting.at_work == ("a reclusterer is",)
    assert waiting.embedded == ROWS
    assert "Stop it and give the same command again" in waiting.describe()
    assert milvus_client.describe_collection(name)["collection_name"] == name + old.suffix

    take_in(settings, ROWS, ROWS + MORE)  # meanwhile the world goes on
    gone = before.index[0]
    forget(settings, "id", gone)  # from the new collections, too
    old.delete_headlines([before.index[1]])  # as a run does with one that is too old
    recluster(settings)
    now = old.headlines("", ["id", "cluster_label", "label_probability", "label_run"])
    past = old.events.since(0)

    with read_all_the_while(milvus_client, name) as answers:
        done = reembed(settings, NEW)

    assert set(answers) == {ROWS + MORE - 2}
    assert done.swapped
    assert (done.embedded, done.kept, done.removed) == (MORE, ROWS - 2, 1)
    assert done.relabelled > 0
    new = open_store(settings.milvus, None)
    assert (new.card.name, new.dim) == (NEW, 384)
    assert new.events.since(0) == past != []
    columns = ["id", "cluster_label", "label_probability", "label_run"]
    assert new.headlines("", columns).to_dict("list") == now.to_dict("list")
    assert milvus_client.describe_collection(name)["collection_name"] == name + new.suffix
    with pytest.raises(ModelMismatch, match="multilingual-e5-small"):
        open_store(settings.milvus, old.card)
    with pytest.raises(NewstideError, match="already"):
        reembed(settings, NEW)

    changed = settings.updated(embedding={"model": NEW})
    take_in(changed, ROWS + MORE, ROWS + MORE + 5)
    assert new.count_headlines("label_run == 0") == 5
    assert new.count_headlines("label_run == 0 and cluster_label >= 0") == 0  # no run has placed the stories yet
    report = recluster(changed)
    assert report.status == "finished"
    assert report.rows == ROWS + MORE - 2 + 5
    require_numbers_kept(before, stories["cluster_label"], new)
    assert new.highest_label() >= highest
    after = new.headlines("", ["cluster_label"])["cluster_label"]
    assert min(set(after) - set(before) - {-1}, default=highest + 1) > highest
    placed = new.stories('status == "open"')
    assert placed["reach"].max() <= 1
    old.close()
    new.close()


def test_another_text_by_the_same_model_is_brought_in_the_same_way(settings: Settings) -> None:
    take_in(settings.updated(embedding={"text": "title+description"}), 0, 30)
    with pytest.raises(NewstideError, match=r"already, of the text title\+description"):
        reembed(settings, OLD)
    done = reembed(settings, OLD, text="both")
    assert (done.text, done.embedded, done.swapped) == ("both", 30, True)
    assert "NEWSTIDE_EMBEDDING_TEXT=both" in done.describe()
    take_in(settings, 30, 35)  # no text is set: the collections' new one is used
    store = open_store(settings.milvus, None)
    try:
        assert (store.card.name, store.card.text, store.count_headlines()) == (OLD, "both", 35)
        rows = store.headlines("", ["id", "title", "description"])
        found = store.embeddings(rows["id"].tolist())
    finally:
        store.close()
    assert (rows["description"] != "").any()
    model = load_embedder(EmbeddingSettings(model=OLD, text="both"))
    np.testing.assert_allclose(found, embed(model, rows["title"].tolist(), rows["description"].tolist()), atol=1e-4)


def test_what_a_consumer_that_was_just_starting_wrote_before_the_turn_is_brought_over(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_in(settings, 0, 30)
    turn = module._turn

    def after_a_consumer(*of: Any, **more: Any) -> None:
        take_in(settings, 30, 35)
        turn(*of, **more)

    monkeypatch.setattr(module, "_turn", after_a_consumer)
    done = reembed(settings, NEW)
    assert (done.swapped, done.embedded) == (True, 35)
    new = open_store(settings.milvus, None)
    assert (new.card.name, new.count_headlines()) == (NEW, 35)
    new.close()


def test_a_take_down_at_the_turn_costs_no_row_of_a_new_consumer_whose_clock_is_behind(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_in(settings, 0, 30)
    turn = module._turn

    def with_a_new_consumer(*of: Any, **more: Any) -> None:
        turn(*of, **more)
        new = open_store(settings.milvus, None)
        first, second = new.headlines("", ["id"])["id"].tolist()[:2]
        (kept,) = new.headlines_by_id([first], [*schema.columns("headlines"), "embedding"]).to_dict("records")
        new._headlines.put([{str(name): value for name, value in kept.items()} | {"id": "late", "ingested_at": 0}])
        new.tombstones.add([Tombstone(key_of("id", second), key_of("id", second), "", "", 1)])
        taken.append(second)
        new.close()

    taken: list[str] = []
    monkeypatch.setattr(module, "_turn", with_a_new_consumer)
    assert reembed(settings, NEW).removed == 1
    new = open_store(settings.milvus, None)
    assert new.known_ids(["late", *taken]) == {"late"}
    new.close()


@pytest.mark.parametrize("drop_old", [False, True])
def test_a_consumer_that_opened_the_old_collections_before_the_turn_commits_nothing_after_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, drop_old: bool
) -> None:
    take_in(settings, 0, 30)
    join = group.join_group

    def after_the_turn(*of: Any) -> Any:
        assert reembed(settings, NEW, drop_old=drop_old).swapped
        return join(*of)

    with monkeypatch.context() as late:
        late.setattr(group, "join_group", after_the_turn)
        with pytest.raises(ModelMismatch, match="have been turned from the vectors of use-multilingual"):
            take_in(settings, 30, 35)
    run_consumer(settings.updated(embedding={"model": NEW}), stop=Event(), drain=True)
    new = open_store(settings.milvus, None)
    assert (new.card.name, new.count_headlines()) == (NEW, 35)
    new.close()


def test_collections_with_plain_names_are_given_an_alias_when_their_model_changes(
    settings: Settings, milvus_client: MilvusClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as earlier:  # as earlier versions made them
        earlier.setattr(aliases, "suffix_of", lambda _card: "")
        take_in(settings, 0, 40)
        recluster(settings)
    plain = {f"{settings.milvus.prefix}{kind}" for kind in schema.COLLECTIONS}
    assert plain <= set(milvus_client.list_collections())
    take_in(settings, 40, 50)
    assert recluster(settings).rows == 50
    card = load_embedder(EmbeddingSettings(model=OLD)).card

    for name, value in as_environment(settings).items():
        monkeypatch.setenv(name, value)
    told = CliRunner().invoke(app, ["reembed", "--to", NEW, "--json"])

    report = json.loads(told.stdout)
    assert report["swapped"]
    assert report["old"] == aliases.suffix_of(card)
    there = set(milvus_client.list_collections())
    assert not plain & there
    assert {name + report["old"] for name in plain} <= there
    assert (
        milvus_client.query(f"{settings.milvus.prefix}headlines", filter="", output_fields=["count(*)"])[0]["count(*)"]
        == 50
    )
    back = reembed(settings, OLD, drop_old=True)
    assert (back.embedded, back.kept, back.swapped) == (0, 50, True)
    left = {name for name in milvus_client.list_collections() if name.startswith(settings.milvus.prefix)}
    of_no_model = {f"{settings.milvus.prefix}{kind}" for kind in ("unfinished", "events")}
    assert left - of_no_model == {name + report["old"] for name in plain}
    assert recluster(settings).rows == 50


def test_what_was_cut_off_is_taken_up_and_a_headline_the_model_fails_on_is_left_out(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_in(settings, 0, 30)
    real = load_embedder(EmbeddingSettings(model=NEW))
    calls: list[int] = []

    class Failing:
        card = real.card
        languages = real.languages

        def encode(self, texts: list[str]) -> Any:
            calls.append(len(texts))
            if len(calls) == 3:
                raise KeyboardInterrupt
            return real.encode(texts)

    monkeypatch.setattr(module, "_BATCH", 8)
    monkeypatch.setattr(module, "model_for", lambda *_: Failing())
    with pytest.raises(KeyboardInterrupt):
        reembed(settings, NEW)
    store = open_store(settings.milvus, None)
    bad = store.headlines("", ["id", "title", "description"]).iloc[25]
    store.close()

    class Picky(Failing):
        def encode(self, texts: list[str]) -> Any:
            if any(text.startswith(bad["title"]) for text in texts):
                from newstide.core.errors import EmbedderError

                raise EmbedderError("not this one")
            return real.encode(texts)

    monkeypatch.setattr(module, "model_for", lambda *_: Picky())
    done = reembed(settings, NEW, drop_old=True)
    assert (done.kept, done.embedded, done.failed) == (16, 13, 1)
    new = open_store(settings.milvus, None)
    assert new.count_headlines() == 29
    assert not new.known_ids([bad["id"]])
    assert new.suffixes_of_other_models() == [done.old], "the one headline is nowhere else"
    assert "headlines are that were left out" in done.describe()

    with_old = open_store(settings.milvus, None, suffix=done.old)
    gone = with_old.headlines("", ["id"])["id"].iloc[3]
    forget(settings, "id", gone)
    assert with_old.count_headlines() == 29
    assert not with_old.known_ids([gone]), "what is taken down is taken down wherever it is"
    with_old.close()

    after = reembed(settings, NEW, drop_old=True)
    assert (after.before, after.dropped) == (True, (done.old,))
    assert after.describe() == f"Readers were turned to {NEW} before. Removed: headlines{done.old} and so on."
    assert new.suffixes_of_other_models() == []
    new.close()
