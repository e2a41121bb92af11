"""newstide turns a live stream of news headlines into stories that keep their identity.

This package is what the three rooms (`producers`, `consumers`, `clustering`) stand on: the contract of a headline,
settings, errors, access to Kafka and Milvus, and the embedding models. `newstide_app` stands on all of them.
"""

import importlib
from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """`newstide.load` and `newstide.News`, which need pandas and Milvus' client, are there once they are asked for."""
    if name in ("load", "News"):
        return getattr(importlib.import_module("newstide_app.notebook"), name)
    raise AttributeError(f"module 'newstide' has no attribute {name!r}")
