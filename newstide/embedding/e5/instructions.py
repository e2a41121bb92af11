"""CTranslate2, told to use the widest instructions of this processor.

By itself it takes 256 bits at a time on every processor. Those with 8-bit products in 512 bits keep their clock while they
work in 512 bits, and are a fifth faster so. The variable must be set before the library is first used, so it is imported
from here.
"""

import os
from pathlib import Path

_VARIABLE = "CT2_FORCE_CPU_ISA"  # what a user sets stays
_NEEDED = {"avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl", "avx512_vnni"}


def processor_flags(file: Path = Path("/proc/cpuinfo")) -> set[str]:
    """What the processor can do, by Linux' names; empty where the system does not say."""
    try:
        lines = file.read_text().splitlines()
    except OSError:
        return set()
    return set(next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), []))


def use_widest(flags: set[str]) -> None:
    """Sets the variable where the processor has all that 512 bits need, and the user has not set it."""
    if flags >= _NEEDED:
        os.environ.setdefault(_VARIABLE, "AVX512")


use_widest(processor_flags())

import ctranslate2  # noqa: E402

__all__ = ["ctranslate2", "processor_flags", "use_widest"]
