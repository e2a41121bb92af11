"""newstide turns a live stream of news headlines into stories that keep their identity.

This package holds what the packages `producers`, `consumers` and `clustering` share: the contract of a headline,
settings, errors, access to Kafka and Milvus, and the embedding models. `newstide_app` uses all of them.
"""

import importlib
from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Imports `newstide.load` and `newstide.News` on first use, since they need pandas and Milvus' client."""
    if name in ("load", "News"):
        return getattr(importlib.import_module("newstide_app.notebook"), name)
    raise AttributeError(f"module 'newstide' has no attribute {name!r}")
