"""What files are packed and encoded in, and what is no table of headlines."""

import bz2
import gzip
import io
import lzma
import pickle
import sqlite3
import tarfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.feather
import pytest

from newstide.core.errors import SettingsError, SourceError
from tests.harness.reading import read, rejects, rows, titles, told, write

TABLE = b"title,source\nMarrow lake freezes,Velm Courier\nPell harbour dredged,Orvane Post\n"
TITLES = ["Marrow lake freezes", "Pell harbour dredged"]


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return held.getvalue()


def zstd(content: bytes) -> bytes:
    return bytes(pa.compress(content, codec="zstd", asbytes=True))


PACKED = {
    "a.csv.gz": gzip.compress(TABLE),
    "parts.csv.gz": gzip.compress(TABLE[:20]) + gzip.compress(TABLE[20:]),
    "a.csv.bz2": bz2.compress(TABLE),
    "a.csv.xz": lzma.compress(TABLE),
    "a.csv.zst": zstd(TABLE),
    "frames.csv.zst": zstd(TABLE[:20]) + zstd(TABLE[20:]),
    "a.zip": zipped({"folder/": b"", "folder/news.csv": TABLE}),
    "stored.zip": zipped({"news.csv": TABLE}, zipfile.ZIP_STORED),
    "mac.zip": zipped({"news.csv": TABLE, "__MACOSX/._news.csv": b"\0\5\x16\7", ".DS_Store": b"x"}),
    "described.zip": zipped({"news.csv": TABLE, "README.txt": b"what it is", "LICENSE": b"free"}),
    "inner.zip": zipped({"news.csv.gz": gzip.compress(TABLE)}),
    "twice.csv.gz": gzip.compress(gzip.compress(TABLE)),
    "named_wrongly.csv": zipped({"n.csv": TABLE}),
    "without_ending": bz2.compress(TABLE),
}


@pytest.mark.parametrize("name", PACKED)
def test_packed_tables_are_read_whatever_their_name(tmp_path: Path, name: str) -> None:
    items, tally = told(write(tmp_path / name, PACKED[name]))
    assert [row.headline.title for row in rows(items)] == TITLES
    assert any(note.startswith("packed with") for note in tally.notes)


@pytest.mark.parametrize("name", ["a.csv.gz", "a.csv.bz2", "a.csv.xz", "a.csv.zst", "a.zip"])
def test_what_ends_within_its_packing_is_damaged(tmp_path: Path, name: str) -> None:
    whole = TABLE + b"".join(b"Headline %d %d,S\n" % (number, number**7) for number in range(5_000))
    pack: dict[str, Callable[[bytes], bytes]] = {
        ".gz": gzip.compress,
        ".bz2": bz2.compress,
        ".xz": lzma.compress,
        ".zst": zstd,
    }
    content = zipped({"n.csv": whole}) if name == "a.zip" else pack[Path(name).suffix](whole)
    with pytest.raises(SourceError, match="is damaged") as caught:
        read(write(tmp_path / name, content[: len(content) // 2]))
    assert name in caught.value.message


def excel() -> bytes:
    return zipped({"[Content_Types].xml": b"<Types/>", "xl/workbook.xml": b"<workbook/>"})


def feather(path: Path) -> bytes:
    pyarrow.feather.write_feather(pa.table({"title": ["One"]}), path)
    return path.read_bytes()


def tar() -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as archive:
        info = tarfile.TarInfo("n.csv")
        info.size = len(TABLE)
        archive.addfile(info, io.BytesIO(TABLE))
    return held.getvalue()


def database(path: Path) -> bytes:
    with sqlite3.connect(path) as connection:
        connection.execute("create table news (title text)")
    return path.read_bytes()


def test_what_is_no_table_is_named_for_what_it_is_with_a_way_out(tmp_path: Path) -> None:
    others = {
        "an Excel workbook": excel(),
        "an Excel (or other old Office) file": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600),
        "an Arrow (Feather) file": feather(tmp_path / "f"),
        "a Python pickle": pickle.dumps({"title": ["One"]}),
        "a pointer of Git LFS": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n",
        "an HTML page": b"\n<!DOCTYPE html>\n<html><title>Sign in</title>",
        "an XML document": b"<?xml version='1.0'?><rss version='2.0'><channel/></rss>",
        "a tar archive": gzip.compress(tar()),
        "an SQLite database": database(tmp_path / "d"),
        "a zip archive of 2 files": zipped({"a.csv": TABLE, "b.csv": TABLE}),
        "a zip archive of 0 files": zipped({}),
        "a PDF document": b"%PDF-1.7\n",
        "packed 4 times": gzip.compress(gzip.compress(gzip.compress(gzip.compress(gzip.compress(TABLE))))),
    }
    for what, content in others.items():
        with pytest.raises(SourceError) as caught:
            read(write(tmp_path / "news.csv", content))
        assert f"news.csv is {what}" in caught.value.message, what
        assert caught.value.way_out, what


def test_pickles_are_never_opened(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (open, (str(tmp_path / "sprung"),))

    for protocol in range(6):
        with pytest.raises(SourceError):
            read(write(tmp_path / "news.csv", pickle.dumps(Trap(), protocol)))
    assert not (tmp_path / "sprung").exists()


TEXT = "title,source\nPréfet résigné à Velm,Le Courrier\nÇa gèle au lac,Le Courrier\nQuai réparé à Pell,L'Écho\n"


@pytest.mark.parametrize(
    "encoding",
    ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"],
)
@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".json"])
def test_unicode_is_found_with_and_without_a_mark(tmp_path: Path, encoding: str, suffix: str) -> None:
    text = {
        ".csv": TEXT,
        ".jsonl": '{"title": "Préfet résigné à Velm"}\n{"title": "Ça gèle au lac"}\n{"title": "Quai réparé à Pell"}\n',
        ".json": '[\n {"title": "Préfet résigné à Velm"},\n {"title": "Ça gèle au lac"},\n {"title": "Quai réparé à Pell"}]',
    }[suffix]
    file = write(tmp_path / f"a{suffix}", text.encode(encoding))
    assert titles(file) == ["Préfet résigné à Velm", "Ça gèle au lac", "Quai réparé à Pell"]


@pytest.mark.parametrize(
    ("encoding", "title"),
    [
        ("cp1252", "Le préfet a démissionné, ‘déjà’"),
        ("cp1251", "Мэр открыл новый мост через реку"),
        ("koi8_r", "Мэр открыл новый мост через реку"),
        ("cp1250", "Premiér odstoupil z funkce, příliš žluťoučký kůň"),
        ("cp1253", "Παραιτήθηκε ο δήμαρχος, άνοιξε η γέφυρα"),
        ("gb18030", "市长辞职，新桥今天开通"),
        ("big5", "市長辭職，新橋今天開通"),
        ("shift_jis", "市長が辞任した、新しい橋が開通"),
        ("euc_kr", "시장이 사임했다 새 다리가 열렸다"),
        ("cp1256", "استقال رئيس البلدية وافتتح الجسر الجديد"),
        ("cp1255", "המועצה אישרה את התקציב החדש של העיר, הגשר נסגר לתיקונים, מחירי הלחם עלו שוב"),
        ("cp874", "สภาอนุมัติงบประมาณใหม่ของเมือง ปิดสะพานเพื่อซ่อมแซมหลังอุบัติเหตุ"),
        (
            "iso8859_2",
            "Rada miejska przyjęła nowy budżet, Łódź świętuje, ceny znów wzrosły, jezioro zamarzło wcześniej niż zwykle",
        ),
        ("cp866", "Мэр открыл новый мост через реку, цены на хлеб выросли вновь"),
        (
            "cp1254",
            "Belediye meclisi yeni bütçeyi onayladı, köprü onarım için kapatıldı, göl erken dondu, şehir şaşkın",
        ),
    ],
)
def test_common_encodings_are_guessed_and_said(tmp_path: Path, encoding: str, title: str) -> None:
    text = "title,date\n" + f'"{title}",2026-10-01\n' + f'"{title} 2",2026-10-01\n'
    items, tally = told(write(tmp_path / "a.csv", text.encode(encoding)))
    assert [row.headline.title for row in rows(items)] == [title, f"{title} 2"]
    assert any(note.startswith("encoding guessed: ") for note in tally.notes)


def test_a_guess_from_few_characters_is_said_to_be_one(tmp_path: Path) -> None:
    for count, few in ((1, True), (50, False)):
        text = "title\n" + "Préfet déjà résigné\n" * count
        _, tally = told(write(tmp_path / "a.csv", text.encode("cp1252")))
        assert any("from few characters" in note for note in tally.notes) == few


def test_a_file_that_begins_in_ascii_is_decided_where_it_goes_beyond(tmp_path: Path) -> None:
    plain = "".join(f"Headline {number} of Velm,S\n" for number in range(20_000))
    for encoding, note in (("utf-8", False), ("cp1252", True)):
        content = f"title,source\n{plain}Préfet résigné à Velm,S\nÇa gèle au lac,S\n".encode(encoding)
        items, tally = told(write(tmp_path / "a.csv", content))
        assert rows(items)[-1].headline.title == "Ça gèle au lac"
        assert any("guessed" in told_ for told_ in tally.notes) == note


def test_in_mostly_utf8_a_bad_cell_costs_its_row_alone(tmp_path: Path) -> None:
    content = TEXT.encode() + b"Caf\xe9 ferm\xe9,S\n" + "Château vendu,S\n".encode()
    items = read(write(tmp_path / "a.csv", content))
    assert [row.headline.title for row in rows(items)][-1] == "Château vendu"
    (reject,) = rejects(items)
    assert (reject.line, reject.reason) == (5, "The row cannot be decoded: byte 0xe9.")


def test_an_encoding_can_be_named(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", "title\nCafé à Velm\n".encode("mac_roman"))
    assert titles(file, encoding="mac_roman") == ["Café à Velm"]
    for wrong in ("klingon", "base64", "utf\0-8"):
        with pytest.raises(SettingsError, match="no encoding"):
            read(file, encoding=wrong)


@pytest.mark.parametrize("twice", [False, True])
@pytest.mark.parametrize("filling", [b"\n", b"x"])
def test_a_file_that_unpacks_to_implausibly_much_is_refused_at_once(
    tmp_path: Path, filling: bytes, twice: bool
) -> None:
    content = b"title\n" + filling * 20_000_000
    for packed in (gzip.compress(content), bz2.compress(content, 1), zipped({"a.csv": content})):
        file = write(tmp_path / "a.csv", gzip.compress(packed) if twice else packed)
        began = time.process_time()
        with pytest.raises(SourceError, match="unpacks to more than 200 times its size"):
            read(file)
        assert time.process_time() - began < 3


def test_a_line_without_an_end_costs_itself_alone(tmp_path: Path) -> None:
    for end in (b"\n", b"\r", b"\r\n"):
        assert titles(write(tmp_path / "a.csv", end.join((b"title", b"x" * 6_000_000, b"One", b"")))) == ["One"]


def test_characters_in_twice_three_bytes_are_read(tmp_path: Path) -> None:
    sound = "title\nMill — sold\nFête at Écluse\nDépôt shut\n".encode()
    odd = b"Otters \xed\xa0\xbd\xed\xb8\x80 return\nTorn \xed\xa0\xbd\n"
    items, tally = told(write(tmp_path / "a.csv", sound + odd))
    assert [row.headline.title for row in rows(items)][-1] == "Otters 😀 return"
    assert (tally.given, tally.rejected) == (4, 1)
