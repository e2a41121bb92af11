"""How long it takes from an event to its delivery: `python -m benchmarks.watches`.

The real service, a real Kafka, and a webhook on this machine. Events come in bursts, as runs send them; an event's time is
when its run decided, which here is when it is sent. The bar: 95 of 100 within 2 s.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from newstide.core.settings import MonitoringSettings, Settings
from newstide.kafka.local_broker import LocalKafka
from newstide.kafka.topics import ensure_topics
from tests.harness.services import Service
from tests.harness.watching import Receiver, made_event, receiving, send_events, until

BAR = 2.0  # seconds


def main() -> int:
    """Measures, prints, and returns 1 where the bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bursts", type=int, default=10)
    parser.add_argument("--events", type=int, default=100, help="of a burst")
    parser.add_argument("--every", type=float, default=2.0, help="seconds between bursts")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, receiving() as hook:
        base = Settings(data_dir=Path(folder), monitoring=MonitoringSettings(port=0))
        with LocalKafka(Path(folder) / "kafka", base.cache_dir, port=0) as kafka:
            settings = base.updated(
                kafka={"bootstrap_servers": kafka.bootstrap_servers},
                watch=({"name": "all", "webhook": [{"url": hook.address}], "most_an_hour": 1_000_000},),
            )
            hook.key = ""
            ensure_topics(settings.kafka)
            service = Service("watch", settings, ["watch"])
            try:
                service.keep_up()
                until("the service watches", lambda: '"watching"' in (settings.data_dir / "watch.log").read_text())
                found = _measure(settings, hook, asked)
            finally:
                service.stop()
    print(json.dumps(found, indent=2))
    return int(found["p95"] > BAR)


def _measure(settings: Settings, hook: Receiver, asked: argparse.Namespace) -> dict[str, float]:
    sent: dict[str, float] = {}
    for burst in range(asked.bursts):
        moment = time.time()
        events = [made_event(burst * asked.events + n, run=burst, at=int(moment * 1000)) for n in range(asked.events)]
        sent.update({str(event["id"]): moment for event in events})
        send_events(settings.kafka, events)
        time.sleep(max(0.0, moment + asked.every - time.time()))
    until("all are delivered", lambda: len(hook.taken) >= len(sent))
    waits = np.array([at - sent[str(one["id"])] for one, at in zip(hook.taken, hook.at, strict=True)])
    p50, p95 = np.percentile(waits, [50, 95])
    return {"events": len(waits), "p50": round(p50, 3), "p95": round(p95, 3), "longest": round(float(waits.max()), 3)}


if __name__ == "__main__":
    sys.exit(main())
