"""The command line as a person types it: as a process, or, where only what it says counts, in this process."""

import io
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from unittest import mock

from newstide.core import logs
from newstide_app.cli.main import main

NEWSTIDE = [sys.executable, "-m", "newstide_app"]


def environment(folder: Path, **more: str) -> dict[str, str]:
    """This process's variables without settings of newstide's, but for the data folder and `more`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("NEWSTIDE_")}
    return {**kept, "NEWSTIDE_DATA_DIR": str(folder), "COLUMNS": "100", **more}


def started(folder: Path, *command: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    """What a command says as a process of its own."""
    return subprocess.run(
        [*NEWSTIDE, *command], env=environment(folder), capture_output=True, text=True, timeout=timeout, check=False
    )


def typed(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """What a command says, without the seconds that a new process takes to import everything."""
    code = 0
    with _said() as (out, err), mock.patch.dict(os.environ, environment(folder), clear=True):
        try:
            with mock.patch.object(sys, "argv", ["newstide", *command]):
                main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
    return subprocess.CompletedProcess(command, code, out.getvalue(), err.getvalue())


@contextmanager
def _said() -> Iterator[tuple[io.StringIO, io.StringIO]]:
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
        yield out, err
    logs.configure("info", json=False)  # as before: a command sets the log to what its settings say
