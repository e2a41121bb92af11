"""Checks of single arguments, made first by the numeric functions.

A wrong argument would give wrong clusters, or an error that does not name the argument.
"""

import math
from typing import Any

import numpy as np

from newstide.core.errors import InvalidGraph


def require_whole(name: str, value: Any, least: int) -> None:
    """Raises InvalidGraph, which names the argument and its value, where it is no whole number or less than `least`."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise InvalidGraph(f"{name} is {value!r}.", f"Give a whole number, at least {least}.")


def require_number(name: str, value: Any, least: float = -math.inf) -> None:
    """Raises InvalidGraph, which names the argument and its value, where it is no finite number or less than `least`."""
    is_number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or value < least:
        at_least = "" if least == -math.inf else f", at least {least:g}"
        raise InvalidGraph(f"{name} is {value!r}.", f"Give a finite number{at_least}.")
