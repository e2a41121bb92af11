"""Compiles the kernels that tests run, once: `python -m tests.harness.warm`.

Workers that start with an empty cache would each compile the same. Numba writes a kernel's file in one step, and its
index too, so that a worker which compiles what is missing here spoils nothing.
"""

from datetime import timedelta
from typing import Any

from newstide.core.settings import Settings
from newstide_app.evaluation import evaluate_file
from producers.sample import day_file

_WAYS: tuple[dict[str, Any], ...] = (
    {},
    {"selection": "eom", "time_weight": 0},
    {"selection": "leaf", "centre": False},
    {"tutorial": True},
)


def main() -> None:
    """Clusters the bundled day in each way of selecting, at once and run after run."""
    settings = Settings()
    for chosen in _WAYS:
        evaluate_file(day_file(), settings.updated(clustering=chosen), use_time=True)
    evaluate_file(day_file(), settings, replay=timedelta(hours=8))


if __name__ == "__main__":
    main()
