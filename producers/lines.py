"""Lines of a byte stream with their numbers, however long they are and whatever bytes they hold."""

import io
from collections.abc import Iterator
from typing import IO

MAX_LINE = 4 * 1024 * 1024  # characters; no headline is that long


def numbered_lines(stream: IO[bytes]) -> Iterator[tuple[int, str, bool]]:
    """Number from 1, text with its line end, and whether it is whole: of a longer line only the start is given.

    UTF-8, or UTF-16 where the stream starts with its byte order mark. Bytes that are no UTF-8 come as lone surrogates
    (`surrogateescape`), so that only the row they stand in is lost.
    """
    start = stream.peek(2)[:2] if hasattr(stream, "peek") else b""
    encoding = "utf-16" if start in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    text = io.TextIOWrapper(stream, encoding, "replace" if encoding == "utf-16" else "surrogateescape", newline="")
    number = 0
    try:
        while line := text.readline(MAX_LINE):
            number += 1
            whole = len(line) < MAX_LINE or line.endswith(("\n", "\r"))
            yield number, line, whole
            while not whole:
                rest = text.readline(MAX_LINE)
                whole = len(rest) < MAX_LINE or rest.endswith(("\n", "\r"))
    finally:
        text.detach()  # the stream is its opener's to close
