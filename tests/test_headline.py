"""The contract of a headline message."""

import hashlib
import json
import time
import unicodedata
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newstide.core import headline as contract
from newstide.core.errors import InvalidHeadline
from newstide.core.headline import (
    DEFAULTS,
    MAX_TITLE,
    Decoded,
    Limits,
    derive_id,
    encode,
    from_fields,
    parse_language,
    parse_time,
)
from newstide.core.settings import LimitSettings
from newstide.core.text import clean, iso_time

NOON = 1_791_892_800_000  # 2026-10-13T12:00:00Z
HOUR = 3_600_000
IN_2099 = 4_070_908_800_000


def decode(value: bytes | None, timestamp_ms: int, limits: Limits = DEFAULTS) -> Decoded:
    """By a clock that stands at noon, a day later: no test depends on the machine's."""
    return contract.decode(value, timestamp_ms, NOON + 24 * HOUR, limits)


def message(**fields: object) -> bytes:
    return json.dumps(fields).encode()


def reason(value: bytes | None) -> str:
    with pytest.raises(InvalidHeadline) as caught:
        decode(value, NOON)
    return str(caught.value)


def test_a_full_message_is_read_as_it_stands() -> None:
    headline = decode(
        message(
            id="a-1",
            title="Harbour fire under control",
            description="Nobody was hurt.",
            source="The Meridian Post",
            url="https://www.meridian-post.example/a-1",
            language="en-GB",
            published_at="2026-10-13T11:30:00+02:00",
            unknown={"is": "left out"},
        ),
        NOON,
    ).headline
    assert headline.id == "a-1"
    assert headline.published_at == NOON - 150 * 60_000
    assert headline.language == "en-GB"
    assert (headline.title, headline.description) == ("Harbour fire under control", "Nobody was hurt.")


def test_a_title_is_enough_and_the_kafka_timestamp_is_its_time() -> None:
    decoded = decode(message(title="  Rates   held \n"), NOON)
    assert decoded.headline.title == decoded.headline.title_alone == "Rates held"
    assert decoded.headline.published_at == NOON
    assert not decoded.ahead


def test_an_id_is_derived_from_the_url_where_there_is_one() -> None:
    url = "https://a.example/1"
    assert (
        decode(message(title="x", url=url, source="s"), NOON).headline.id
        == hashlib.sha256(url.encode()).hexdigest()[:32]
    )


def test_without_url_an_id_is_derived_from_source_title_and_the_day_only_if_a_time_was_given() -> None:
    undated = decode(message(title="Rates held", source="s"), NOON).headline.id
    assert undated == decode(message(title="Rates held", source="s"), NOON + 86_400_000).headline.id
    dated = decode(message(title="Rates held", source="s", published_at=NOON), NOON).headline.id
    assert dated == hashlib.sha256(b"s\nRates held\n2026-10-13").hexdigest()[:32]
    assert dated == decode(message(title="Rates held", source="s", published_at=NOON + 60_000), NOON).headline.id
    assert len({undated, dated, derive_id("", "t", "Rates held", NOON)}) == 3


def test_a_time_far_ahead_of_the_message_is_replaced_and_said() -> None:
    decoded = decode(message(title="x", published_at="2099-01-01T00:00:00Z"), NOON)
    assert decoded.ahead
    assert decoded.headline.published_at == NOON
    near = decode(message(title="x", published_at=NOON + HOUR), NOON)
    assert not near.ahead
    assert near.headline.published_at == NOON + HOUR


def test_a_message_that_claims_a_time_far_ahead_of_the_clock_counts_as_sent_now_and_is_said() -> None:
    now = NOON + 24 * HOUR
    undated = decode(message(title="x"), IN_2099)
    assert undated.ahead
    assert undated.headline.published_at == now
    near = decode(message(title="x"), now + HOUR)
    assert not near.ahead
    assert near.headline.published_at == now + HOUR
    both = decode(message(title="x", published_at=IN_2099), IN_2099)
    assert both.ahead
    assert both.headline.published_at == now
    dated = decode(message(title="x", published_at=NOON), IN_2099)
    assert not dated.ahead
    assert dated.headline.published_at == NOON


def test_a_message_without_a_time_counts_as_sent_now() -> None:
    assert decode(message(title="x"), -1).headline.published_at == NOON + 24 * HOUR
    assert decode(message(title="x", published_at=NOON), -1).headline.published_at == NOON
    ticking = contract.decode(message(title="x"), -1).headline.published_at
    assert abs(ticking - time.time() * 1000) < HOUR


def test_how_far_ahead_and_how_long_a_description_may_be_is_set() -> None:
    limits = LimitSettings(description=3, ahead=timedelta(days=2))
    decoded = decode(message(title="x", description="abcdef", published_at=NOON + 40 * HOUR), NOON, limits)
    assert (decoded.headline.description, decoded.headline.published_at) == ("abc", NOON + 40 * HOUR)
    assert decode(message(title="x"), NOON + 24 * HOUR + 49 * HOUR, limits).ahead
    assert not decode(message(title="x"), NOON + 24 * HOUR + 47 * HOUR, limits).ahead


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "no value"),
        (b"", "not JSON"),
        (b"\xff\xfe", "not UTF-8"),
        (b"[1]", "list"),
        (b"{" * 10, "not JSON"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b'{"title": NaN}', "NaN"),
        (message(), "title is missing"),
        (message(title=" \n\u202e"), "title is missing"),
        (message(title=7), "int"),
        (message(title="nan"), "nan"),
        (message(title="[Removed]"), "[Removed]"),
        (message(title="https://a.example/1"), "a.example"),
        (message(title="x" * (MAX_TITLE + 1)), "2,001"),
        (message(title="x", published_at="yesterday"), "yesterday"),
        (message(title="x", published_at="2026-10-13T07:00:00"), "time zone"),
        (message(title="x", published_at=True), "True"),
        (message(title="x", published_at=-1), "-1"),
        (message(title="x", published_at="1950-01-01T00:00:00Z"), "1970"),
        (message(title="x", id=["a"]), "list"),
        (message(title="x", id="\x00"), "visible"),
        (message(title="x", id="ä" * 65), "130 bytes"),
        (message(title="x", source={"a": 1}), "source"),
    ],
)
def test_a_bad_message_is_refused_with_the_value_in_the_reason(value: bytes | None, words: str) -> None:
    assert words in reason(value)


def test_links_that_are_not_http_are_left_out_but_still_tell_headlines_apart() -> None:
    first = decode(message(title="x", url="javascript:alert(1)"), NOON).headline
    second = decode(message(title="x", url="javascript:alert(2)"), NOON).headline
    assert first.url == second.url == ""
    assert first.id != second.id


def test_marks_heaped_on_one_letter_cost_no_time_and_thirty_stay() -> None:
    heap = "a" + "\u0301" * 15_000 + "\u0323" * 15_000  # Unicode has them sorted, which is quadratic
    started = time.process_time()
    headline = decode(message(title="Zalgo", description=heap + " and b\u0323\u0301"), NOON).headline
    assert time.process_time() - started < 0.5
    assert headline.description == unicodedata.normalize("NFC", "a" + "\u0301" * 30 + " and b\u0323\u0301")


def test_control_override_and_surrogate_characters_are_taken_out() -> None:
    assert clean("a\x00b\u202ec\ud800d\u2028e") == "a b c d e"
    assert clean("👩\u200d🚒 می\u200cخواهم") == "👩\u200d🚒 می\u200cخواهم"
    assert clean("one \n\n two", lines=True) == "one\ntwo"


@pytest.mark.parametrize(
    ("tag", "expected"),
    [("EN", "en"), ("pt_BR", "pt-BR"), ("zh-Hans-CN", "zh-Hans-CN"), ("english!", ""), (7, ""), ("", "")],
)
def test_languages_are_tags_or_unknown(tag: object, expected: str) -> None:
    assert parse_language(tag) == expected


def test_times_are_read_and_written_alike() -> None:
    assert parse_time("2026-10-13T12:00:00Z") == parse_time(NOON) == parse_time("2026-10-13T14:00+02:00") == NOON
    assert iso_time(NOON) == "2026-10-13T12:00:00Z"
    assert parse_time(iso_time(NOON + 7)) == NOON + 7


def test_numbers_are_seconds_milliseconds_and_calendars_by_their_size() -> None:
    for number in (NOON // 1000, NOON / 1000, NOON, NOON * 1000, 20261013120000, "20261013T120000Z"):
        assert decode(message(title="x", published_at=number), NOON).headline.published_at == NOON


@pytest.mark.parametrize(
    ("title", "source", "url", "embedded"),
    [
        ("Ferry sails again - Orvane Post", "Orvane Post", "", "Ferry sails again"),
        ("Ferry sails again | THE ORVANE POST", "Orvane Post", "", "Ferry sails again"),
        ("Ferry sails again – Orvane Post", "", "https://www.orvane-post.example/a", "Ferry sails again"),
        ("Ferry sails again | orvanepost.co.uk", "", "https://orvanepost.co.uk/a", "Ferry sails again"),
        ("Ferry - sails - Orvane Post", "Orvane Post", "", "Ferry - sails"),
        ("Ferry sails again - Velm Courier", "Orvane Post", "https://orvane.example/a", None),
        ("Orvane Post - Ferry sails again", "Orvane Post", "", None),
        ("Orvane Post", "Orvane Post", "", None),
        ("Well-known Orvane-Post", "Post", "", None),
        ("Ferry sails again - Orvane Post", "", "", None),
    ],
)
def test_an_outlet_at_the_end_is_shown_and_not_embedded_only_where_the_headline_itself_says_it_is_one(
    title: str, source: str, url: str, embedded: str | None
) -> None:
    headline = decode(message(title=title, source=source, url=url, description="Two lines."), NOON).headline
    assert headline.title == title
    assert headline.title_alone == (embedded or title)


def test_a_headline_that_is_cleaned_in_another_way_now_tells_how_it_was_read_before() -> None:
    decoded = decode(message(title="Pell &amp; Orvane sign", source="A\u00adB", url="https://a.example/1"), NOON)
    assert (decoded.headline.title, decoded.headline.source) == ("Pell & Orvane sign", "AB")
    assert decoded.former is not None
    assert (decoded.former.title, decoded.former.source) == ("Pell &amp; Orvane sign", "A B")
    assert decoded.former.id == decoded.headline.id
    undated = decode(message(title="Pell &amp; Orvane sign"), NOON)
    assert undated.former is not None
    assert undated.former.id == derive_id("", "", "Pell &amp; Orvane sign", None)
    assert decode(message(title="Pell & Orvane sign"), NOON).former is None
    sign = decode(message(title="A", source="\u06dd"), NOON)  # version 0.1 took the Arabic sign out
    assert sign.former is not None
    assert (sign.headline.source, sign.former.source) == ("\u06dd", "")


@pytest.mark.parametrize(
    ("fields", "former_id"),
    [
        *(
            ({"source": null}, derive_id("", null, "Dam holds", None))
            for null in ("NULL", "n/a", "-", "(null)", "#REF!")
        ),
        ({"source": "{'name': 'Velm'}"}, derive_id("", "{'name': 'Velm'}", "Dam holds", None)),
        ({"title": "{'main': 'Dam holds'}"}, derive_id("", "", "{'main': 'Dam holds'}", None)),
        (
            {"url": "https://v.example/1, https://v.example/2"},
            derive_id("https://v.example/1, https://v.example/2", "", "", None),
        ),
    ],
)
def test_a_text_that_was_taken_literally_before_gives_the_former_id(fields: dict[str, str], former_id: str) -> None:
    decoded = decode(message(**{"title": "Dam holds", **fields}), NOON)
    assert decoded.former is not None
    assert decoded.former.id == former_id != decoded.headline.id


@pytest.mark.parametrize("name", ["id", "url", "description", "language"])
def test_a_missing_value_that_was_one_id_for_all_headlines_is_no_former_id(name: str) -> None:
    assert decode(message(title="Dam holds", **{name: "NULL"}), NOON).former is None


texts = st.text(max_size=200)


@given(title=texts, description=texts, source=texts, url=texts, language=texts, id_=texts)
def test_whatever_is_accepted_survives_the_round_trip_and_is_clean(
    title: str, description: str, source: str, url: str, language: str, id_: str
) -> None:
    fields = {
        "title": title,
        "description": description,
        "source": source,
        "url": url,
        "language": language,
        "id": id_,
        "published_at": NOON,
    }
    try:
        headline = from_fields(fields, NOON).headline
    except InvalidHeadline:
        return
    assert decode(encode(headline), NOON).headline == headline
    text = headline.title + headline.title_alone + headline.description
    assert "\x00" not in text
    text.encode("utf-8")


@given(st.binary(max_size=300))
def test_any_bytes_are_a_headline_or_a_reason(value: bytes) -> None:
    try:
        headline = decode(value, NOON).headline
    except InvalidHeadline:
        return
    assert headline.title
