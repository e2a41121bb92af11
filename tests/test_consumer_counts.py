"""The order in which a consumer's counters are raised."""

import prometheus_client
import pytest
from prometheus_client import CollectorRegistry

from consumers.tally import Tally
from newstide_app.services.metrics import ConsumerMetrics


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
