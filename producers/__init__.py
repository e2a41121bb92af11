"""The producer: reads headlines from files, standard input and feeds, and sends them to the topic `headlines`."""

from producers.files import read_files
from producers.pacing import paced, parse_pace
from producers.publisher import Summary, produce_feeds, produce_files, publish
from producers.rows import Rejected, Row

__all__ = [
    "Rejected",
    "Row",
    "Summary",
    "paced",
    "parse_pace",
    "produce_feeds",
    "produce_files",
    "publish",
    "read_files",
]
