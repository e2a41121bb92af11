"""What newstide counts, under the names that Prometheus, the dashboard and the alert rules know.

Each service has a registry of its own. What is recorded is handed in: no room needs to know this module.
"""

import time
from collections.abc import Mapping, Sequence
from threading import Lock
from typing import TYPE_CHECKING

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
)

if TYPE_CHECKING:
    from clustering.run.report import RunReport
    from consumers.tally import Tally
    from newstide_app.watch.outbox import TargetState

_BATCH_SECONDS = (0.001, 0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_RUN_SECONDS = (0.05, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 900, 1800, 3600)
_WAITED_FOR = ("Kafka", "Milvus", "the model")
_RUN_STATUS = ("finished", "nothing new", "no headlines", "failed", "standing by")


def make_registry(service: str, version: str) -> CollectorRegistry:
    """A registry that tells of the process (memory, CPU, open files) and of newstide's version."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    Info("newstide_build", "What runs here.", registry=registry).info({"version": version, "service": service})
    return registry


class ServerMetrics:
    """Whether Kafka and Milvus answer, as this service sees them, and how far behind the consumers are."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._reachable = Gauge(
            "newstide_reachable", "1 while the server answers this service.", ["server"], registry=registry
        )
        self._lag = Gauge(
            "newstide_lag", "Messages that can be read and are not done with.", ["partition"], registry=registry
        )
        self._held_back = Gauge(
            "newstide_held_back", "Messages that wait for a transaction's end.", ["partition"], registry=registry
        )

    def server(self, name: str, *, answers: bool) -> None:
        """`kafka` or `milvus` did, or did not, answer just now."""
        self._reachable.labels(name).set(int(answers))

    def held_back(self, by_partition: Mapping[int, int]) -> None:
        """How many messages of each partition wait for the end of a transaction."""
        self._held_back.clear()
        for partition, messages in by_partition.items():
            self._held_back.labels(str(partition)).set(messages)

    def lag(self, by_partition: Mapping[int, int]) -> None:
        """How many headlines of each partition the group has not committed; partitions that are gone are forgotten."""
        self._lag.clear()
        for partition, behind in by_partition.items():
            self._lag.labels(str(partition)).set(behind)


class ConsumerMetrics:
    """From topic to Milvus. `record` is given the running totals, and counts what has been added."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, what: str) -> Counter:
            return Counter(f"newstide_{name}", what, registry=registry)

        self._counters = {
            "read": counter("messages_read", "Of them, those with at least one headline that was taken."),
            "tombstones": counter("messages_without_value", "Of them, those without a value (Kafka's tombstones)."),
            "skipped": counter("messages_skipped", "Of them, those that `newstide dead-letters skip` passed over."),
            "headlines": counter("headlines", "Headlines in the messages that were read."),
            "stored": counter("headlines_stored", "Headlines that Milvus acknowledged."),
            "duplicates": counter("duplicates", "Headlines whose id was there already."),
            "dead_letters": counter("dead_letters", "Messages of which nothing was taken: they are dead letters."),
            "edits": counter("edits", "Headlines whose id and url were there with another title; the first stays."),
            "refused": counter("headlines_refused", "Elements of arrays that are dead letters without the others."),
            "clashes": counter("id_clashes", "Headlines stored under an id of their own, as another has theirs."),
            "lost": counter("messages_lost", "Messages that the topic's retention removed before they were read."),
            "new_topics": counter("topics_made_anew", "Times that the topic was found made anew under its name."),
            "taken_down": counter("tombstoned", "Headlines that a tombstone keeps out."),
            "ahead": counter("times_ahead", "Headlines dated more than an hour ahead, redated."),
            "provisional": counter("provisional_labels", "Headlines stored with the label of a story."),
            "unreadable": counter("headlines_unreadable", "Headlines stored whose script the model cannot read."),
            # The last: whoever reads that messages are done with finds all that became of them.
            "messages": counter("messages", "Messages of the topic of headlines that are done with."),
        }
        self._seconds = Histogram(
            "newstide_batch_seconds",
            "Time a batch takes, by stage.",
            ["stage"],
            buckets=_BATCH_SECONDS,
            registry=registry,
        )
        self._by_name = {
            "unread": Counter(
                "newstide_values_unread",
                "Values that could not be read and were left out.",
                ["field"],
                registry=registry,
            ),
            "unknown": Counter(
                "newstide_fields_unknown",
                "Fields of messages that nothing is taken from.",
                ["field"],
                registry=registry,
            ),
        }
        self._unreadable = Gauge(
            "newstide_unreadable",
            "Messages that wait behind a batch that cannot be read.",
            ["partition"],
            registry=registry,
        )
        self._waiting = Gauge("newstide_waiting", "1 while a batch waits for it.", ["what"], registry=registry)
        for what in _WAITED_FOR:
            self._waiting.labels(what)
        self._progress = _now_gauge(registry)
        self._known: dict[str, int] = {}
        self._known_names: dict[tuple[str, str], int] = {}
        self._known_seconds: dict[str, float] = {}
        self._lock = Lock()

    def record(self, counts: "Tally") -> None:
        """Takes over what has been added since the last call; safe to call after every poll."""
        with self._lock:
            for name, counter in self._counters.items():
                now = int(getattr(counts, name))
                if now > self._known.get(name, 0):
                    self._progress.set(time.time())
                    counter.inc(now - self._known.get(name, 0))
                    self._known[name] = now
            for name, by_field in self._by_name.items():
                for field, now in list(getattr(counts, name).items()):
                    self._add(name, by_field, field, now)
            self._unreadable.clear()
            for partition, behind in list(counts.waiting.items()):
                self._unreadable.labels(str(partition)).set(behind)
            for what in _WAITED_FOR:
                self._waiting.labels(what).set(counts.waits is not None and counts.waits[0] == what)
            for stage, seconds in list(counts.seconds.items()):
                spent = seconds - self._known_seconds.get(stage, 0.0)
                if spent > 0:
                    self._seconds.labels(stage).observe(spent)
                    self._known_seconds[stage] = seconds

    def _add(self, name: str, counter: Counter, field: str, now: int) -> None:
        before = self._known_names.get((name, field), 0)
        if now > before:
            counter.labels(field).inc(now - before)
            self._known_names[name, field] = now


def _now_gauge(registry: CollectorRegistry) -> Gauge:
    """When messages were last done with, which is now, as the service begins."""
    what = "When messages were last done with, or the service began; epoch seconds."
    progress = Gauge("newstide_last_progress_timestamp_seconds", what, registry=registry)
    progress.set(time.time())
    return progress


class RunMetrics:
    """What runs did: figures of the last one, and counts of all."""

    def __init__(self, registry: CollectorRegistry, *, with_pages: bool = True) -> None:
        def gauge(name: str, what: str) -> Gauge:
            return Gauge(f"newstide_{name}", what, registry=registry)

        self._told = False
        self._with_pages = with_pages
        self._runs = Counter("newstide_runs", "Ticks by what became of them.", ["status"], registry=registry)
        for status in _RUN_STATUS:
            self._runs.labels(status)
        self._seconds = Histogram(
            "newstide_run_seconds", "Time a run takes, by step.", ["step"], buckets=_RUN_SECONDS, registry=registry
        )
        self._events = Counter("newstide_story_events", "Events of stories.", ["kind"], registry=registry)
        self._number = gauge("run_number", "The last run's number.")
        self._last = gauge("last_run_timestamp_seconds", "When the last run finished, epoch seconds.")
        self._success = gauge(
            "last_success_timestamp_seconds", "When a tick last went well, also with nothing new; epoch seconds."
        )
        self._rows = gauge("window_headlines", "Headlines in the last run's window.")
        self._new = gauge("new_headlines", "Of them, those no run had seen.")
        self._stories = gauge("stories", "Stories (clusters) in the last run's window.")
        self._noise = gauge("noise_share", "Share of the window's headlines in no story.")
        self._arrivals = gauge("arrival_labels_kept_ratio", "Share of labels on arrival that the last run kept.")
        self._churn = gauge("label_churn", "Share of headlines seen before whose label the last run changed.")
        self._page = gauge("page_written", "1 unless the last run's page could not be written.")
        self._page.set(1)
        self._recall = gauge("graph_recall", "Share of true neighbours in sampled lists; 1 where search is exact.")

    def finished(self, report: "RunReport") -> None:
        """A tick ended well: a run, or a reason for none."""
        now = time.time()
        self._told = True
        self._runs.labels(report.status).inc()
        self._success.set(now)
        self._number.set(report.run)
        if report.status != "finished":
            return
        self._last.set(now)
        self._page.set(bool(report.page) or not self._with_pages)
        self._rows.set(report.rows)
        self._new.set(report.new)
        self._stories.set(report.stories)
        self._noise.set(report.noise_share)
        self._churn.set(max(0, report.changed - report.new) / max(1, report.rows - report.new))
        if report.arrivals_kept is not None:  # else no headline had a label on arrival: the last figure stays
            self._arrivals.set(report.arrivals_kept)
        if report.recall is not None or report.searcher == "exact":  # else no list was checked: the last figure stays
            self._recall.set(1.0 if report.recall is None else report.recall)
        for step, seconds in report.seconds.items():
            self._seconds.labels(step).observe(seconds)
        for kind, count in report.events.items():
            self._events.labels(kind).inc(count)

    def found(self, run: int, finished_at: float) -> None:
        """What the last run was before this process began: its number, and when it finished (epoch seconds)."""
        if not self._told:  # a run may have been quicker than whoever asks
            self._number.set(run)
            self._last.set(finished_at)
            self._success.set(finished_at)

    def failed(self) -> None:
        """A run failed."""
        self._runs.labels("failed").inc()

    def stood_by(self) -> None:
        """Another reclusterer was at work."""
        self._runs.labels("standing by").inc()


class FeedMetrics:
    """What was read from feeds."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._read = Counter("newstide_feed_entries", "New entries read from feeds.", registry=registry)
        self._rejected = Counter("newstide_feed_rejects", "Of them, those that are no headlines.", registry=registry)
        self._polls = Counter(
            "newstide_feed_polls", "Looks at feeds, by how they went.", ["outcome"], registry=registry
        )
        for outcome in ("well", "failed"):
            self._polls.labels(outcome)
        self._failing = Gauge("newstide_feeds_failing", "Feeds whose last look failed.", registry=registry)

    def polled(self, *, well: bool, read: int, rejected: int, failing: int) -> None:
        """A feed was looked at: what the look added, and how many feeds fail now."""
        self._polls.labels("well" if well else "failed").inc()
        self._read.inc(read)
        self._rejected.inc(rejected)
        self._failing.set(failing)


class WatchMetrics:
    """What watches were told of, and how their targets fare."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, what: str, labels: Sequence[str] = ()) -> Counter:
            return Counter(f"newstide_watch_{name}", what, labels, registry=registry)

        def gauge(name: str, what: str) -> Gauge:
            return Gauge(f"newstide_watch_{name}", what, ["target"], registry=registry)

        self._events = counter("events", "Events of stories that were read.")
        self._quiet = counter("events_quiet", "Of them, those of a run that alerts nobody.")
        self._unreadable = counter("events_unreadable", "Messages of the topic that are no events.")
        self._matched = counter("matches", "Events that a watch matches, by what became of them.", ["watch", "outcome"])
        self._tries = counter("deliveries", "Tries to deliver, by how they went.", ["target", "outcome"])
        self._seconds = Histogram(
            "newstide_watch_delivery_seconds",
            "From an event's time to its delivery.",
            buckets=_RUN_SECONDS,
            registry=registry,
        )
        self._waiting = gauge("waiting", "Messages that wait for a target.")
        self._failing = gauge("target_failing", "1 while the last delivery to a target failed.")
        self._dropped = gauge("dropped", "Messages that a target's full queue has dropped, ever.")

    def read(self, events: int, quiet: int) -> None:
        """Events were read, so many of them of runs that alert nobody."""
        self._events.inc(events)
        self._quiet.inc(quiet)

    def unreadable(self) -> None:
        """A message is no event."""
        self._unreadable.inc()

    def matched(self, watch: str, outcome: str) -> None:
        """A watch matched an event: it is `queued`, `held` for a digest, `told` before, or `known`."""
        self._matched.labels(watch, outcome).inc()

    def tried(self, target: str, outcome: str, seconds: float) -> None:
        """A delivery was tried: it is `delivered`, so many seconds after the event, `failed` or `refused`."""
        self._tries.labels(target, outcome).inc()
        if outcome == "delivered":
            self._seconds.observe(seconds)

    def targets(self, states: Mapping[str, "TargetState"]) -> None:
        """How targets fare now."""
        for name, state in states.items():
            self._waiting.labels(name).set(state.waiting)
            self._failing.labels(name).set(state.failing_since is not None)
            self._dropped.labels(name).set(state.dropped)


def every_name() -> set[str]:
    """The names of all series that any service exposes: what a dashboard or an alert rule may ask for."""
    registry = make_registry("", "")
    for kind in (ServerMetrics, ConsumerMetrics, RunMetrics, FeedMetrics, WatchMetrics):
        kind(registry)
    names = {"up"}  # Prometheus' own: whether a service could be asked
    for family in registry.collect():
        suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"], "info": ["_info"]}
        names.update(family.name + suffix for suffix in suffixes.get(family.type, [""]))
    return names
