"""How idle threads of numerical libraries wait."""

import os

_SETTINGS = {
    "OPENBLAS_THREAD_TIMEOUT": "10",  # 2^10 ticks of the processor's clock
    "OMP_WAIT_POLICY": "PASSIVE",
}


def let_idle_threads_sleep() -> None:
    """Lets threads that wait for work sleep instead of spinning; an entry point calls this before it loads numpy.

    On cores shared with Kafka, Milvus and each other's libraries, a spinning thread takes processor time from threads
    that have work. The libraries read both variables once, when numpy and the first parallel kernel load. A variable
    that the environment sets already keeps its value.
    """
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
