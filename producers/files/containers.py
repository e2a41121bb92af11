"""Opens and unpacks files, and refuses files of other kinds than tables of headlines, naming their kind."""

import bz2
import gzip
import io
import lzma
import re
import shutil
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from newstide.core.errors import SourceError
from newstide.core.text import shorten

DAMAGE = (EOFError, OSError, ValueError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, NotImplementedError)
PACKED = {".gz": "gzip", ".bz2": "bzip2", ".xz": "xz", ".zst": "zstd", ".zip": "zip"}
TABLES = (".csv", ".tsv", ".tab", ".psv", ".json", ".jsonl", ".ndjson", ".parquet", ".pq", ".txt")
_HEAD = 4096  # first bytes by which a file's kind is known
_BOMB = 8 * 2**20  # unpacked bytes from which on a file's ratio is looked at
_PROBE = 16 * 2**20  # unpacked bytes that are looked at before the first row
_RATIO = 200  # times that a file's packed bytes may unpack to; tables unpack to 3 to 50 times
_LAYERS = 4  # layers of packing; a file with more of them is hostile
_CODINGS = ((b"\x1f\x8b", "gzip"), (b"BZh", "bzip2"), (b"\xfd7zXZ\x00", "xz"), (b"\x28\xb5\x2f\xfd", "zstd"))

# First bytes of files that are no table, the name of their kind, and what the user can do.
_OTHERS: tuple[tuple[bytes, str, str], ...] = (
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Excel (or other old Office) file", "Save the sheet as CSV."),
    (b"ARROW1", "an Arrow (Feather) file", "Convert it: pandas.read_feather(FILE).to_parquet(...)."),
    (b"FEA1", "a Feather file", "Convert it: pandas.read_feather(FILE).to_parquet(...)."),
    (b"\xff\xff\xff\xff", "an Arrow stream", "Write it as Parquet."),
    (b"ORC", "an ORC file", "Write it as Parquet."),
    (b"Obj\x01", "an Avro file", "Write it as Parquet or JSONL."),
    (b"SQLite format 3\x00", "an SQLite database", "Export its table as CSV: sqlite3 -csv -header FILE 'SELECT ...'."),
    (b"\x89HDF\r\n", "an HDF5 file", "Convert it: pandas.read_hdf(FILE).to_parquet(...)."),
    (b"\x93NUMPY", "a numpy array", "Write it as CSV with a header."),
    (b"%PDF-", "a PDF document", "newstide does not read its text."),
    (b"{\\rtf", "an RTF document", "Save it as plain text."),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", "Unpack it, and send the table in it."),
    (b"Rar!\x1a\x07", "a RAR archive", "Unpack it, and send the table in it."),
    (b"\x04\x22\x4d\x18", "packed with lz4", "Unpack it: lz4 -d FILE."),
    (b"\x1f\x9d", "packed with compress", "Unpack it: uncompress FILE."),
    (b"\x5d\x00\x00", "packed with lzma", "Unpack it: unlzma FILE."),
    (b"\xff\x06\x00\x00sNaPpY", "packed with snappy", "Unpack it."),
    (b"RDX", "an R data file", "Write it as CSV: write.csv(...)."),
    (b"\x7fELF", "a program", "Name the file that holds the headlines."),
    (b"\x89PNG", "a picture", "Name the file that holds the headlines."),
    (b"\xff\xd8\xff", "a picture", "Name the file that holds the headlines."),
    (b"GIF8", "a picture", "Name the file that holds the headlines."),
    (b"version https://git-lfs", "a pointer of Git LFS, not the file itself", "Fetch the file: git lfs pull."),
    (b"/annex/objects/", "a pointer of git-annex, not the file itself", "Fetch the file: git annex get FILE."),
)
_PICKLE = re.compile(rb"\x80[\x02-\x05][\x00-\xff]|\(dp?\d|\(lp\d|c[a-z_.]+\n[A-Za-z_]+\n")
_MARKUP = re.compile(
    rb"<(!doctype\s+html|html|head|body|!--|\?xml|rss|feed|rdf:rdf|svg|[a-z]+:?[a-z]+[\s>])", re.IGNORECASE
)


@dataclass(slots=True)
class Opened:
    """A file's bytes without what they were packed in.

    Attributes:
        stream: The bytes, to be read once from beginning to end.
        name: The file's name without the endings of the packing; of an archive, its member's name.
        packing: The names of the packings, from the outside to the inside.
        seekable: The file itself, if it can be read in any order.
    """

    stream: "Source"
    name: str
    packing: tuple[str, ...] = ()
    seekable: IO[bytes] | None = None


class Source(io.RawIOBase):
    """A stream of bytes whose first bytes can be looked at before they are read."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw
        self._head = b""
        self._place = 0  # of the next byte within the head
        self._damage: BaseException | None = None  # behind the head
        self.came = 0  # bytes that were read so far, ahead included

    def head(self, size: int = _HEAD) -> bytes:
        """The next bytes, as many as there are up to `size`; they stay unread."""
        if len(self._head) - self._place < size and self._damage is None:
            pieces = [self._head[self._place :]]
            missing = size - len(pieces[0])
            try:
                while missing > 0 and (piece := self._raw.read(missing)):
                    pieces.append(piece)
                    missing -= len(piece)
                    self.came += len(piece)
            except DAMAGE as error:
                if not any(pieces):
                    raise
                self._damage = error  # told once the bytes before it are read
            self._head, self._place = b"".join(pieces), 0
        return self._head[self._place : self._place + size]

    def take(self, size: int) -> bytes:
        """The next bytes, `size` at most and as few as come at once; empty at the end."""
        if self._head:
            piece = self._head[self._place : self._place + size]
            self._place += len(piece)
            if self._place == len(self._head):
                self._head, self._place = b"", 0
            if piece:
                return piece
        if self._damage is not None:
            raise self._damage
        read = getattr(self._raw, "read1", self._raw.read)
        piece = bytes(read(size) or b"")
        self.came += len(piece)
        return piece

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: Any) -> int:
        """As `io.RawIOBase` says."""
        piece = self.take(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)


class _Bounded:
    """A stream of unpacked bytes that ends in an error where far fewer packed ones were read.

    Args:
        raw: The unpacked bytes.
        packed: Says how many packed bytes were read.
        name: The file's name in messages.
    """

    def __init__(self, raw: Any, packed: Callable[[], int], name: str) -> None:
        self._raw, self._packed, self._name = raw, packed, name
        self._came = 0

    def read(self, size: int) -> bytes:
        """The next bytes, `size` at most.

        Raises:
            SourceError: The packed bytes unpack to implausibly many.
        """
        read = getattr(self._raw, "read1", self._raw.read)
        piece = bytes(read(size) or b"")
        self._came += len(piece)
        require_plausible(self._name, self._packed(), self._came)
        return piece


def require_plausible(name: str, packed: int, unpacked: int) -> None:
    """Checks that some packed bytes have not unpacked to far more than a table's do.

    Raises:
        SourceError: They have.
    """
    if unpacked > _BOMB and unpacked > _RATIO * packed:
        raise SourceError(
            f"{name} unpacks to more than {_RATIO} times its size: {packed:,} bytes give {unpacked:,} or more.",
            "No table does that. If it is one all the same, unpack it first.",
        )


@contextmanager
def opened(path: str | Path, name: str) -> Iterator[Opened]:
    """A file, unpacked while it is read.

    Args:
        path: The file; `-` is standard input.
        name: The file's name in messages.

    Raises:
        SourceError: The file cannot be opened, is damaged, or is no table.
    """
    with ExitStack() as stack:
        if str(path) == "-":
            file: Any = sys.stdin.buffer
        else:
            try:
                file = stack.enter_context(Path(path).open("rb"))
            except IsADirectoryError:
                inside = "part-*" if next(Path(path).glob("part-*"), None) else "*"
                raise SourceError(f"{name} is a folder.", f"Name its files: {Path(path) / inside}.") from None
            except (OSError, ValueError) as error:
                reason = getattr(error, "strerror", None) or str(error)
                raise SourceError(f"{name} cannot be opened: {reason}.", "Correct the path.") from None
        try:
            found = _unpacked(file, str(path), name, stack)
        except DAMAGE as error:
            raise damaged(name, error) from None
        yield found


def damaged(name: str, error: BaseException, where: str = "") -> SourceError:
    """The error for a file whose packed data ends too early or is damaged."""
    reason = str(error).strip().rstrip(".") or type(error).__name__
    return SourceError(f"{name} is damaged{where}: {shorten(reason, 200)}.", "Check that the file is complete.")


@contextmanager
def seekable(found: Opened) -> Iterator[Any]:
    """The bytes in a file that can be read in any order: Parquet is read from its end."""
    if found.seekable is not None:
        yield found.seekable
        return
    with tempfile.TemporaryFile() as copy:
        shutil.copyfileobj(found.stream, copy, 1 << 20)
        copy.seek(0)
        yield copy


def _unpacked(file: Any, path: str, name: str, stack: ExitStack) -> Opened:
    source = Source(file)
    packing: list[str] = []
    inner = Path(path).name
    whole: IO[bytes] | None = file if file.seekable() else None
    packed: Callable[[], int] | None = None
    for _ in range(_LAYERS):
        head = source.head()
        coding = next((coding for start, coding in _CODINGS if head.startswith(start)), "")
        if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
            member, inner, size = _member(Opened(source, inner, (), whole), name, stack)
            packed = packed or (lambda size=size: size)  # type: ignore[misc]
            source, coding = Source(_Bounded(member, packed, name)), "zip"
        elif coding:
            suffix = Path(inner).suffix.lower()
            inner = inner[: -len(suffix)] if suffix in PACKED else inner
            packed = packed or (lambda outer=source: outer.came)  # type: ignore[misc]
            source = Source(_Bounded(_decoder(coding, source), packed, name))
            if file.seekable():  # a pipe is not waited for
                source.head(_PROBE)
        else:
            _require_table(head, name, packing)
            return Opened(source, inner, tuple(packing), whole)
        packing.append(coding)
        whole = None
    raise SourceError(f"{name} is packed {_LAYERS} times or more: {', '.join(packing)}.", "Unpack it first.")


def _decoder(coding: str, source: Source) -> Any:
    stream = io.BufferedReader(source, 1 << 16)
    if coding == "gzip":
        return gzip.GzipFile(fileobj=stream)
    if coding == "bzip2":
        return bz2.BZ2File(stream)
    if coding == "xz":
        return lzma.LZMAFile(stream)
    import pyarrow as pa

    return pa.CompressedInputStream(pa.PythonFile(stream, mode="r"), "zstd")


def _member(found: Opened, name: str, stack: ExitStack) -> tuple[Any, str, int]:
    """The one table of a zip archive, its name, and its packed size in bytes."""
    file = stack.enter_context(seekable(found))
    file.seek(0)
    archive = stack.enter_context(zipfile.ZipFile(file))
    names = [info.filename for info in archive.infolist() if not info.is_dir()]
    if "[Content_Types].xml" in names or "mimetype" in names:
        if any(entry.startswith("xl/") for entry in names):
            raise SourceError(f"{name} is an Excel workbook.", "Save the sheet as CSV.")
        raise SourceError(f"{name} is an Office document.", "Save its table as CSV.")
    if names and all(entry.endswith(".npy") for entry in names):
        raise SourceError(f"{name} holds numpy arrays.", "Write them as CSV with a header.")
    own = [entry for entry in names if not entry.startswith("__MACOSX/") and not Path(entry).name.startswith(".")]
    tables = [entry for entry in own if _table_suffix(entry)]
    if len(tables) > 1:  # an archive may hold a table and its description
        tables = [entry for entry in tables if not entry.lower().endswith(".txt")] or tables
    chosen = tables or own
    if len(chosen) != 1:
        listed = ", ".join(map(repr, chosen[:5])) + (", …" if len(chosen) > 5 else "") if chosen else "none"
        raise SourceError(
            f"{name} is a zip archive of {len(chosen):,} files that may hold headlines: {listed}.",
            "Unpack it, and name the files that hold headlines.",
        )
    try:
        info = archive.getinfo(chosen[0])
        require_plausible(name, info.compress_size, info.file_size)
        return stack.enter_context(archive.open(info)), Path(chosen[0]).name, info.compress_size
    except RuntimeError:  # a password is needed
        raise SourceError(f"{name} is an encrypted zip archive.", "Unpack it with its password first.") from None


def _table_suffix(name: str) -> bool:
    suffixes = [suffix.lower() for suffix in Path(name).suffixes]
    if suffixes and suffixes[-1] in PACKED:
        suffixes.pop()
    return bool(suffixes) and suffixes[-1] in TABLES


def _require_table(head: bytes, name: str, packing: list[str]) -> None:
    """Raises: SourceError, where the first bytes are not those of a table of headlines."""
    inside = f" (within {' and '.join(packing)})" if packing else ""
    for start, what, way_out in _OTHERS:
        if head.startswith(start):
            raise SourceError(f"{name} is {what}{inside}.", way_out)
    if head[257:262] == b"ustar":
        raise SourceError(f"{name} is a tar archive{inside}.", "Unpack it, and name the files that hold headlines.")
    if _PICKLE.match(head):
        raise SourceError(
            f"{name} is a Python pickle{inside}, which may run any code when it is opened.",
            "If you trust it, convert it: pandas.read_pickle(FILE).to_parquet(...).",
        )
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if markup := _MARKUP.match(text):
        kind = markup[1].lower()
        if kind in (b"rss", b"feed", b"rdf:rdf", b"?xml") or b"<rss" in head or b"<feed" in head:
            raise SourceError(f"{name} is an XML document{inside}.", "Feeds are read by --rss URL; other XML is not.")
        if b"html" in head.lower() or kind in (b"head", b"body"):
            raise SourceError(
                f"{name} is an HTML page{inside}, perhaps that of an error or a login.", "Download the file again."
            )
