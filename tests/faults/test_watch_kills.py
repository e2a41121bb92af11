"""The service of watches is killed again and again while events come in: none is missing, and doubles are explained."""

import random
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from newstide.core.settings import KafkaSettings, Settings
from newstide_app.watch.outbox import Outbox, outbox_file
from tests.harness.services import Service
from tests.harness.watching import KEY, made_event, receiving, send_events, until


@pytest.mark.parametrize(
    ("events", "kills"),
    [(100, 2), pytest.param(2_000, 20, marks=[pytest.mark.slow, pytest.mark.timeout(1200)])],
)
def test_no_alert_is_missing_after_kills_and_doubles_come_only_from_a_kill_between_answer_and_note(
    kafka_settings: KafkaSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, events: int, kills: int
) -> None:
    monkeypatch.setenv("WATCH_KEY", KEY)
    draw = random.Random(events)
    made = [made_event(story, run=3) for story in range(events)]
    with receiving() as hook:
        watch = {"name": "all", "webhook": [{"url": hook.address, "secret_env": "WATCH_KEY"}], "most_an_hour": 10**9}
        settings = Settings(
            data_dir=tmp_path,
            kafka=kafka_settings,
            watch=[watch],
            monitoring={"port": 0},
            watching={"longest_wait": "1s"},
        )
        service = Service("watch", settings, ["watch"])
        log = tmp_path / "watch.log"
        marks = [events * at // (kills + 1) for at in range(kills + 2)]
        open_ = 0  # kills that may have come between an answer and its note
        try:
            for number, (first, end) in enumerate(pairwise(marks)):
                service.keep_up()
                until("the service watches", lambda: log.read_text().count('"watching"') > number)  # noqa: B023
                before = len(hook.taken)
                send_events(kafka_settings, made[first:end])
                if number < kills:
                    wanted = before + draw.randrange(1, max(2, end - first))
                    until("some are told", lambda: len(hook.taken) >= wanted)  # noqa: B023
                    time.sleep(draw.random() * 0.01)
                    service.kill()
                    answered = set(hook.keys)
                    outbox = Outbox(outbox_file(tmp_path))
                    head = outbox.next("all/webhook")
                    open_ += head is not None and head.alert.key in answered
                    outbox.close()
            until("all are told", lambda: len(set(hook.keys)) == events)
            until("all are noted", lambda: Outbox(outbox_file(tmp_path)).next("all/webhook") is None)
        finally:
            service.stop()
    doubles = {key: count for key, count in Counter(hook.keys).items() if count > 1}
    assert sorted(str(one["id"]) for one in {str(one["key"]): one for one in hook.taken}.values()) == sorted(
        str(event["id"]) for event in made
    )
    assert hook.bad == []
    assert sum(doubles.values()) - len(doubles) <= open_ <= kills, (doubles, open_)
