"""BGE-M3 and sentence-transformers models through their packages' real code."""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from newstide.core.errors import EmbedderError
from newstide.core.settings import EmbeddingSettings
from newstide.embedding import Embedder, load_embedder
from tests.harness.tiny_models import SENTENCES, save_bge_m3, save_sentence_transformer

pytestmark = [
    pytest.mark.bge,
    pytest.mark.skipif(
        any(find_spec(package) is None for package in ("torch", "FlagEmbedding", "sentence_transformers")),
        reason="torch and FlagEmbedding are not installed here; `make test-bge` runs these tests",
    ),
]

AWKWARD = [
    "",
    " \n",
    "headline " * 120_000,
    "x" * 1_000_000,
    "🎉👩‍👩‍👧‍👦",
    "الرئيس \u202eabc",
    "a\x00b",
    "half \ud83d an emoji",
    "\u200b",
]


def bge(folder: Path, **values: object) -> EmbeddingSettings:
    return EmbeddingSettings.model_validate({"model": "bge-m3", "path": str(folder), "max_tokens": 64, **values})


@pytest.fixture(autouse=True)
def _no_model_hub(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Nothing here may reach the hub: its address is a closed port, and its cache is empty."""
    from huggingface_hub import constants

    cache = str(tmp_path_factory.mktemp("hub"))
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", cache)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("HF_HUB_CACHE", cache)


@pytest.fixture(scope="session")
def bge_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_bge_m3(tmp_path_factory.mktemp("models") / "tiny-m3")


@pytest.fixture(scope="session")
def sentence_transformer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_sentence_transformer(tmp_path_factory.mktemp("models") / "tiny-sentences")


@pytest.fixture(scope="module")
def model(bge_folder: Path) -> Embedder:
    return load_embedder(bge(bge_folder))


def test_dense_vectors_are_1024_wide_and_unit_length(model: Embedder) -> None:
    vectors = model.encode(SENTENCES)
    assert vectors.shape == (len(SENTENCES), 1024)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert (model.card.name, model.card.dim, len(model.card.fingerprint)) == ("bge-m3", 1024, 32)


def test_vectors_are_those_of_flag_embeddings_own_encode(model: Embedder, bge_folder: Path) -> None:
    from FlagEmbedding import BGEM3FlagModel

    theirs = BGEM3FlagModel(str(bge_folder), use_fp16=False, devices="cpu").encode(
        SENTENCES, batch_size=100, max_length=64
    )["dense_vecs"]
    np.testing.assert_allclose(model.encode(SENTENCES), theirs, atol=1e-5)


def test_no_texts_make_no_vectors(model: Embedder) -> None:
    assert model.encode([]).shape == (0, 1024)


@pytest.mark.parametrize("batch_size", [1, 3])
def test_a_vector_does_not_depend_on_its_batch(model: Embedder, bge_folder: Path, batch_size: int) -> None:
    texts = SENTENCES * 2
    other = load_embedder(bge(bge_folder, batch_size=batch_size))
    np.testing.assert_allclose(other.encode(texts), model.encode(texts), atol=1e-5)


def test_any_text_makes_a_unit_vector(model: Embedder) -> None:
    vectors = model.encode([*AWKWARD, SENTENCES[0]])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(vectors[-1:], model.encode(SENTENCES[:1]), atol=1e-5)


def test_threads_that_share_a_model_get_the_same_vectors(model: Embedder) -> None:
    alone = model.encode(SENTENCES)
    with ThreadPoolExecutor(4) as pool:
        for vectors in pool.map(model.encode, [SENTENCES] * 8):
            np.testing.assert_allclose(vectors, alone, atol=1e-5)


def test_nothing_is_drawn_on_the_terminal(model: Embedder, capfd: pytest.CaptureFixture[str]) -> None:
    model.encode(SENTENCES * 20)
    assert capfd.readouterr() == ("", "")


def test_the_card_is_the_same_in_another_process(model: Embedder, bge_folder: Path) -> None:
    script = (
        "from newstide.embedding import load_embedder\n"
        "from newstide.core.settings import EmbeddingSettings\n"
        f"print(load_embedder(EmbeddingSettings(model='bge-m3', path={str(bge_folder)!r})).card)"
    )
    output = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert output.strip().splitlines()[-1] == repr(model.card)


@pytest.mark.parametrize(
    ("removed", "word"),
    [
        (("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"), "tokenizer"),
        (("model.safetensors",), "weights"),
        (("config.json",), "model"),
    ],
)
def test_a_folder_with_a_part_missing_is_refused_at_once(
    bge_folder: Path, tmp_path: Path, removed: tuple[str, ...], word: str
) -> None:
    folder = Path(shutil.copytree(bge_folder, tmp_path / "part"))
    for name in removed:
        (folder / name).unlink(missing_ok=True)
    started = time.monotonic()
    with pytest.raises(EmbedderError, match=f"holds no {word}"):
        load_embedder(bge(folder))
    assert time.monotonic() - started < 3


def test_a_tokenizer_of_another_model_is_refused(bge_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(bge_folder, tmp_path / "mixed"))
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["model"]["vocab"] = tokenizer["model"]["vocab"][:8]
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(EmbedderError, match="belong to different models"):
        load_embedder(bge(folder))


@pytest.mark.parametrize("name", ["tokenizer.json", "model.safetensors", "config.json"])
def test_a_damaged_file_is_an_error_that_names_the_folder(bge_folder: Path, tmp_path: Path, name: str) -> None:
    folder = Path(shutil.copytree(bge_folder, tmp_path / "damaged"))
    (folder / name).write_bytes(b"{")
    with pytest.raises(EmbedderError, match=f"cannot be loaded from {folder}"):
        load_embedder(bge(folder))


def test_weights_that_are_not_numbers_are_refused(bge_folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = Path(shutil.copytree(bge_folder, tmp_path / "nan"))
    weights = {name: tensor * float("nan") for name, tensor in load_file(folder / "model.safetensors").items()}
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(EmbedderError, match="no usable vector"):
        load_embedder(bge(folder))


def test_other_weights_have_another_fingerprint(model: Embedder, bge_folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = Path(shutil.copytree(bge_folder, tmp_path / "other"))
    weights = {name: tensor * 1.5 for name, tensor in load_file(folder / "model.safetensors").items()}
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    assert load_embedder(bge(folder)).card.fingerprint != model.card.fingerprint


@pytest.mark.parametrize("path", ["/nowhere/bge-m3", "./nowhere", "~/nowhere"])
def test_a_missing_folder_is_an_error_at_once(path: str) -> None:
    with pytest.raises(EmbedderError, match=r"The folder .* does not exist") as caught:
        load_embedder(EmbeddingSettings(model="bge-m3", path=path))
    assert "NEWSTIDE_EMBEDDING_PATH" in caught.value.way_out


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(EmbedderError, match="not a folder"):
        load_embedder(bge(tmp_path / "model.safetensors"))


def test_a_name_that_no_hub_could_have_is_refused() -> None:
    with pytest.raises(EmbedderError, match="neither a folder nor a name"):
        load_embedder(EmbeddingSettings(model="bge-m3", path="models/of/mine"))


def hub_error(timeout: float = 2.0, model: str = "bge-m3") -> tuple[EmbedderError, float]:
    started = time.monotonic()
    with pytest.raises(EmbedderError) as caught:
        load_embedder(EmbeddingSettings(model=model, hub_timeout=timedelta(seconds=timeout)))
    return caught.value, time.monotonic() - started


@pytest.mark.parametrize("model", ["bge-m3", "sentence-transformers:BAAI/bge-small-en-v1.5"])
def test_a_hub_that_refuses_connections_is_an_error_within_seconds(model: str) -> None:
    error, seconds = hub_error(model=model)
    assert seconds < 5
    assert "cannot be reached" in error.message
    assert "folder" in error.way_out


def test_a_hub_that_never_answers_is_an_error_within_the_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        error, seconds = hub_error(timeout=1.0)
    assert seconds < 4
    assert "hub" in error.message
    assert "NEWSTIDE_EMBEDDING_PATH" in error.way_out


def test_a_name_that_never_resolves_is_an_error_within_the_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://hub.invalid")
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: time.sleep(20))
    error, seconds = hub_error(timeout=1.0)
    assert seconds < 4
    assert "did not answer" in error.message


class Hub(BaseHTTPRequestHandler):
    """A hub that has no model but answers politely."""

    status = 404
    code = "RepoNotFound"

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.send_header("X-Error-Code", self.code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Hub]]:
    from huggingface_hub import constants

    handler = type("Hub", (Hub,), {})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        yield handler
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("status", "code", "word"),
    [
        (404, "RepoNotFound", "does not have this model"),
        (401, "GatedRepo", "wants a token"),
        (503, "", "cannot be reached"),
        (200, "", "cannot be reached"),
    ],
)
def test_what_the_hub_answers_is_told(hub: type[Hub], status: int, code: str, word: str) -> None:
    hub.status, hub.code = status, code
    error, seconds = hub_error()
    assert word in error.message
    assert seconds < 6


def test_a_model_in_the_hubs_cache_is_used_without_asking_the_hub(
    model: Embedder, bge_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill_cache(bge_folder)
    assert load_embedder(EmbeddingSettings(model="bge-m3")).card == model.card


def test_an_interrupted_download_is_not_taken_for_the_model(bge_folder: Path) -> None:
    snapshot = fill_cache(bge_folder)
    (snapshot / "model.safetensors").unlink()
    error, _ = hub_error()
    assert "cannot be reached" in error.message


def fill_cache(folder: Path) -> Path:
    """Lays the model where the hub's client would have put it."""
    commit = "0" * 40
    repository = Path(os.environ["HF_HUB_CACHE"]) / "models--BAAI--bge-m3"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    return Path(shutil.copytree(folder, repository / "snapshots" / commit))


def test_a_sentence_transformers_model_is_normalised_and_cut(sentence_transformer_folder: Path) -> None:
    name = f"sentence-transformers:{sentence_transformer_folder}"
    embedder = load_embedder(EmbeddingSettings(model=name, max_tokens=32))
    vectors = embedder.encode([*SENTENCES, *AWKWARD])
    assert vectors.shape == (len(SENTENCES) + len(AWKWARD), 48)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(vectors[:1], embedder.encode(SENTENCES[:1]), atol=1e-5)
    assert embedder.encode([]).shape == (0, 48)
    assert embedder.card.name == "sentence-transformers:tiny-sentences"
    assert embedder.languages is None


def test_a_sentence_transformers_folder_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EmbedderError, match="holds no weights"):
        load_embedder(EmbeddingSettings(model=f"sentence-transformers:{tmp_path}"))


def test_a_folder_that_is_no_sentence_transformers_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"{")
    with pytest.raises(EmbedderError, match=f"cannot be loaded from {tmp_path}"):
        load_embedder(EmbeddingSettings(model=f"sentence-transformers:{tmp_path}"))
