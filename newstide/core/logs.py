"""Structured logs on stderr: one line an event, coloured for a person, JSON where no terminal listens."""

import logging
import re
import sys
import time
from threading import Lock

import structlog

_MINUTE = 60.0
_MOST_KINDS = 200  # of lines that are told apart, since senders may invent any number of values
_VALUES = re.compile(r"'[^']*'|\"[^\"]*\"|\d+|:.*", re.DOTALL)  # what differs between two lines of one kind


def configure(level: str = "info", *, json: bool | None = None) -> None:
    """Sets up logging for the process.

    Args:
        level: Lowest level shown: debug, info, warning or error.
        json: One JSON object a line; by default only where stderr is no terminal.
    """
    as_json = not sys.stderr.isatty() if json is None else json
    threshold = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso" if as_json else "%H:%M:%S", utc=as_json),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False) if as_json else structlog.dev.ConsoleRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=_to_stderr,
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(stream=sys.stderr, level=max(threshold, logging.WARNING), format="%(name)s: %(message)s")
    logging.getLogger("kafka").setLevel(logging.CRITICAL)  # kafka-python logs each attempt to reach a broker
    logging.getLogger("apscheduler").setLevel(logging.ERROR)  # the schedule's owner logs skipped ticks
    logging.getLogger("pymilvus").setLevel(logging.CRITICAL)


def get(component: str) -> structlog.typing.FilteringBoundLogger:
    """A logger whose events carry the component's name."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(component=component)
    return logger


class OnceAMinute:
    """Says which lines are shown: the first of each kind a minute, since what others send us may repeat a thousandfold."""

    def __init__(self) -> None:
        self._said: dict[str, tuple[float, int]] = {}  # kind -> (when it was last said, how many were left out since)
        self._lock = Lock()

    def left_out(self, kind: str) -> int | None:
        """How many lines of this kind were left out since the last one that was shown; None: leave this one out too."""
        now = time.monotonic()
        with self._lock:
            if kind not in self._said and len(self._said) >= _MOST_KINDS:
                kind = ""
            last, left_out = self._said.get(kind, (now - _MINUTE, 0))
            shown = now - last >= _MINUTE
            self._said[kind] = (now, 0) if shown else (last, left_out + 1)
        return left_out if shown else None


def kind_of(reason: str) -> str:
    """A reason without the values in it: what two reasons of one kind have in common."""
    return _VALUES.sub("", reason)


class FirstOfAMinute(logging.Filter):
    """Lets the first line of each kind through a minute; the next one that passes says how many were left out.

    A kind is a message before its values are filled in.
    """

    def __init__(self) -> None:
        super().__init__()
        self._lines = OnceAMinute()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is shown."""
        left_out = self._lines.left_out(str(record.msg))
        if left_out is None:
            return False
        if left_out:
            record.msg, record.args = f"{record.getMessage()} ({left_out:,} more since the last of these lines)", ()
        return True


def _to_stderr(*_: object) -> structlog.PrintLogger:
    """A logger that writes to the current stderr: a test or a supervisor may have replaced it."""
    return structlog.PrintLogger(sys.stderr)
