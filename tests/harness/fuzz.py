"""Fuzzed messages through a real consumer: `python -m benchmarks.faults --fuzz 10000`; `tests/faults` runs fewer.

Hypothesis makes them from fixed seeds: good messages with bytes flipped, cut, doubled or put in, JSON of any shape, fields
of any kind, and bytes. They are sent in blocks, each beside a block of clean headlines of the same number. While a block
is sent the consumer is stopped (SIGSTOP), so that its rate is its own and not the sender's.
"""

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any
from urllib.request import ProxyHandler, build_opener

import psutil
from hypothesis import HealthCheck, Phase, given, seed
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.machine import machine_line
from newstide.core.headline import encode
from newstide.core.local_server import free_port
from newstide.core.settings import Settings
from newstide.kafka.producer import Sender
from newstide.kafka.topics import ensure_topics
from newstide_app.maintenance.dead_letters import letters
from tests.harness.services import Service, made_headlines, opened, until

SEED = 20_261_124
GROWTH_BAR = 40.0  # MiB of resident memory, from the end of the first round to the end of the last
SLOWER_BAR = 1.3  # times as long as clean messages may take
_ROUNDS = 3
_FIELDS = ("id", "title", "description", "source", "url", "language", "published_at")
_COUNTED = {
    "done": "newstide_messages_total",
    "read": "newstide_messages_read_total",
    "tombstones": "newstide_messages_without_value_total",
    "dead_letters": "newstide_dead_letters_total",
    "headlines": "newstide_headlines_total",
    "rows": "newstide_headlines_stored_total",
    "duplicates": "newstide_duplicates_total",
    "edits": "newstide_edits_total",
    "refused": "newstide_headlines_refused_total",
}
_KINDS = (
    *("is not UTF-8", "is not JSON", "an object", "nested", "no value", "title", "bytes; ", "time", "id"),
    "other",
)

Message = tuple[bytes | None, bytes | None]  # key, value


def messages(number: int) -> list[Message]:
    """So many fuzzed messages, the same each time."""
    made: list[Message] = []
    at = 0
    while len(made) < number:
        made.extend(_some(min(1_000, number - len(made)), SEED + at))
        at += 1
    return made[:number]


def _some(number: int, seed_: int) -> list[Message]:
    made: list[Message] = []

    @seed(seed_)
    @hypothesis_settings(
        max_examples=number,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.tuples(st.none() | st.binary(max_size=20), _values()))
    def collect(message: Message) -> None:
        made.append(message)

    collect()
    return made


def _values() -> st.SearchStrategy[bytes | None]:
    text = st.text(max_size=40) | st.sampled_from(
        [
            "",
            '" or 1==1',
            "<script>alert(1)</script>",
            "\u202eevil",
            "\x00",
            "javascript:alert(1)",
            "http://[",
            "e\u0301" * 9,
        ]
    )
    scalar = st.none() | st.booleans() | st.integers() | st.floats() | text
    anything = st.recursive(
        scalar, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4), max_leaves=8
    )
    times = st.sampled_from(["2099-01-01T00:00:00Z", "soon", -1, 4_102_444_800_000, 1e300, "2026-02-30"])
    shaped = st.fixed_dictionaries(
        {"title": text | anything},
        optional={name: times if name == "published_at" else scalar for name in _FIELDS[:1] + _FIELDS[2:]},
    )
    good = st.integers(0, 400).map(lambda at: encode(made_headlines_once()[at]))
    deep = st.sampled_from(
        [b"[" * 5_000, b'{"title":' * 800, b'{"title":"' + b"x" * 70_000 + b'"}', b"\xff\xfe", b"", None]
    )
    return st.one_of(
        good,
        st.tuples(good, st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 7)), min_size=1, max_size=4)).map(
            _flipped
        ),
        st.tuples(good, st.integers(0, 10_000)).map(lambda pair: pair[0][: pair[1] % len(pair[0])]),
        st.tuples(good, st.integers(0, 10_000), st.binary(max_size=8)).map(_put_in),
        good.map(lambda value: value + value),
        shaped.map(lambda fields: json.dumps(fields).encode()),
        anything.map(lambda found: json.dumps(found).encode()),
        st.binary(max_size=60),
        deep,
    )


_good: list[Any] = []


def made_headlines_once() -> list[Any]:
    """The good headlines that are damaged."""
    if not _good:
        _good.extend(made_headlines(401, mark="g"))
    return _good


def _flipped(pair: tuple[bytes, list[tuple[int, int]]]) -> bytes:
    value = bytearray(pair[0])
    for at, bit in pair[1]:
        value[at % len(value)] ^= 1 << bit
    return bytes(value)


def _put_in(triple: tuple[bytes, int, bytes]) -> bytes:
    value, at, more = triple
    at %= len(value)
    return value[:at] + more + value[at:]


def run(number: int, settings: Settings) -> dict[str, Any]:
    """Sends so many fuzzed messages and as many clean ones through `newstide consume`.

    Args:
        number: Of fuzzed messages.
        settings: With a Kafka and a Milvus that nobody else uses.

    Returns:
        Counts of the fuzzed messages, the rates of both, and how the consumer's memory grew; `wrong` judges them.
    """
    settings = settings.updated(monitoring={"port": free_port()})
    ensure_topics(settings.kafka)
    fuzzed = messages(number)
    clean: list[Message] = [(line.id.encode(), encode(line)) for line in made_headlines(number + 200, mark="c")]
    consumer = Service("consumer", settings)
    consumer.keep_up()
    try:
        consumer.wait_until_ready()
        _through(settings, consumer, clean[number:])  # warm
        seconds = {"clean": 0.0, "fuzzed": 0.0}
        counts: Counter[str] = Counter()
        memory = []
        for at in range(_ROUNDS):
            first, end = number * at // _ROUNDS, number * (at + 1) // _ROUNDS
            seconds["clean"] += _through(settings, consumer, clean[first:end])
            before = _counted(settings)
            seconds["fuzzed"] += _through(settings, consumer, fuzzed[first:end])
            counts.update(_counted(settings) - before)
            assert consumer.pid is not None
            memory.append(psutil.Process(consumer.pid).memory_info().rss / 2**20)
    finally:
        code = consumer.stop()
    with opened(settings) as store:
        rows = store.headlines("", ["id"])["id"]
    there = list(letters(settings.kafka))
    found = [letter.reason for letter in there]
    return {
        "messages": number,
        "seed": SEED,
        **{name: counts[name] for name in _COUNTED},
        "rows_in_milvus": len(rows) - len(clean),
        "ids_twice": int(rows.duplicated().sum()),
        "letters": len(found),
        "whole_letters": sum(not letter.places for letter in there),  # the others are of arrays that were read
        "letters_without_reason": sum(not reason for reason in found),
        "reasons": dict(Counter(next((kind for kind in _KINDS if kind in reason), "other") for reason in found)),
        "clean_per_second": number / seconds["clean"],
        "fuzzed_per_second": number / seconds["fuzzed"],
        "memory_mb": memory,
        "exit_code": code,
    }


def wrong(result: dict[str, Any], *, measured: bool = True) -> list[str]:
    """A sentence for whatever is not as it should be; without `measured`, memory and rates are not looked at."""
    checks = {
        "not every message was read": result["done"] != result["messages"],
        "read + tombstones + dead letters are not the messages": result["read"]
        + result["tombstones"]
        + result["dead_letters"]
        != result["messages"],
        "rows + duplicates + edits + refused are not the headlines": result["rows"]
        + result["duplicates"]
        + result["edits"]
        + result["refused"]
        != result["headlines"],
        "the rows counted are not those in Milvus": result["rows"] != result["rows_in_milvus"],
        "an id is there twice": result["ids_twice"] > 0,
        "the dead letters counted are not those in the topic": result["dead_letters"] != result["whole_letters"],
        "a dead letter has no reason": result["letters_without_reason"] > 0,
        "memory grew": measured and result["memory_mb"][-1] - result["memory_mb"][0] > GROWTH_BAR,
        "fuzzed messages are slower": measured
        and result["clean_per_second"] > result["fuzzed_per_second"] * SLOWER_BAR,
        "the consumer did not end in order": result["exit_code"] != 0,
    }
    return [sentence for sentence, holds in checks.items() if holds]


def figures(result: dict[str, Any], card: dict[str, Any]) -> str:
    """The result as Markdown."""
    kinds = ", ".join(
        f"{count:,} “{kind}”" for kind, count in sorted(result["reasons"].items(), key=lambda one: -one[1])
    )
    rows = {
        "fuzzed messages": f"{result['messages']:,}",
        "read + tombstones + dead letters": f"{result['read']:,} + {result['tombstones']:,} + {result['dead_letters']:,}",
        "rows + duplicates + edits + refused": " + ".join(
            f"{result[name]:,}" for name in ("rows", "duplicates", "edits", "refused")
        ),
        "ids twice": result["ids_twice"],
        "dead letters without a reason": result["letters_without_reason"],
        "words of the reasons": kinds,
        "messages a second, fuzzed; clean": "; ".join(
            f"{result[f'{kind}_per_second']:,.0f}" for kind in ("fuzzed", "clean")
        ),
        "the consumer's memory after each third": ", ".join(
            f"{megabytes:,.0f} MB" for megabytes in result["memory_mb"]
        ),
        "what is wrong": "; ".join(wrong(result)) or "nothing",
    }
    lines = [f"| {name} | {value} |" for name, value in rows.items()]
    where = machine_line(card)
    return "\n".join(["| what | figure |", "|---|---|", *lines, "", where])


def _through(settings: Settings, consumer: Service, block: Sequence[Message]) -> float:
    """Seconds from the consumer's going on to its being done with the block, whatever each message became."""
    assert consumer.pid is not None
    wanted = _counted(settings)["done"] + len(block)
    os.kill(consumer.pid, signal.SIGSTOP)
    try:
        sender = Sender(settings.kafka)
        for key, value in block:
            sender.send(settings.kafka.topic, key=key, value=value)
        sender.flush()
        sender.close()
    finally:
        os.kill(consumer.pid, signal.SIGCONT)
    started = time.monotonic()

    def done() -> int:
        try:
            return _counted(settings)["done"]
        except OSError:  # it has ended, as `until` notices
            return 0

    until("the block is done", lambda: done() >= wanted, every=0.02, of=consumer, alive=True)
    return time.monotonic() - started


def _counted(settings: Settings) -> Counter[str]:
    """What the consumer has counted so far, from its metrics."""
    address = f"http://127.0.0.1:{settings.monitoring.port}/metrics"
    with build_opener(ProxyHandler({})).open(address, timeout=20) as answer:
        text = answer.read().decode()
    samples = {
        sample.name: sample.value for family in text_string_to_metric_families(text) for sample in family.samples
    }
    return Counter({name: int(samples.get(metric, 0)) for name, metric in _COUNTED.items()})
