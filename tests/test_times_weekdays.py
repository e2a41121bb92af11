"""A weekday tells which of two numbers is the day where it is that of one reading alone."""

from datetime import date
from pathlib import Path

import pytest
from babel import Locale

from newstide.core.text import iso_time
from newstide.core.time_names import LANGUAGES
from newstide.core.time_orders import order_of
from newstide.core.times import Fault, parse_time
from tests.harness.reading import rows, told, write
from tests.test_messages import items

APRIL, NOVEMBER = "2020-04-11T00:00:00Z", "2020-11-04T00:00:00Z"  # a Saturday and a Wednesday


def at(text: str, **options: object) -> str | Fault:
    parsed = parse_time(text, **options)  # type: ignore[arg-type]
    assert parsed is not None
    return parsed.fault or iso_time(parsed.milliseconds or 0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *((text, APRIL) for text in ("Sat, 11 04 2020", "Saturday 11/04/2020", "SAT 11-04-2020", "11.04.2020 (Sat)")),
        *((text, APRIL) for text in ("Samstag, 11.04.2020", "sam. 11/04/2020", "sábado 11/04/2020", "сб 11.04.2020")),
        *((text, APRIL) for text in ("11/04/2020(土)", "04/11/2020（六）", "토요일 11/04/2020", "Sat 04-11-2020")),
        *(
            (text, NOVEMBER)
            for text in ("Wed, 11 04 2020", "Mittwoch, 04.11.2020", "11/04/2020 (水)", "mer. 11/04/2020")
        ),
        ("Sat 11/04/2020 10:30 +0200", "2020-04-11T08:30:00Z"),
        ("10:30 PM, Sat 11/04/2020", "2020-04-11T22:30:00Z"),
        ("mar. 03/11/2020", "2020-11-03T00:00:00Z"),  # a Tuesday in French, and not March
        ("Fri 11/12/20", "2020-12-11T00:00:00Z"),
    ],
)
def test_a_weekday_tells_the_order_of_day_and_month(text: str, expected: str) -> None:
    assert at(text) == expected
    orders = {order: at(text, order=order) for order in ("day", "month")}
    told_order = order_of(text)
    assert told_order in orders
    assert {order for order, found in orders.items() if found == Fault.CONTRARY} == orders.keys() - {told_order}


def test_of_all_days_of_a_year_those_are_read_whose_weekday_is_that_of_one_reading() -> None:
    for day in (date.fromordinal(date(2026, 1, 1).toordinal() + number) for number in range(365)):
        other = date(2026, day.day, day.month) if day.day <= 12 else day
        name = f"{day:%A}"
        is_open = other != day and other.weekday() == day.weekday()
        for text in (f"{name}, {day:%d/%m/%Y}", f"{day:%m-%d-%Y} {name}"):
            assert at(text) == (Fault.AMBIGUOUS if is_open else f"{day}T00:00:00Z"), text


def test_where_the_weekday_is_that_of_no_reading_it_tells_nothing() -> None:
    for text in ("Mon, 11 04 2020", "Sunday 11/04/2020", "11/04/2020 (木)", "Sat Wed 11/04/2020"):
        assert at(text) == Fault.AMBIGUOUS
        assert order_of(text) is None
        assert (at(text, order="day"), at(text, order="month")) == (APRIL, NOVEMBER)
    assert at("Mon, 27/11/2020") == at("Mon, 11/27/2020") == "2020-11-27T00:00:00Z"  # a Friday, in one order alone
    assert at("Mon, 27/11/2020", order="month") == Fault.CONTRARY


@pytest.mark.parametrize("language", LANGUAGES)
def test_in_each_of_the_sixteen_languages(language: str) -> None:
    days = Locale.parse(language).days["format"]["wide"]
    tag = language.replace("_", "-")
    for text in (f"{days[5]} 11/04/2020", f"11/04/2020, {days[5]}"):
        assert at(text) == at(text, language=tag) == APRIL
    assert at(f"{days[2]} 11/04/2020") == at(f"{days[2]} 11/04/2020", language=tag) == NOVEMBER


def test_in_a_file_it_tells_the_order_of_all_dates_and_contradicts_another(tmp_path: Path) -> None:
    found, tally = told(
        write(tmp_path / "a.csv", "title;date\nOne;03.05.2020\nTwo;Sat, 11.04.2020\nThree;01.02.2020\n")
    )
    assert [iso_time(row.headline.published_at)[:10] for row in rows(found)] == [
        "2020-05-03",
        "2020-04-11",
        "2020-02-01",
    ]
    assert any("have the day first" in note for note in tally.notes)
    undated, _ = told(write(tmp_path / "b.csv", "title;date\nOne;03.05.2020\nTwo;Mon, 11.04.2020\n"), undated=True)
    assert [row.published for row in rows(undated)] == [False, False]


def test_in_messages_too() -> None:
    for text, unread in (("Sat, 11/04/2020", ()), ("Mon, 11/04/2020", ("published_at",))):
        (item,) = items({"title": "One", "date": text})
        assert item.unread == unread
        assert item.headline is not None
        assert (iso_time(item.headline.published_at) == APRIL) == (not unread)
