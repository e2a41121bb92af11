"""Benchmarks: each prints a table and writes JSON with the machine, versions and seeds that made it.

`python -m benchmarks` runs the small ones, `--quick` in under two minutes; `python -m benchmarks.graph --rows N` runs one
size.
"""

import newstide  # noqa: F401 - imported before numpy, whose threads it lets sleep
