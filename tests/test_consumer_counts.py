"""What a consumer counts: in which order, and each headline once."""

from collections import Counter
from types import SimpleNamespace
from typing import Any, cast

import prometheus_client
import pytest
from prometheus_client import CollectorRegistry

from consumers.messages import Item
from consumers.tally import Tally
from consumers.write import Outcome, Settled, Writer, headline_of
from newstide.core.headline import Headline
from newstide_app.services.metrics import ConsumerMetrics
from tests.test_messages import items as items_of


def test_whoever_sees_that_messages_are_done_with_finds_what_became_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    registry, seen = CollectorRegistry(), []
    metrics = ConsumerMetrics(registry)
    count = prometheus_client.Counter.inc

    def counted(self: prometheus_client.Counter, amount: float = 1, exemplar: dict[str, str] | None = None) -> None:
        count(self, amount, exemplar)
        seen.append([registry.get_sample_value(f"newstide_{name}_total") for name in ("messages", "headlines_stored")])

    monkeypatch.setattr(prometheus_client.Counter, "inc", counted)
    metrics.record(Tally(messages=3, read=3, headlines=3, stored=3))
    assert seen[-1] == [3, 3]
    assert all(stored == 3 for messages, stored in seen if messages)


def writer_to(held: dict[str, tuple[str, str]], monkeypatch: pytest.MonkeyPatch) -> Writer:
    """A writer to a Milvus that is this dictionary: title and url by id."""
    store = SimpleNamespace(
        tombstones=SimpleNamespace(blocks=lambda _: False),
        known_headlines=lambda ids: {id_: held[id_] for id_ in ids if id_ in held},
    )
    nothing: Any = SimpleNamespace(current=lambda: None)
    writer = Writer(
        store=cast("Any", store),
        embedder=nothing,
        batch_size=2,
        embedding=nothing,
        inserting=nothing,
        stories=nothing,
        stay=lambda: None,
        has=bool,
        stopping=bool,
    )

    def inserted(items: list[Item], *_: Any) -> list[Settled]:
        headlines = [headline_of(item) for item in items]
        held.update({headline.id: (headline.title, headline.url) for headline in headlines})
        writer._tried.update(headline.id for headline in headlines)
        return [Settled(item, Outcome.STORED) for item in items]

    monkeypatch.setattr(writer, "_embed_and_insert", inserted)
    monkeypatch.setattr(writer, "_warn_of_languages", lambda _: None)
    return writer


def test_a_headline_that_comes_twice_in_a_batch_of_parts_is_stored_once_however_often_the_batch_is_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    writer = writer_to({}, monkeypatch)
    parts = [
        [Item(object(), headline=Headline(name, f"Quay crane {name}", 1)) for name in part]
        for part in ("ab", "ac", "b")
    ]
    writer.begin()
    for _ in range(2):  # the second time as after an answer that was lost
        writer.again()
        settled = [one for part in parts for one in writer.write(part, Tally())]
        assert Counter(one.outcome for one in settled) == {Outcome.STORED: 3, Outcome.DUPLICATE: 2}


@pytest.mark.parametrize(
    "message",
    [
        *({"title": "Dam holds", "source": null} for null in ("NULL", "n/a", "None", "(null)", "-")),
        {"title": "Dam &amp; mill"},
        {"title": "So\u00adft"},
        {"title": "Dam holds", "source": "{'name': 'Velm'}"},
        {"title": "Dam holds", "url": "https://v.example/1, https://v.example/2"},
    ],
)
def test_a_message_that_an_earlier_version_stored_under_another_id_is_a_duplicate(
    message: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (item,) = items_of(message)
    assert item.former is not None
    former = item.former
    assert former.id != headline_of(item).id
    for title, outcome in ((former.title, Outcome.DUPLICATE), ("Another", Outcome.STORED)):
        writer = writer_to({former.id: (title, former.url)}, monkeypatch)
        writer.begin()
        assert [one.outcome for one in writer.write([item], Tally())] == [outcome]
        writer.again()
        assert [one.outcome for one in writer.write([item], Tally())] == [outcome]
