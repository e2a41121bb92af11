"""Milvus 2.3.5, as its wheel has it, and what it has not: a second server that the store's contract is tried against."""

import fcntl
import os
import socket
import struct
import subprocess
from collections.abc import Mapping
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from newstide.core.errors import StoreUnavailable
from newstide.core.local_server import LocalServer

PROGRAM = "MILVUS_TEST_SERVER"  # the variable that holds the path of `milvus-server`
_HEALTH = "http://127.0.0.1:9091/healthz"
_OPTIONS = (
    *("rootCoord.ip=127.0.0.1", "proxy.ip=127.0.0.1"),  # there is no other address
    "common.gracefulTime=0",  # a bounded read may be five seconds old otherwise, and tests search what they just wrote
)

# What 2.3.5 lacks: the feature, and the tests that need it. A test that passes all the same is an error.
GAPS: Mapping[str, tuple[str, ...]] = {
    "a JSON field holds an object and no list, as a story's keywords are": (
        "test_stories_come_back_as_they_were_written_by_number",
        "test_centroids_come_only_if_asked_for",
        "test_a_story_written_again_replaces_the_former",
        "test_values_of_numpy_are_written_as_numbers",
        "test_more_stories_than_one_request_takes_are_read_in_full",
        "test_a_title_too_long_is_cut",
        "test_stories_are_found_by_centroid_among_the_open_ones",
        "test_closed_stories_are_found_by_what_they_were_born_of_and_what_they_went_into",
        "test_stories_get_what_they_lack_and_keep_the_rest",
        "test_cut_off_anywhere_it_goes_on",
    ),
    "the client's iterator shows rows for a moment that were deleted just before": (
        "test_a_quoted_text_finds_the_rows_that_hold_it_and_no_other",
    ),
}


class SecondMilvus(LocalServer):
    """The server, in a network of its own: it listens on every interface, on eight ports, and asks nobody who he is."""

    name = "Milvus 2.3.5"

    def __init__(self, data_dir: Path) -> None:
        super().__init__(data_dir, 19530)

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _prepare(self) -> None:
        if interfaces := _others_than_loopback():
            raise StoreUnavailable(
                f"Milvus 2.3.5 listens on every interface, and this machine has {', '.join(interfaces)}.",
                "Run `make test-milvus`, which gives it a network of its own.",
            )

    def _command(self) -> list[str]:
        options = [word for option in _OPTIONS for word in ("--extra-config", option)]
        return [os.environ[PROGRAM], "--data", str(self.data_dir), "--proxy-port", str(self.port), *options]

    def _answers(self) -> bool:
        return _healthy()

    def _failed(self, what: str, way_out: str = "") -> StoreUnavailable:
        return StoreUnavailable(what, way_out or f"Its logs are in {self.data_dir / 'logs'}.")

    def stop(self) -> None:
        """By SIGINT: at SIGTERM the script ends and leaves its server behind."""
        if self._process is not None and self.alive():
            self._process.send_signal(2)
            try:
                self._process.wait(self.stop_within)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


def _healthy() -> bool:
    try:
        with urlopen(_HEALTH, timeout=5) as answer:
            return b"OK" in answer.read()
    except (URLError, OSError):
        return False


def _others_than_loopback() -> list[str]:
    """Network interfaces of this process's network that are up, but for loopback (SIOCGIFFLAGS)."""
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            (flags,) = struct.unpack_from("H", fcntl.ioctl(probe, 0x8913, struct.pack("16sH14x", name.encode(), 0)), 16)
            if flags & 0x1 and not flags & 0x8:
                found.append(name)
    return found
