"""Filters from untrusted text: whatever the text says, it stays a value."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from newstide.milvus import Store
from newstide.milvus.filters import all_of, any_of, quote
from tests.harness.store_rows import headline_row

_PIECES = ['"', "'", "\\", "\n", "\r", "\t", " or 1==1", " and ", "id", "==", "[", "]", "{", "}", "%", "_", "$", "{x}",
           "\\n", "\\u0041", "\\\\", "//", "--", "#", "日本", "é", "🗞", "\u2028", "\u200d", " ", "a", "0"]  # fmt: skip
nasty = st.lists(
    st.sampled_from(_PIECES) | st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12
)
nasty_text = nasty.map("".join).filter(lambda text: 0 < len(text.encode()) <= 120)


@pytest.fixture(autouse=True)
def _bystander(store: Store) -> None:
    store.insert_headlines([headline_row("bystander", title="bystander")])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(nasty_text, min_size=1, max_size=8, unique=True))
def test_a_quoted_text_finds_the_rows_that_hold_it_and_no_other(store: Store, texts: list[str]) -> None:
    texts = [text for text in texts if text != "bystander"]
    store.insert_headlines([headline_row(text, title=text) for text in texts])
    assert store.known_ids(texts) == set(texts)
    for text in texts:
        assert store.headlines(f"title == {quote(text)}", ["id"])["id"].tolist() == [text]
        assert store.headlines(any_of("title", [text]), ["id"])["id"].tolist() == [text]
    assert sorted(store.headlines("", ["id"])["id"]) == sorted([*texts, "bystander"])
    store.delete_headlines(texts)
    assert store.headlines("", ["id"])["id"].tolist() == ["bystander"]


def test_an_id_that_is_a_filter_matches_nothing_else(store: Store) -> None:
    assert store.known_ids(['" or 1==1', '" or id != "']) == set()
    hostile = quote('" or id != "')
    assert store.count_headlines(f"id == {hostile}") == 0


def test_conditions_are_joined_and_empty_ones_left_out(store: Store) -> None:
    store.insert_headlines([headline_row(id_, published_at=time) for id_, time in (("a", 1), ("b", 2), ("c", 3))])
    where = all_of("published_at == 1 or published_at == 2", "", any_of("id", ["b", "c"]))
    assert store.headlines(where, ["id"])["id"].tolist() == ["b"]
    assert all_of("", "") == ""


def test_whole_numbers_are_matched_as_numbers(store: Store) -> None:
    assert store.headlines(any_of("published_at", [1_000, 5]), ["id"])["id"].tolist() == ["bystander"]
