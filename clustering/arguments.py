"""Checks of single arguments, made first by the numeric functions.

A wrong argument would give wrong clusters, or an error that does not name the argument.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from newstide.core.errors import InvalidGraph
from newstide.core.text import shorten


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


def as_array(name: str, value: Any) -> npt.NDArray[Any]:
    """The value as an array, not copied where it is one.

    Raises:
        InvalidGraph: Rows have different lengths, the value's own conversion fails, places are masked, or numbers are
            complex; names the argument.
    """
    require_unmasked(name, value)
    try:
        found = np.asarray(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidGraph(f"{name} are no array: {shorten(str(error), 200)}", "Give rows of one length.") from None
    if found.dtype.kind == "c":
        raise InvalidGraph(f"{name} are of {found.dtype}.", "Give real numbers.")
    return found


def require_unmasked(name: str, value: Any) -> None:
    """Raises InvalidGraph where the value is a masked array: what its mask hides would count."""
    if isinstance(value, np.ma.MaskedArray):
        masked = int(np.sum(value.mask))
        raise InvalidGraph(
            f"{name} are a masked array, with {masked} places masked.",
            "Fill it: a neighbour that is missing is the row number -1.",
        )


def require_same_length(one: str, values: Any, other: str, others: Any) -> None:
    """Raises InvalidGraph, which names both arguments, where they are not equally long."""
    if len(values) != len(others):
        raise InvalidGraph(f"{len(values)} {one} and {len(others)} {other}.", "Give one of each per row.")


def require_array(name: str, value: Any, dimensions: int, *, whole: bool) -> None:
    """Raises InvalidGraph, which names the argument, where it is no array of so many dimensions and that kind of number."""
    require_unmasked(name, value)
    kinds = "iu" if whole else "f"
    if not isinstance(value, np.ndarray) or value.ndim != dimensions or value.dtype.kind not in kinds:
        given = f"of {value.dtype} and shape {value.shape}" if isinstance(value, np.ndarray) else f"{value!r:.80}"
        what = "integers" if whole else "floating-point numbers"
        raise InvalidGraph(f"{name} are {given}.", f"Give an array of {what} with {dimensions} dimensions.")
