"""Which model is used where none is set: the collections', said once, and the default for a new folder."""

import json
from pathlib import Path
from threading import Event
from typing import Any

import anyio
import pytest
from typer.testing import CliRunner

from newstide.core.errors import EmbedderError, ModelMismatch
from newstide.core.local_server import free_port
from newstide.core.settings import (
    DEFAULT_MODEL,
    EmbeddingSettings,
    Settings,
    as_environment,
)
from newstide.embedding import ModelCard, load_embedder
from newstide.milvus import open_store
from newstide.milvus.model import card_there, model_in_use
from newstide_app.cli.main import app
from newstide_app.evaluation import evaluate_file
from newstide_app.maintenance.doctor import examine
from newstide_app.maintenance.findings import Findings
from newstide_app.queries import search
from newstide_app.services.run import run_consumer
from newstide_app.web.shared_store import Reader
from producers.publisher import produce_files
from producers.sample import day_file

OTHER = "use-multilingual"


def take_in(settings: Settings, first: int, last: int) -> None:
    path = settings.data_dir / "part.jsonl"
    path.write_text("\n".join(day_file().read_text(encoding="utf-8").splitlines()[first:last]), encoding="utf-8")
    produce_files([str(path)], settings.kafka, progress=False)
    run_consumer(settings, stop=Event(), drain=True)


def model_finding(findings: Findings) -> Any:
    (finding,) = (one for one in findings.findings if one.name == "model")
    return finding


def labelled(folder: Path) -> Path:
    path = folder / "labelled.csv"
    path.write_text("title,story_id\nFire in the port,1\nA blaze in the harbour,1\nVote in Lima,2\n", encoding="utf-8")
    return path


def test_a_new_folder_gets_the_default_model(settings: Settings) -> None:
    assert Settings().embedding.model is None
    assert "NEWSTIDE_EMBEDDING_MODEL" not in as_environment(settings), "each service chooses for itself, and alike"
    assert card_there(settings) is None
    take_in(settings, 0, 12)
    card = card_there(settings)
    assert card is not None
    assert card == load_embedder(EmbeddingSettings(model=DEFAULT_MODEL)).card
    assert card.engine.startswith("ctranslate2"), "the collection says which engine filled it first"


def test_where_no_model_is_set_all_use_that_of_the_collections_and_say_so_once(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier = settings.updated(embedding={"model": OTHER})
    take_in(earlier, 0, 12)
    capsys.readouterr()

    take_in(settings, 12, 20)
    said = capsys.readouterr().err
    assert said.count("no model is set; the collections' model is used") == 1
    assert OTHER in said
    store = open_store(settings.milvus, None)
    try:
        assert (store.card.name, store.count_headlines()) == (OTHER, 20)
    finally:
        store.close()

    assert search(settings, "harbour", 3)["similarity"].between(-1, 1).all()
    finding = model_finding(examine(settings))
    assert finding.status == "ok"
    assert finding.seen.startswith(f"{OTHER} (the model of the collections), 512 dimensions")
    assert finding.seen.endswith("headlines/s just now")
    assert evaluate_file(labelled(tmp_path), settings)["model"] == OTHER
    for name, value in as_environment(settings).items():
        monkeypatch.setenv(name, value)
    told = CliRunner().invoke(app, ["evaluate", str(labelled(tmp_path)), "--json"])
    assert json.loads(told.stdout)["model"] == OTHER

    async def ask() -> Any:
        return await reader.read(lambda store: reader.vector(store, "harbour").shape)

    reader = Reader(settings)
    try:
        assert anyio.run(ask) == (1, 512)
    finally:
        reader.close()


def test_a_set_model_that_differs_is_refused_everywhere(settings: Settings) -> None:
    open_store(settings.milvus, load_embedder(EmbeddingSettings(model=OTHER)).card).close()
    changed = settings.updated(embedding={"model": DEFAULT_MODEL})
    with pytest.raises(ModelMismatch, match=OTHER):
        take_in(changed, 0, 5)
    with pytest.raises(ModelMismatch, match=OTHER):
        search(changed, "harbour", 3)
    finding = model_finding(examine(changed))
    assert finding.status == "fail"
    assert f"NEWSTIDE_EMBEDDING_MODEL={OTHER}" in finding.way_out


def test_where_no_text_is_set_all_use_that_of_the_collections_and_a_set_text_that_differs_is_refused(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    set_ = settings.updated(embedding={"model": OTHER})
    take_in(set_.updated(embedding={"text": "title+description"}), 0, 12)
    capsys.readouterr()
    take_in(set_, 12, 20)
    assert capsys.readouterr().err.count("embedding.text is not set; the collections' is used") == 1
    store = open_store(settings.milvus, None)
    try:
        assert (store.card.text, store.count_headlines()) == ("title+description", 20)
    finally:
        store.close()
    assert search(set_, "harbour", 3)["similarity"].between(-1, 1).all()
    assert "text: title+description" in model_finding(examine(set_)).seen
    assert evaluate_file(labelled(tmp_path), set_)["text"] == "title+description"
    assert evaluate_file(labelled(tmp_path), set_, text="both")["text"] == "both"

    other = set_.updated(embedding={"text": "both"})
    for refused in (lambda: take_in(other, 20, 25), lambda: search(other, "harbour", 3)):
        with pytest.raises(ModelMismatch, match=r"holds vectors of 'title\+description'"):
            refused()
    assert "newstide reembed --to use-multilingual --text both" in model_finding(examine(other)).way_out


def test_a_collections_model_that_does_not_load_is_named_with_the_setting(settings: Settings) -> None:
    open_store(settings.milvus, ModelCard("sentence-transformers:my-own", 8, "ab" * 16)).close()
    with pytest.raises(
        EmbedderError, match=r"No model is set, and the collections' model, sentence-transformers:my-own"
    ):
        model_in_use(settings)


def test_where_milvus_is_away_an_evaluation_goes_on_with_the_default_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from datetime import timedelta

    monkeypatch.setattr("newstide_app.evaluation._PATIENCE", timedelta(milliseconds=300))
    away = Settings().updated(milvus={"uri": f"http://127.0.0.1:{free_port()}"})
    assert evaluate_file(labelled(tmp_path), away)["model"] == DEFAULT_MODEL
    assert "the evaluation uses the default" in capsys.readouterr().err


def test_a_consumer_that_has_to_ask_waits_for_milvus(settings: Settings) -> None:
    stop = Event()
    away = settings.updated(milvus={"uri": f"http://127.0.0.1:{free_port()}", "timeout": "200ms"})
    from threading import Thread

    service = Thread(target=run_consumer, args=(away,), kwargs={"stop": stop, "drain": True})
    service.start()
    service.join(1.5)
    assert service.is_alive()
    stop.set()
    service.join(20)
    assert not service.is_alive()
