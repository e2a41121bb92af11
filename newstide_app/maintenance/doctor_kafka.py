"""What `newstide doctor` finds about Kafka: the broker, the topics, and the consumers."""

import time
from collections.abc import Iterable, Iterator

from newstide.kafka.client import admin_client
from newstide.kafka.lag import group_members, progress
from newstide.kafka.losses import losses
from newstide.kafka.topics import reachable
from newstide_app.maintenance.dead_letters import waiting
from newstide_app.maintenance.findings import Finding, Visit, span
from newstide_app.services.cards import figures_of, running_services

_STANDSTILL = 60.0  # seconds for which a consumer may do nothing while messages wait


def look_at_broker(visit: Visit) -> Iterator[Finding]:
    """Whether the broker answers."""
    kafka = visit.settings.kafka
    version = reachable(kafka)
    visit.kafka = True
    how = kafka.security_protocol + (
        f", {kafka.sasl_mechanism} as {kafka.sasl_username}" if kafka.sasl_mechanism else ""
    )
    yield Finding("Kafka", "ok", f"{kafka.bootstrap_servers}: {version}, {how}")


def look_at_topics(visit: Visit) -> Iterator[Finding]:
    """Whether the topics are there, with their partitions."""
    if not visit.kafka:
        return
    kafka = visit.settings.kafka
    with admin_client(kafka, 0) as admin:
        described = admin.describe_topics()
    visit.topics = {one["name"]: len(one["partitions"]) for one in described if not one["error_code"]}
    for name in (kafka.topic, kafka.dead_letter_topic, kafka.events_topic, kafka.lease_topic):
        partitions = visit.topics.get(name)
        if partitions is None:
            yield Finding(
                "topics",
                "warn",
                f"There is no topic {name} yet.",
                "`newstide consume` and `newstide produce` create it.",
            )
        elif name == kafka.lease_topic and partitions != 1:
            yield Finding(
                "topics",
                "fail",
                f"{name} has {partitions} partitions: several reclusterers would write at once.",
                "Delete that topic, or name another in kafka.lease_topic; it must have exactly one partition.",
            )
        elif name == kafka.topic and partitions < kafka.partitions:
            yield Finding(
                "topics",
                "warn",
                f"{name} has {partitions} partitions; kafka.partitions = {kafka.partitions} counts only for new topics.",
                f"kafka-topics --alter --topic {name} --partitions {kafka.partitions} lets more consumers share it.",
            )
        elif name == kafka.topic:
            yield Finding("topics", "ok", f"{name} has {partitions} partitions")


def look_at_group(visit: Visit) -> Iterator[Finding]:
    """Which consumers read the topic, and how many headlines wait for them."""
    kafka = visit.settings.kafka
    if kafka.topic not in visit.topics:
        return
    found = progress(kafka, kafka.group, patience=0)
    behind = visit.behind = sum(one.lag for one in found.values())
    # After `progress`, which waits for the coordinator that a new group has not got yet.
    members = visit.members = group_members(kafka, kafka.group, patience=0)
    who = f"members of the group {kafka.group}: {members}; {behind:,} headlines wait"
    if not members:
        yield Finding(
            "consumers",
            "warn",
            f"The group {kafka.group} has no members; {behind:,} headlines wait.",
            "Start `newstide consume`.",
        )
    elif members > visit.topics[kafka.topic]:
        idle = members - visit.topics[kafka.topic]
        yield Finding(
            "consumers", "warn", f"{who}; {idle} members have nothing to do", "Run at most one consumer a partition."
        )
    else:
        yield Finding("consumers", "ok", who)
    held = {number: one.held_back for number, one in found.items() if one.held_back}
    if held:
        yield Finding(
            "transactions",
            "warn",
            f"{sum(held.values()):,} messages wait for the end of a transaction in partition {_listed(held)}.",
            "A producer has not ended the transaction; `kafka-transactions.sh find-hanging` names the producer.",
        )


def look_at_losses(visit: Visit) -> Iterator[Finding]:
    """Messages that Kafka removed before a consumer read them."""
    kafka = visit.settings.kafka
    if kafka.topic not in visit.topics:
        return
    for partition, loss in sorted(losses(kafka, patience=0).items()):
        yield Finding(
            "lost messages",
            "warn",
            f"{loss.messages:,} messages of partition {partition} were removed before they were read, "
            f"{span(time.time() - loss.last_at)} ago.",
            "Raise the topic's retention.ms, or run more consumers; `newstide doctor --acknowledge-losses` ends this.",
        )


def look_at_figures(visit: Visit) -> Iterator[Finding]:
    """What the consumers on this machine report at /metrics."""
    consumers = [one for one in running_services(visit.settings.data_dir) if one["service"] == "consumer"]
    if visit.members and not consumers:
        yield Finding(
            "consumer's figures",
            "ok",
            "the consumers cannot be asked: they run elsewhere, on another data folder, or with monitoring.port = 0",
        )
    for one in consumers:
        figures = figures_of(one["address"])
        if figures is None:
            yield Finding(
                "consumer's figures", "warn", f"{one['address']}/metrics does not answer.", "See the consumer's log."
            )
            continue
        for partition, behind in sorted(figures.get("newstide_unreadable", {}).items()):
            yield Finding(
                "unreadable batch",
                "fail",
                f"Partition {partition} waits at a batch that cannot be read, with {behind:,.0f} messages behind it.",
                f"The consumer's log says why; `newstide dead-letters skip {partition}` passes over the batch.",
            )
        moved = max(figures.get("newstide_last_progress_timestamp_seconds", {}).values(), default=time.time())
        if visit.behind and time.time() - moved > _STANDSTILL:
            yield Finding(
                "consumer's figures",
                "warn",
                f"{visit.behind:,} messages wait, and the consumer has finished none for {span(time.time() - moved)}.",
                "The consumer's log says whether it waits for Milvus or the model.",
            )
        elif not figures.get("newstide_unreadable"):
            done = figures.get("newstide_messages_total", {}).get("", 0)
            yield Finding("consumer's figures", "ok", f"the consumer has finished {done:,.0f} messages since it began")


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(numbers)))


def look_at_dead_letters(visit: Visit) -> Iterator[Finding]:
    """Whether dead letters wait to be looked at."""
    kafka = visit.settings.kafka
    if kafka.dead_letter_topic not in visit.topics:
        return
    if number := waiting(kafka):
        yield Finding(
            "dead letters",
            "warn",
            f"{number:,} dead letters wait on {kafka.dead_letter_topic}.",
            "`newstide dead-letters list` says why; correct the producer, then run `newstide dead-letters replay`.",
        )
    else:
        yield Finding("dead letters", "ok", "no dead letters wait")
