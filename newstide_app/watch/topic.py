"""Topics: alerts as messages of the same Kafka, keyed by the story's number."""

import json
from datetime import timedelta
from threading import Lock
from typing import Any

from kafka.errors import KafkaError

from newstide.core.errors import Unavailable, Undelivered
from newstide.core.settings import KafkaSettings
from newstide.kafka.producer import make_producer
from newstide.kafka.topics import ensure_topic
from newstide_app.watch.alerts import Alert, as_document

_SPARE = 5.0  # seconds for the client's report


class TopicTarget:
    """A topic; it is made where it is missing.

    Args:
        settings: The Kafka.
        topic: The topic's name.
        seconds: Longest wait for Kafka's acknowledgement.
        public_url: Where the pages are, for links.
    """

    def __init__(self, settings: KafkaSettings, topic: str, seconds: float, public_url: str = "") -> None:
        # The client gives up before we do: what it still had to send could come twice.
        self._settings = settings.model_copy(update={"delivery_timeout": timedelta(seconds=seconds)})
        self._topic = topic
        self._seconds = seconds
        self._public_url = public_url
        self._producer: Any = None
        self._lock = Lock()

    def deliver(self, alert: Alert) -> None:
        """Sends it and waits until all replicas have it."""
        value = json.dumps(as_document(alert, "plain", self._public_url), ensure_ascii=False).encode()
        try:
            with self._lock:
                if self._producer is None:
                    ensure_topic(self._settings, self._topic, self._seconds)
                    self._producer = make_producer(self._settings, self._seconds)
            sent = self._producer.send(
                self._topic,
                key=str(alert.events[0].story).encode(),
                value=value,
                headers=[("idempotency-key", alert.key.encode())],
            )
            sent.get(self._seconds + _SPARE)
        except Unavailable:
            raise Undelivered("Kafka cannot be reached") from None
        except KafkaError as error:
            raise Undelivered(f"Kafka did not acknowledge it ({type(error).__name__})") from None

    def close(self) -> None:
        """Gives up what is on its way."""
        if self._producer is not None:
            self._producer.close(0)
