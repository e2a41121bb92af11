"""newstide turns a live stream of news headlines into stories that keep their identity.

This package is what the three rooms (`producers`, `consumers`, `clustering`) stand on: the contract of a headline,
settings, errors, access to Kafka and Milvus, and the embedding models. `newstide_app` stands on all of them.
"""

import importlib
import os
from typing import Any

# Threads that wait for work sleep instead of spinning: on cores shared with Kafka, Milvus and each other's libraries,
# spinning takes time from whoever has work. Both are read once, when numpy and the first parallel kernel load.
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "10")  # 2^10 ticks of the processor's clock
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """`newstide.load` and `newstide.News`, which need pandas and Milvus' client, are there once they are asked for."""
    if name in ("load", "News"):
        return getattr(importlib.import_module("newstide_app.notebook"), name)
    raise AttributeError(f"module 'newstide' has no attribute {name!r}")
