"""Makes values acceptable to a Milvus server, which refuses some that Milvus Lite would store."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from newstide.core.errors import StoreLimit
from newstide.core.plain import plain

_TOLERANCE = 1e-3  # tolerated difference of a unit vector's length from 1


def unit_vector(vector: npt.ArrayLike, dim: int, owner: str) -> npt.NDArray[np.float32]:
    """The vector as (dim,) float32.

    Raises:
        StoreLimit: The vector has another shape, is not finite, or not of unit length; the message names the owner.
    """
    array = finite_vector(vector, dim, owner)
    length = float(np.linalg.norm(array))
    if abs(length - 1) > _TOLERANCE:
        raise StoreLimit(f"The vector of {owner} has length {length:.4g}, not 1.")
    return array


def finite_vector(vector: npt.ArrayLike, dim: int, owner: str) -> npt.NDArray[np.float32]:
    """The vector as (dim,) float32; `StoreLimit` where it has another shape or is not finite."""
    array = np.asarray(vector, np.float32)
    if array.shape != (dim,):
        raise StoreLimit(f"The vector of {owner} has shape {array.shape}; ({dim},) is wanted.")
    if not np.isfinite(array).all():
        raise StoreLimit(f"The vector of {owner} holds {array[~np.isfinite(array)][0]}.")
    return array


def finite(value: Any, owner: str) -> Any:
    """The value in plain Python types, as Milvus' client takes it; `StoreLimit` where it holds NaN or an infinity."""
    value = plain(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise StoreLimit(f"A number of {owner} is {value}.")
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        finite(part, owner)
    return value


def cut(text: str, size: int) -> str:
    """The text's longest start that has at most `size` bytes of UTF-8."""
    encoded = text.encode()
    return text if len(encoded) <= size else encoded[:size].decode(errors="ignore")


def fitting_id(id_: str, size: int) -> str:
    """The id; `StoreLimit` where it is empty or has more than `size` bytes of UTF-8, since ids cannot be cut."""
    if not id_ or len(id_.encode()) > size:
        raise StoreLimit(f"The id {id_[:60]!r} has {len(id_.encode())} bytes; 1 to {size} are allowed.")
    return id_
