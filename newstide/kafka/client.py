"""Connections to Kafka: addresses and security from the settings, patience, and errors that say what is wrong."""

import logging
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, repeat
from typing import Any

from kafka import KafkaAdminClient
from kafka.errors import (
    AuthorizationError,
    InvalidReceiveError,
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    SaslAuthenticationFailedError,
    UnsupportedSaslMechanismError,
)
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_delay, wait_exponential_jitter

from newstide.core import logs
from newstide.core.errors import BrokerUnavailable, SettingsError
from newstide.core.settings import KafkaSettings
from newstide.core.tls import tls_context
from newstide.kafka import patches

_ANSWER_WITHIN = 6.0  # seconds a broker that accepts connections has to answer; nothing ends this wait
_FIRST_TRY, _LATER_TRY = 1.0, 3.0  # seconds of it, after which the client's log is searched for the reason
_REFUSALS = (SaslAuthenticationFailedError, UnsupportedSaslMechanismError, AuthorizationError)
# The client reports a failed handshake as a text alone. These texts mean a refusal, which waiting will not change.
_TLS_REFUSALS = (
    *("certificate verify failed", "certificate required", "certificate unknown", "certificate expired"),
    *("bad certificate", "unknown ca", "handshake failure", "wrong version"),
)
_WAY_OUT = "Start Kafka, or correct kafka.bootstrap_servers; `newstide doctor` shows what is reachable."

log = logs.get("kafka")


def client_options(settings: KafkaSettings) -> dict[str, Any]:
    """What every kafka-python client is given: addresses and security.

    Raises:
        BrokerUnavailable: No Kafka is configured.
        SettingsError: A security setting is missing, or names a file that does not exist.
    """
    options: dict[str, Any] = {
        "bootstrap_servers": _servers(settings),
        "client_id": "newstide",
        "reconnect_backoff_max_ms": 5_000,  # a broker that is back is noticed soon
        "security_protocol": settings.security_protocol,
    }
    if settings.security_protocol.startswith("SASL"):
        _require(settings, "sasl_mechanism", "sasl_username", "sasl_password")
        options["sasl_mechanism"] = settings.sasl_mechanism
        options["sasl_plain_username"] = settings.sasl_username
        options["sasl_plain_password"] = settings.sasl_password.get_secret_value() if settings.sasl_password else None
    if settings.security_protocol.endswith("SSL"):
        password = settings.ssl_keypassword
        options["ssl_context"] = tls_context(
            "kafka",
            settings.ssl_cafile,
            settings.ssl_certfile,
            settings.ssl_keyfile,
            None if password is None else password.get_secret_value(),
        )
    return options


def connected(
    client: Callable[..., Any],
    settings: KafkaSettings,
    *arguments: str,
    patience: float | None = None,
    **options: Any,
) -> Any:
    """Makes a client, and returns it once a broker has answered it.

    A client without an answer tries again until its timeout, whatever the reason, and only logs the reason. So each
    attempt gets a short timeout, and the client's log is read: a wrong password becomes an error at once.

    Args:
        client: The class of a kafka-python client.
        settings: Addresses and security.
        *arguments: For the client.
        patience: Seconds to wait for a broker that is not there yet.
        **options: For the client.

    Raises:
        BrokerUnavailable: No broker answers in time, or a broker refuses the client.
    """
    patches.apply()
    patience = _ANSWER_WITHIN if patience is None else patience
    deadline = time.monotonic() + patience
    options = {**client_options(settings), **options}
    _wait_for_port(settings, patience)
    deadline = max(deadline, time.monotonic() + _ANSWER_WITHIN)
    for seconds in chain([_FIRST_TRY], repeat(_LATER_TRY)):
        options["bootstrap_timeout_ms"] = int(seconds * 1000)
        with _reasons() as reasons:
            try:
                return client(*arguments, **options)
            except KafkaError as error:
                refusals = [reason for reason in reasons if _will_not_change(reason)]
                last = (refusals or reasons or [error])[-1]
                if refusals or not isinstance(error, KafkaTimeoutError) or time.monotonic() > deadline:
                    raise unavailable(settings, last) from None
    raise AssertionError  # the loop has no end


@contextmanager
def admin_client(settings: KafkaSettings, patience: float | None = None) -> Iterator[KafkaAdminClient]:
    """An admin client; waits up to `patience` seconds for a broker that is not there yet.

    Raises:
        BrokerUnavailable: Kafka cannot be reached, refuses, or answers with an error while the client is used.
    """
    admin = connected(KafkaAdminClient, settings, patience=patience)
    try:
        yield admin
    except KafkaError as error:
        raise unavailable(settings, error) from None
    finally:
        admin.close()


def unavailable(settings: KafkaSettings, error: BaseException) -> BrokerUnavailable:
    """The error for a failure of the client: what is wrong, and what to do."""
    if isinstance(error, _REFUSALS):
        return BrokerUnavailable(
            f"Kafka at {settings.bootstrap_servers} refuses {settings.sasl_username or 'this client'}: {error}",
            "Correct kafka.sasl_mechanism, sasl_username, sasl_password, or the user's rights.",
            passing=False,
        )
    if _no_trust(error):
        return BrokerUnavailable(
            f"Kafka at {settings.bootstrap_servers} and this client do not trust each other: {error}",
            "Correct kafka.ssl_cafile (who signed the broker's certificate), the name in kafka.bootstrap_servers (the "
            "certificate's), or kafka.ssl_certfile and ssl_keyfile (which a broker may ask for).",
            passing=False,
        )
    return BrokerUnavailable(
        f"Kafka at {settings.bootstrap_servers} does not answer as it should: {type(error).__name__}: {error}",
        "Check that the port speaks kafka.security_protocol. " + _WAY_OUT,
    )


def _will_not_change(reason: BaseException) -> bool:
    return isinstance(reason, (*_REFUSALS, InvalidReceiveError)) or _no_trust(reason)


def _no_trust(error: BaseException) -> bool:
    text = str(error).lower()
    return any(words in text for words in _TLS_REFUSALS)


@contextmanager
def _reasons() -> Iterator[list[BaseException]]:
    """The exceptions that the client's connection manager logs within the block."""
    heard: list[BaseException] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            errors = [argument for argument in record.args or () if isinstance(argument, BaseException)]
            if not errors and record.levelno >= logging.ERROR:
                errors = [KafkaConnectionError(record.getMessage())]  # some exceptions are part of the text only
            heard.extend(error for error in errors if not isinstance(error, KafkaTimeoutError))

    logger, listener = logging.getLogger("kafka.net.manager"), Listener()
    logger.addHandler(listener)
    logger.setLevel(logging.WARNING)
    logger.propagate = False
    try:
        yield heard
    finally:
        logger.removeHandler(listener)
        logger.setLevel(logging.NOTSET)
        logger.propagate = True


def _wait_for_port(settings: KafkaSettings, patience: float) -> None:
    """Waits until one of the servers accepts connections: cheap to try again, where a client would leave threads."""
    retrying = Retrying(
        retry=retry_if_exception_type(OSError),
        stop=stop_after_delay(patience),
        wait=wait_exponential_jitter(initial=0.1, max=2, jitter=0.1),
        before_sleep=_say_once(settings),
        reraise=True,
    )
    try:
        retrying(_connect, _servers(settings))
    except OSError as error:
        reason = error.strerror or str(error)
        raise BrokerUnavailable(
            f"Kafka at {settings.bootstrap_servers} cannot be reached: {reason}.", _WAY_OUT
        ) from None


def _connect(servers: Sequence[str]) -> None:
    """Opens a connection to the first server that takes one; raises the last server's `OSError` where none does."""
    last: OSError | None = None
    for server in servers:
        host, _, port = server.rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=3).close()
        except OSError as error:
            last = error
        else:
            return
    if last is not None:
        raise last


def _say_once(settings: KafkaSettings) -> Any:
    def say(state: RetryCallState) -> None:
        if state.attempt_number == 5 and state.outcome is not None:  # a broker just starting is no news
            log.warning("waiting for Kafka", at=settings.bootstrap_servers, reason=str(state.outcome.exception()))

    return say


def _servers(settings: KafkaSettings) -> list[str]:
    servers = [server.strip() for server in (settings.bootstrap_servers or "").split(",") if server.strip()]
    if not servers:
        raise BrokerUnavailable(
            "No Kafka is configured and no local one is running.",
            "Start one with `newstide up`, or set kafka.bootstrap_servers.",
            passing=False,
        )
    for server in servers:
        if not server.rpartition(":")[2].isdigit():
            raise SettingsError(f"kafka.bootstrap_servers names {server!r}.", "Write it as host:port.")
    return servers


def _require(settings: KafkaSettings, *names: str) -> None:
    missing = [f"kafka.{name}" for name in names if getattr(settings, name) is None]
    if missing:
        raise SettingsError(
            f"kafka.security_protocol is {settings.security_protocol}, but {', '.join(missing)} is not set.",
            "Set it in newstide.toml or the environment.",
        )
