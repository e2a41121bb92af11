"""What a wheel holds: the five packages with their data, and nothing of the tests and benchmarks."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names in a wheel built from this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    root = Path(__file__).parent.parent
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(root)]
    subprocess.run(command, check=True, timeout=240)
    (path,) = folder.glob("newstide-*.whl")
    return set(zipfile.ZipFile(path).namelist())


def test_it_holds_the_five_packages_and_nothing_else(wheel: set[str]) -> None:
    tops = {name.split("/")[0] for name in wheel if ".dist-info/" not in name}
    assert tops == {"newstide", "newstide_app", "producers", "consumers", "clustering"}


@pytest.mark.parametrize(
    "name",
    [
        "producers/sample/day.jsonl",
        "clustering/pages/assets/map.html.j2",
        "clustering/pages/assets/script/state.js",
        "newstide/kafka/jars.txt",
        "newstide/py.typed",
        "newstide_app/py.typed",
        "clustering/pages/assets/script/live.js",
    ],
)
def test_it_holds_the_data_that_the_code_reads(wheel: set[str], name: str) -> None:
    assert name in wheel


_IMPORT_ALL = """
import importlib, pkgutil, sys
TOPS = ("newstide", "newstide_app", "producers", "consumers", "clustering")
setters = set()

def note(event, _arguments):
    if event == "os.putenv":
        frame = sys._getframe(1)
        while frame.f_globals.get("__name__") in ("os", "_collections_abc", "collections.abc"):
            frame = frame.f_back
        setters.add(frame.f_globals.get("__name__", ""))

sys.addaudithook(note)
for top in TOPS:
    for module in pkgutil.walk_packages(importlib.import_module(top).__path__, top + "."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
print(sorted(name for name in setters if name.split(".")[0] in TOPS))
"""


def test_importing_the_packages_sets_no_environment_variable() -> None:
    """What libraries set at their own import is theirs."""
    done = subprocess.run([sys.executable, "-c", _IMPORT_ALL], check=True, capture_output=True, text=True, timeout=240)
    assert done.stdout.strip() == "[]"
