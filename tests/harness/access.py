"""Who may enter, and by which door."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from newstide.core.settings import KafkaSettings

USER, SECRET = "reporter", "only-the-desk-knows-this"
LISTENERS = {"TLS": "SSL", "MTLS": "SSL", "SASL": "SASL_PLAINTEXT", "SASLTLS": "SASL_SSL"}


@dataclass(frozen=True)
class Guarded:
    """A broker with a listener for each way in, and the files that open them."""

    ports: dict[str, int]
    folder: Path

    def settings(self, listener: str, **values: Any) -> KafkaSettings:
        host = "localhost" if LISTENERS[listener].endswith("SSL") else "127.0.0.1"
        return KafkaSettings(
            bootstrap_servers=f"{host}:{self.ports[listener]}", security_protocol=LISTENERS[listener], **values
        )

    def file(self, name: str) -> Path:
        return self.folder / name
