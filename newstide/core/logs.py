"""Structured logs on stderr: one line an event, coloured for a person, JSON where no terminal listens."""

import logging
import sys

import structlog


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
    logging.getLogger("kafka").setLevel(logging.CRITICAL)  # it reports each attempt at a broker that is away
    logging.getLogger("apscheduler").setLevel(logging.ERROR)  # that a tick was skipped is said by who owns the schedule
    logging.getLogger("pymilvus").setLevel(logging.CRITICAL)


def get(component: str) -> structlog.typing.FilteringBoundLogger:
    """A logger whose events carry the component's name."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(component=component)
    return logger


def _to_stderr(*_: object) -> structlog.PrintLogger:
    """A logger to what is stderr now: a test, or a supervisor, may have put another in its place."""
    return structlog.PrintLogger(sys.stderr)
