"""One cleaning for every entrance: what harms and what is markup goes, what was meant stays."""

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newstide.core.text import clean, clean_formerly, clean_plain, is_no_title, reads_as_formerly


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Pell &amp; Orvane sign pact on &#8216;quiet&#8217; harbour", "Pell & Orvane sign pact on ‘quiet’ harbour"),
        ("AT&amp;amp;T &lt;b&gt;up&lt;/b&gt; 5&nbsp;%", "AT&T up 5 %"),
        ("Q&A, R&D; &c; x&notanentity; AT&T", "Q&A, R&D; &c; x&notanentity; AT&T"),
        ("<b>Marrow</b> lake<br/>freezes<p class='a>b'>early</p>", "Marrow lake freezes early"),
        ("H<sub>2</sub>O, un<em>believ</em>able", "H2O, unbelievable"),
        ("<INTC.O> rises; a < b; I <3 it; x<y>z; <velm>", "<INTC.O> rises; a < b; I <3 it; x<y>z; <velm>"),
        ("<![CDATA[Brindle dam holds]]>", "Brindle dam holds"),
        ("<script>alert('x')</script>Mill <!-- note --> sold<STYLE>b{}</STYLE>", "Mill sold"),
        ("b'Tessaly mine reopens'", "Tessaly mine reopens"),
        ('b"Quarnel\'s bridge shut"', "Quarnel's bridge shut"),
        (r"b'Caf\xc3\xa9 it\'s\n open'", "Café it's open"),
        ("b'unclosed", "b'unclosed"),
        ("Hafen\u00adbetriebs\u00adrat", "Hafenbetriebsrat"),
        ("\ufeffa\u200bb\u2060c\u200ed\u200fe", "abcde"),
        ("a\x00b\u202ec\ud800d\u2028e", "a b c d e"),
        ("👩\u200d🚒 می\u200cخواهم", "👩\u200d🚒 می\u200cخواهم"),
        ("a\u00ad\u0301", "á"),
        ("\u06dd12", "\u06dd12"),
    ],
)
def test_texts_are_cleaned_of_markup_and_of_what_is_invisible(text: str, expected: str) -> None:
    assert clean(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Put <script> at the end of the body, says Velm", "Put at the end of the body, says Velm"),
        ("The &lt;script&gt; tag turns thirty", "The tag turns thirty"),
        ("<style> tags considered harmful", "tags considered harmful"),
        ("Why x <!-- y works", "Why x <!-- y works"),
        ("Why x &lt;!-- y works", "Why x <!-- y works"),
        ("<!--", "<!--"),
        ("<SCRIPT src='a'> or <style media=x>, asks Velm", "or , asks Velm"),
        ("One <!-- note --> two <!-- three", "One two <!-- three"),
        ("One <script>a()</script> two <script> three", "One two three"),
        ("One <style>b{}</style > two <script> three <!-- four", "One two three <!-- four"),
        ("One <script> two </style> three", "One two three"),
        ("One <script><!-- two --> three", "One three"),
        ("One <!-- <script> two --> three </script> four", "One three four"),
    ],
)
def test_a_script_a_style_or_a_comment_that_is_not_closed_hides_nothing(text: str, expected: str) -> None:
    assert clean(text) == expected
    assert clean(expected) == expected


def test_characters_newer_than_the_interpreters_unicode_are_kept() -> None:
    newest = "\U0001fae9"  # of Unicode 16
    unknown = next(chr(code) for code in range(0x1FAFF, 0, -1) if unicodedata.category(chr(code)) == "Cn")
    assert clean(f"a{newest}{unknown}b") == f"a{newest}{unknown}b"
    assert clean("a\ufffeb\ufdd0c\U0010ffffd") == "a b c d"


pieces = st.sampled_from(
    ["&", "amp;", "&lt;", "&gt;", "<", ">", "b", "/", "'", '"', "b'", "\\x26", "\\", "#38;", "&#", "]]>", "<![CDATA[",
     "<!--", "-->", "<b>", "</b>", "<br>", "script", "<script>", "</script>", "<style>", "</style",
     "\u00ad", "\u200b", "\u202e", "\u0338", "\u037e", "e\u0301",
     "\n", " ", "\x00", "&#8203;", "&#x338;", "&nbsp;", "x", "\U0001fae9", "<a href=", "\u1100", "\u1161"]
)  # fmt: skip


@given(st.lists(pieces, max_size=30).map("".join) | st.text(max_size=60), st.booleans())
def test_what_is_cleaned_is_left_as_it_is(text: str, lines: bool) -> None:
    once = clean(text, lines=lines)
    assert clean(once, lines=lines) == once
    assert clean_plain(clean_plain(text)) == clean_plain(text)
    assert clean_plain(once, lines=lines) == once
    once.encode()


@given(st.lists(pieces, max_size=10).map("".join) | st.text(max_size=60))
def test_what_seems_to_be_read_as_before_is(text: str) -> None:
    if reads_as_formerly(text):
        assert clean(text) == clean_formerly(text)


@pytest.mark.parametrize(
    "piece",
    [
        "<a '",
        "<a ",
        "&amp;amp;",
        "<!--",
        "<script>",
        "<script ",
        "<style><!--",
        "--><!--",
        "</style>",
        "&#&#51;8;",
        "b'",
        "\\x",
        "<",
        "a\u0301",
        "<![CDATA[",
    ],
)
def test_hostile_markup_costs_no_time(piece: str) -> None:
    text = piece * (60_000 // len(piece))
    started = time.process_time()
    assert clean(clean(text)) == clean(text)
    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    "title",
    [
        "nan",
        "N/A",
        "[Removed]",
        "[Deleted]",
        "NULL",
        "(null)",
        "<None>",
        "#NAME?",
        "#REF!",
        "https://a.example/b",
        "www.a.example",
    ],
)
def test_what_stands_where_a_title_is_missing_is_none(title: str) -> None:
    assert is_no_title(title)


@pytest.mark.parametrize("title", ["Nan wins", "Removed", "See https://a.example", "5", "None of them"])
def test_short_titles_are_titles(title: str) -> None:
    assert not is_no_title(title)
