"""A proxy before a Kafka: it passes on, delays, cuts or swallows what clients and broker say to each other."""

import select
import socket
import threading
import time
from contextlib import suppress

_BLOCK = 65_536


class KafkaProxy:
    """Listens on a port of loopback; `forward_to` names the broker's port once that is known.

    Attributes:
        port: Where clients connect.
        delay: Seconds that each block of bytes is held back.
        swallows: Whether bytes disappear, while connections stay open.
        cuts: How many connections were cut.
    """

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.broker = 0
        self.delay = 0.0
        self.swallows = False
        self.cuts = 0
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def forward_to(self, port: int) -> None:
        """The broker's own port."""
        self.broker = port

    def cut(self) -> None:
        """Closes all connections at once."""
        for one in list(self._open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            self.cuts += 1

    def close(self) -> None:
        """Ends it."""
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            broker = socket.create_connection(("127.0.0.1", self.broker), timeout=10)
        except OSError:
            client.close()
            return
        pair = {client: broker, broker: client}
        self._open |= set(pair)
        try:
            while True:
                readable, _, _ = select.select(list(pair), [], [], 1.0)
                for one in readable:
                    block = one.recv(_BLOCK)
                    if not block:
                        return
                    if self.swallows:
                        continue
                    time.sleep(self.delay)
                    pair[one].sendall(block)
        except OSError:
            return
        finally:
            self._open -= set(pair)
            client.close()
            broker.close()
