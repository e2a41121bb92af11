"""Child processes and ports: what the local Kafka, Milvus Lite and the supervisor have in common."""

import shutil
import socket
import subprocess
import threading
from collections.abc import Sequence

_LOOPBACK = "127.0.0.1"


def free_port(preferred: int = 0) -> int:
    """The preferred port where nothing listens on it, on loopback or on all interfaces; else a free one."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            # As Java does: connections of a server that has just ended (TIME_WAIT) do not make a port taken.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((_LOOPBACK, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError("no free port")  # unreachable unless the machine has run out of ports


def listens(port: int, timeout: float = 1.0) -> bool:
    """Whether something accepts connections on this loopback port."""
    try:
        socket.create_connection((_LOOPBACK, port), timeout).close()
    except OSError:
        return False
    return True


def dying_with_parent(command: Sequence[str]) -> list[str]:
    """The command, made to get SIGTERM when the process that starts it is killed.

    Linux sends that signal when the *thread* that started the child ends, so only the main thread asks for it; and it
    takes `setpriv` (util-linux). Elsewhere a child outlives a parent that is killed with SIGKILL.
    """
    setpriv = shutil.which("setpriv")
    if setpriv is None or threading.current_thread() is not threading.main_thread():
        return list(command)
    return [setpriv, "--pdeathsig", "TERM", *command]


def terminate(process: subprocess.Popen[bytes], within: float) -> int:
    """SIGTERM, then SIGKILL for a child that has not ended within so many seconds. Returns its exit code."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(within)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    return process.returncode
