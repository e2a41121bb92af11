"""Values as JSON has them: numbers of numpy's, arrays, mappings and tuples become plain Python."""

from collections.abc import Mapping
from typing import Any

import numpy as np


def plain(value: Any) -> Any:
    """The value in numbers, texts, lists and dictionaries alone, to the last part; also a `default` of `json.dumps`.

    Raises:
        TypeError: JSON cannot express a value of that type.
    """
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, (str, int, float)):
        return value
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return {str(name): plain(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    raise TypeError(f"JSON cannot express a {type(value).__name__}.")
