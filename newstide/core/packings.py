"""The text in a message's bytes, however they are packed: gzip, zstd, UTF-8 to UTF-32, a schema registry's prefix."""

import codecs
import json
import re
import zlib
from dataclasses import dataclass

from newstide.core.errors import InvalidHeadline
from newstide.core.text import shorten

_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_GLUES, _GLUES_LENGTH = (b"\x03\x00", b"\x03\x05"), 18  # AWS Glue's registry: version, compression, a UUID
_JSON = re.compile(r'^[\ufeff \t\r\x1e]*[\[{"]', re.MULTILINE)  # a line of JSON
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0e-\x1a\x1c\x1d\x1f]")


def is_packed(value: bytes) -> bool:
    """Whether bytes begin as gzip or zstd do."""
    return value[:2] == _GZIP or value[:4] == _ZSTD


@dataclass(slots=True)
class Unpacker:
    """Makes texts of bytes; all that it unpacks may have `most_bytes` bytes together.

    Args:
        most_bytes: The bytes that are allowed for one message, however often it is packed within.
    """

    most_bytes: int
    _unpacked: int = 0

    def text_of(self, value: bytes) -> str:
        """The text of bytes that may be packed with gzip or zstd.

        Raises:
            InvalidHeadline: The bytes are damaged, unpack to too many, or are no text.
        """
        unpack = _gunzipped if value[:2] == _GZIP else _of_zstd if value[:4] == _ZSTD else None
        if unpack is not None:
            left = self.most_bytes - self._unpacked
            value = unpack(value, left)
            self._unpacked += len(value)
            if self._unpacked > self.most_bytes:
                raise InvalidHeadline(
                    f"The message unpacks to more than the {self.most_bytes:,} bytes that are allowed."
                )
        return _decoded(value)


def _decoded(value: bytes) -> str:
    value, encoding = _without_prefix(value)
    wide = encoding.endswith(("le", "be"))  # told by zero bytes alone
    try:
        text = value.decode(encoding)
    except UnicodeDecodeError as error:
        if _is_binary(value.decode(encoding, "replace"), wide, error.start):
            raise _binary(value) from None
        name = encoding.removesuffix("-sig").upper()
        raise InvalidHeadline(f"The message is not {name}: byte {error.start} is 0x{value[error.start]:02x}.") from None
    if _is_binary(text, wide):
        raise _binary(value)
    return text


def _without_prefix(value: bytes) -> tuple[bytes, str]:
    """A message without the bytes that a schema registry puts before it, and the encoding of what is left.

    Raises:
        InvalidHeadline: No JSON stands behind the prefix.
    """
    if value[:1] == b"\0" and len(value) > 5 and not _is_wide(value):
        behind = _json_behind(value, 5)
        if behind is None:  # a registry puts these five bytes before JSON, too
            number = int.from_bytes(value[1:5], "big")
            raise InvalidHeadline(
                f"The message has the prefix of a schema registry (schema {number}): it is Avro or Protobuf. Have it "
                "sent as JSON, or put a converter in between."
            )
        return behind, "utf-8"
    if value[:2] in _GLUES and (behind := _json_behind(value, _GLUES_LENGTH)) is not None:
        return behind, "utf-8"
    return value, json.detect_encoding(value)


def _json_behind(value: bytes, length: int) -> bytes | None:
    """What stands behind a prefix, where it begins as JSON does."""
    behind = value[length:].removeprefix(codecs.BOM_UTF8)
    return behind if behind.lstrip()[:1] in (b"{", b"[") else None


def _is_binary(text: str, wide: bool, fault: int = -1) -> bool:
    """Whether what was decoded is no text by its characters, and none of its lines begins as JSON does.

    Args:
        text: What was decoded.
        wide: Whether zero bytes alone told the encoding, which binary formats have, too.
        fault: The first byte that could not be decoded; -1 where all could.
    """
    if _JSON.search(text) is not None:
        return False
    return fault == 0 or (wide and not text.isascii()) or _CONTROLS.search(text) is not None


def _binary(value: bytes) -> InvalidHeadline:
    return InvalidHeadline(
        f"The message is no text (it begins with {value[:4].hex(' ')}): it looks like a binary format, such as Avro, BSON, "
        "MessagePack, CBOR or Protobuf. Have it sent as JSON, or put a converter in between."
    )


def _is_wide(value: bytes) -> bool:
    """Whether zeros at the beginning belong to the first bracket of JSON in UTF-16 or UTF-32."""
    return value[1:2] in (b"{", b"[") or (value[:3] == b"\0\0\0" and value[3:4] in (b"{", b"["))


def _gunzipped(value: bytes, most_bytes: int) -> bytes:
    """The unpacked bytes; of more than are allowed, one more than that."""
    unpacked = b""
    rest = value
    try:
        while rest[:2] == _GZIP and len(unpacked) <= most_bytes:  # a gzip file may have several members
            unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
            unpacked += unpacker.decompress(rest, most_bytes + 1 - len(unpacked))
            if not unpacker.eof and len(unpacked) <= most_bytes:
                raise InvalidHeadline("The message is gzip that ends too early.")
            rest = unpacker.unused_data
    except zlib.error as error:
        raise InvalidHeadline(f"The message is gzip that cannot be unpacked: {error}.") from None
    return unpacked


def _of_zstd(value: bytes, most_bytes: int) -> bytes:
    """As `_gunzipped`."""
    import pyarrow as pa

    try:
        return bytes(pa.CompressedInputStream(pa.BufferReader(value), "zstd").read(most_bytes + 1))
    except (OSError, ValueError) as error:
        raise InvalidHeadline(f"The message is zstd that cannot be unpacked: {shorten(str(error), 200)}.") from None
