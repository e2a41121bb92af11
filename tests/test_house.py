"""The house's rules: no file and no function that nobody can keep in mind, and no name of the old rooms."""

import ast
import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

from newstide.core import errors
from tests.harness.longest import LONGEST

ROOT = Path(__file__).parents[1]
DELIBERATE = {name for name, one in vars(errors).items() if isinstance(one, type)}
MOST_LINES, MOST_OF_A_FUNCTION, MOST_POSITIONAL = 400, 60, 8
_ASIDE = {".json", ".jsonl", ".md", ".ipynb", ".svg", ".png", ".lock"}  # data, prose and pictures
_LISTS = ("LICENSE", "constraints.txt")
_MOVED = {  # what lay where until the files moved to the rooms that their names promise
    "newstide": {
        *("broker", "centring", "errors", "headline", "kafka_client", "kafka_jars", "local_kafka", "logs", "metrics"),
        *("milvus_lite", "notebook", "processes", "settings", "store", "tls", "waiting"),
    },
    "consumers": {"ingest"},
    "clustering": {
        *(
            "closeness",
            "drawing",
            "facts",
            "gallery",
            "hierarchy",
            "inertia",
            "layout",
            "leaf_order",
            "lease",
            "lineage",
        ),
        *("naming", "page", "reclusterer", "retention", "schedule", "selection", "similarity", "snapshot", "tutorial"),
        *("window", "writing"),
    },
}


def files() -> list[str]:
    """What git keeps, and what it would."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("this is no git checkout, so that what belongs to the house is not known")
    return sorted(name for name in done.stdout.split("\0") if name and (ROOT / name).is_file())


@cache
def modules() -> list[tuple[str, ast.Module]]:
    found = [name for name in files() if name.endswith(".py")]
    assert len(found) > 200
    return [(name, ast.parse((ROOT / name).read_text(encoding="utf-8"))) for name in found]


def test_no_file_is_longer_than_four_hundred_lines() -> None:
    code = [name for name in files() if Path(name).suffix not in _ASIDE and name not in _LISTS]
    counted = {name: len((ROOT / name).read_bytes().splitlines()) for name in code}
    assert {name: lines for name, lines in counted.items() if lines > MOST_LINES} == {}


def test_no_function_but_a_kernel_has_more_than_sixty_lines_beside_its_docstring() -> None:
    long = {}
    for name, module in modules():
        for function in functions(module):
            if not decorated_with(function, "kernel") and (lines := own_lines(function)) > MOST_OF_A_FUNCTION:
                long[f"{name}:{function.name}"] = lines
    assert long == {}


def test_no_function_but_a_kernel_or_a_command_has_more_than_eight_positional_arguments() -> None:
    """A fixture that a test asks for is no argument that somebody has to put in the right place."""
    many = {}
    for name, module in modules():
        for function in functions(module):
            given = len([*function.args.posonlyargs, *function.args.args])
            asks = name.startswith("tests/") and (
                function.name.startswith("test_") or decorated_with(function, "fixture")
            )
            aside = asks or decorated_with(function, "kernel") or decorated_with(function, "command")
            if not aside and given > MOST_POSITIONAL:
                many[f"{name}:{function.name}"] = given
    assert many == {}


def test_every_error_that_newstide_raises_on_purpose_is_in_one_file() -> None:
    elsewhere = [
        f"{name}:{node.name}"
        for name, module in modules()
        if not name.startswith(("tests/", "benchmarks/")) and name != "newstide/core/errors.py"
        for node in ast.walk(module)
        if isinstance(node, ast.ClassDef)
        and not node.name.startswith("_")
        and any(ast.unparse(base) in DELIBERATE for base in node.bases)
    ]
    assert elsewhere == []


def test_no_import_and_no_page_names_a_module_where_it_lay_once() -> None:
    imported: dict[str, list[str]] = {}
    for name, module in modules():
        for node in ast.walk(module):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            if found := [one for one in names if gone(*one.split(".")[:2])]:
                imported.setdefault(name, []).extend(found)
    assert imported == {}
    prose = [name for name in files() if Path(name).suffix in {".md", ".toml", ".yml"} and name != "CHANGELOG.md"]
    path = re.compile(r"\b(newstide|consumers|clustering)/(\w+)(?:\.py|/)")
    told = {name: path.findall((ROOT / name).read_text(encoding="utf-8")) for name in prose}
    assert {name: found for name, found in told.items() if any(gone(*one) for one in found)} == {}


def gone(package: str, module: str = "") -> bool:
    """Whether a module once lay there, and does no more."""
    here = ROOT / package / module
    return module in _MOVED.get(package, ()) and not (here.is_dir() or here.with_suffix(".py").exists())


def functions(module: ast.Module) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [node for node in ast.walk(module) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def decorated_with(function: ast.FunctionDef | ast.AsyncFunctionDef, word: str) -> bool:
    names = [one.func if isinstance(one, ast.Call) else one for one in function.decorator_list]
    return any(ast.unparse(name).split(".")[-1] == word for name in names)


def own_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from `def` to the end, without the docstring."""
    first = function.body[0]
    docstring = 0
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        docstring = (first.end_lineno or 0) - first.lineno + 1
    return (function.end_lineno or 0) - function.lineno + 1 - docstring


def test_the_longest_test_files_are_there() -> None:
    assert [name for name in LONGEST if not (ROOT / name).is_file()] == []
    assert len(set(LONGEST)) == len(LONGEST)
