"""The bytes of messages that are no text are named for what they are, and text with a bad byte by that byte."""

import json

import pytest

from newstide.core.errors import InvalidHeadline
from newstide.core.packings import Unpacker

TITLE = "Mayor resigns after the vote"


def text_of(value: bytes) -> str:
    return Unpacker(1_000_000).text_of(value)


def bson(title: str) -> bytes:
    text = title.encode() + b"\0"
    body = b"\x02title\0" + len(text).to_bytes(4, "little") + text + b"\0"
    return (len(body) + 4).to_bytes(4, "little") + body


BINARY = {
    "BSON": bson(TITLE),
    "BSON, 41 bytes": bson("x" * 24),  # whose length is a character of ASCII
    "MessagePack": b"\x82\xa5title\xbc" + TITLE.encode() + b"\xa6source\xa4Velm",
    "MessagePack, long": b"\xde\x00\x01\xa5title\xd9\x1c" + TITLE.encode(),
    "CBOR": b"\xa2etitlex\x1c" + TITLE.encode() + b"fsourcedVelm",
    "CBOR, short texts": b"\xa1etitlemMayor resigns",
    "Protobuf": b"\n\x1c" + TITLE.encode() + b"\x12\x04Velm",
    "Protobuf, a number first": b"\x08\x96\x01\x12\x1c" + TITLE.encode(),
    "Avro": b"8" + TITLE.encode() + b"\x08Velm",
    "Avro's container": b"Obj\x01\x04\x14avro.codec\x08null\0\xff\x93",
    "Avro behind AWS Glue's header": b"\x03\x00" + bytes(range(65, 81)) + b"8" + TITLE.encode() + b"\x08Velm",
    "Thrift": b"\x0b\x00\x01\x00\x00\x00\x1c" + TITLE.encode() + b"\x00",
}


@pytest.mark.parametrize("value", BINARY.values(), ids=BINARY)
def test_bytes_of_a_binary_format_are_said_to_be_no_text(value: bytes) -> None:
    with pytest.raises(InvalidHeadline, match=r"is no text .* binary format.* sent as JSON") as caught:
        text_of(value)
    assert value[:4].hex(" ") in str(caught.value)


BAD = {
    b'{"title": "caf\xe9"}': "not UTF-8: byte 14 is 0xe9",
    b' \n["caf\xe9\x01"]': "not UTF-8: byte 7 is 0xe9",
    b"caf\xe9 closed": "not UTF-8: byte 3 is 0xe9",
    '{"title": "x"}'.encode("utf-16-le") + b"\0": "not UTF-16-LE: byte 28 is 0x00",
}


@pytest.mark.parametrize("value", BAD)
def test_a_bad_byte_of_a_text_is_named(value: bytes) -> None:
    with pytest.raises(InvalidHeadline, match=BAD[value]):
        text_of(value)


TEXT = json.dumps({"title": TITLE})


@pytest.mark.parametrize("text", [TEXT, f"\x1e{TEXT}", f"\x01 broken\n{TEXT}", f" {TEXT}\0\n{TEXT}", "7", "plain", ""])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_text_stays_text_whatever_characters_it_holds(text: str, encoding: str) -> None:
    value = text.encode(encoding)
    if value[:1] == b"\0":
        pytest.skip("this begins as a schema registry's prefix does")
    assert text_of(value) == text


@pytest.mark.parametrize(
    "prefix",
    [b"\0\0\0\0\x07", b"\x03\x00" + bytes(range(16)), b"\x03\x00" + b"\xff" * 16],
    ids=["registry", "Glue", "ff"],
)
def test_json_behind_the_header_of_a_schema_registry_is_read(prefix: bytes) -> None:
    assert text_of(prefix + TEXT.encode()) == TEXT
