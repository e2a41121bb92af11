"""What of a headline becomes its vector, and that vectors of two ways are never mixed."""

from collections.abc import Sequence
from typing import get_args

import numpy as np
import numpy.typing as npt
import pytest

from newstide.core.errors import ModelMismatch, SchemaMismatch
from newstide.core.headline import Headline
from newstide.core.setting_types import EmbeddedText
from newstide.core.settings import DEFAULT_TEXT, EmbeddingSettings
from newstide.embedding import ModelCard, load_embedder
from newstide.embedding.headlines import embed, embed_headlines, with_text
from newstide.milvus import aliases, schema
from tests.harness.hashing import DIM, Hashing

CARD = ModelCard("a-model", DIM, "0123456789abcdef" * 2)
TITLES = ["Harbour fire", "Rates held", "Harbour fire", "Ferry sails"]
DESCRIPTIONS = ["Nobody was hurt.", "", "Two ships burnt.", ""]
TEXTS = ["Harbour fire\nNobody was hurt.", "Rates held", "Harbour fire\nTwo ships burnt.", "Ferry sails"]


class Counting(Hashing):
    """Counts the texts that it embeds, by call."""

    def __init__(self, way: EmbeddedText) -> None:
        super().__init__()
        self.card = with_text(CARD, way)
        self.calls: list[int] = []

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        self.calls.append(len(texts))
        return super().encode(texts)


def test_a_vector_is_the_normalised_sum_of_the_titles_and_half_as_much_again_of_the_title_with_the_description() -> (
    None
):
    model = Counting("both")
    found = embed(model, TITLES, DESCRIPTIONS)
    sums = Hashing().encode(TITLES) + 1.5 * Hashing().encode(TEXTS)
    np.testing.assert_allclose(found, sums / np.linalg.norm(sums, axis=1, keepdims=True), atol=1e-6)
    assert found.dtype == np.float32
    assert found[[1, 3]].tolist() == Hashing().encode(["Rates held", "Ferry sails"]).tolist(), "bit for bit the title's"


def test_a_description_costs_one_more_text_and_copies_of_a_title_cost_none() -> None:
    model = Counting("both")
    embed(model, TITLES, DESCRIPTIONS)
    assert model.calls == [3 + 2], "three titles, one of them twice, and two of them with a description"
    embed(model, TITLES, [""] * len(TITLES))
    assert model.calls[1:] == [3]


def test_the_other_ways_embed_one_text_a_headline_as_before() -> None:
    for way, texts in (("title", TITLES), ("title+description", TEXTS)):
        model = Counting(way)  # type: ignore[arg-type]
        assert embed(model, TITLES, DESCRIPTIONS).tolist() == Hashing().encode(texts).tolist()
        assert model.calls == [len(TITLES)]


@pytest.mark.parametrize("way", get_args(EmbeddedText))
def test_no_headlines_make_no_vectors(way: EmbeddedText) -> None:
    assert load_embedder(EmbeddingSettings(model="use-multilingual", text=way)).card.text == way

    class Nothing(Hashing):
        card = with_text(CARD, way)

        def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
            return np.empty((0, DIM), np.float32) if not len(texts) else super().encode(texts)

    found = embed(Nothing(), [], [])
    assert found.shape == (0, DIM)
    assert found.dtype == np.float32


def test_a_title_and_a_description_that_cancel_out_leave_the_title() -> None:
    class Opposite(Hashing):
        card = with_text(CARD, "both")

        def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
            return np.array([[-2 / 3 if "\n" in text else 1.0, 0.0] for text in texts], np.float32)

    assert embed(Opposite(), ["A"], ["B"]).tolist() == [[1, 0]]


def test_a_headline_is_embedded_without_its_outlets_name() -> None:
    model = Counting("both")
    bare = Headline("1", "Ferry sails again", 0, "All day.")
    named = bare._replace(title="Ferry sails again - Orvane Post", source="Orvane Post")
    assert embed_headlines(model, [named]).tolist() == embed_headlines(model, [bare]).tolist()


def test_the_vector_of_a_headline_does_not_depend_on_the_others_of_its_batch() -> None:
    model = load_embedder(EmbeddingSettings(model="use-multilingual", text="both"))
    together = embed(model, TITLES, DESCRIPTIONS)
    for at in range(len(TITLES)):
        alone = embed(model, TITLES[at : at + 1], DESCRIPTIONS[at : at + 1])
        np.testing.assert_allclose(together[at], alone[0], atol=1e-5)


def test_the_fingerprint_names_the_way_and_that_of_earlier_collections_is_the_weights_alone() -> None:
    cards = {way: with_text(CARD, way) for way in get_args(EmbeddedText)}
    assert cards["title+description"] == CARD
    assert len({card.fingerprint for card in cards.values()}) == 3
    assert len({aliases.suffix_of(card) for card in cards.values()}) == 3
    assert {len(card.fingerprint) for card in cards.values()} == {len(CARD.fingerprint)}
    model = load_embedder(EmbeddingSettings(model="use-multilingual"))
    assert model.card.text == DEFAULT_TEXT == "both"
    assert model.card != load_embedder(EmbeddingSettings(model="use-multilingual", text="title+description")).card


def test_a_collection_says_what_was_embedded_and_an_earlier_one_that_says_nothing_holds_both_in_one_text() -> None:
    for way in get_args(EmbeddedText):
        card = with_text(CARD, way)
        assert schema.card_of(schema.properties(card)) == card
        assert schema.card_of(schema.properties(card)).text == way
    earlier = {name: value for name, value in schema.properties(CARD).items() if name != "newstide.text"}
    assert schema.card_of(earlier).text == "title+description"
    with pytest.raises(SchemaMismatch, match="the text 'summary', which this newstide does not know"):
        schema.card_of({**earlier, "newstide.text": "summary"})


def test_vectors_of_another_text_are_refused_with_the_way_out() -> None:
    with pytest.raises(ModelMismatch, match=r"'headlines' holds vectors of 'title\+description'.*'both'") as caught:
        schema.require_same_model(CARD, with_text(CARD, "both"), "headlines")
    assert "NEWSTIDE_EMBEDDING_TEXT=title+description" in caught.value.way_out
    assert "`newstide reembed --to a-model --text both`" in caught.value.way_out
