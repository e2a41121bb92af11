"""The folder of real, labelled headlines, which are not part of the project."""

import os
from pathlib import Path

import pytest

_VARIABLE = "NEWSTIDE_TEST_DATA"
_HANDED_ON = "LABELLED_HEADLINES"  # newstide itself refuses a variable of that prefix that is no setting


def hand_on() -> None:
    """Takes the tests' own variable out of what newstide sees; processes that tests start find it all the same."""
    if (folder := os.environ.pop(_VARIABLE, None)) is not None:
        os.environ[_HANDED_ON] = folder


def labelled(name: str = "") -> Path:
    """The folder, or a file of it; the test is left out where it is not here."""
    path = Path(os.environ.get(_HANDED_ON, Path(__file__).parents[3] / "shared" / "data")) / name
    if not path.exists():
        pytest.skip(f"real headlines are not here: {path} does not exist; set {_VARIABLE} to their folder")
    return path
