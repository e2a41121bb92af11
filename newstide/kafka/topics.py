"""The topics that newstide uses, and the version of the Kafka that answers."""

from typing import Any

from kafka.errors import TopicAlreadyExistsError, for_code

from newstide.core import logs
from newstide.core.errors import BrokerUnavailable
from newstide.core.settings import KafkaSettings
from newstide.kafka import patches
from newstide.kafka.client import admin_client

# A dead letter is the original message with headers on top: it may be a little larger than Kafka's usual 1 MiB.
MAX_MESSAGE_BYTES = 2 * 1024 * 1024
# Brokers since 4.0 refuse messages dated more than an hour ahead of the broker's clock: a service whose clock is wrong
# could send neither event nor dead letter, and would wait for ever. A headline's timestamp is its sender's.
_BY_BROKERS_CLOCK = {"message.timestamp.type": "LogAppendTime"}

log = logs.get("kafka")


def ensure_topics(settings: KafkaSettings, timeout: float = 60.0) -> None:
    """Makes the topics that are missing and waits until they can be used; those that exist are left as they are.

    Args:
        settings: Names, partitions, replication, retention of dead letters.
        timeout: Seconds to wait for a broker that is still starting.

    Raises:
        BrokerUnavailable: Kafka was not reachable in time, or refuses.
    """
    wanted = {
        settings.topic: _topic(settings, settings.partitions),
        settings.dead_letter_topic: _topic(
            settings,
            settings.partitions,
            {
                **_BY_BROKERS_CLOCK,
                "retention.ms": str(int(settings.dead_letter_retention.total_seconds() * 1000)),
                "max.message.bytes": str(MAX_MESSAGE_BYTES),
            },
        ),
        settings.events_topic: _topic(settings, settings.partitions, _BY_BROKERS_CLOCK),
        settings.lease_topic: _topic(settings, 1),  # holding this topic's one partition is holding the lease
    }
    _make_missing(settings, wanted, timeout)


def ensure_topic(settings: KafkaSettings, name: str, timeout: float) -> None:
    """Makes one topic where it is missing; as `ensure_topics`."""
    _make_missing(settings, {name: _topic(settings, settings.partitions)}, timeout)


def _make_missing(settings: KafkaSettings, wanted: dict[str, dict[str, Any]], timeout: float) -> None:
    with admin_client(settings, timeout) as admin:
        missing = {name: topic for name, topic in wanted.items() if name not in set(admin.list_topics())}
        if missing:
            for made in admin.create_topics(missing, raise_errors=False)["topics"]:
                error = for_code(made["error_code"])
                if made["error_code"] and error is not TopicAlreadyExistsError:
                    raise BrokerUnavailable(
                        f"Kafka refuses to make the topic {made['name']!r}: {made['error_message'] or error.__name__}",
                        "Correct kafka.partitions or kafka.replication_factor, or have the topic made.",
                        passing=False,
                    )
            log.info("made topics", topics=sorted(missing))
        admin.wait_for_topics(list(wanted))


def reachable(settings: KafkaSettings) -> str:
    """The version and size of the Kafka that answers: `Kafka 4.3, 1 broker`.

    Raises:
        BrokerUnavailable: No broker answers, or a broker refuses newstide; the message says which.
    """
    with admin_client(settings, 0.0) as admin:
        brokers = len(admin.describe_cluster()["brokers"])
        version = ".".join(map(str, patches.broker_version(admin)))
    return f"Kafka {version}, {brokers} broker{'' if brokers == 1 else 's'}"


def _topic(settings: KafkaSettings, partitions: int, configs: dict[str, str] | None = None) -> dict[str, Any]:
    return {
        "num_partitions": partitions,
        "replication_factor": settings.replication_factor,
        "configs": configs or {},
    }
