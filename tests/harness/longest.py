"""The test files that take longest, longest first: workers take them in this order, and none is left alone with one.

As `python -m tests` lists the files' times at its end; a file that is missing here comes after them.
"""

LONGEST = (
    "tests/test_app.py",
    "tests/test_repair.py",
    "tests/test_reembed.py",
    "tests/faults/test_outages.py",
    "tests/test_pipeline.py",
    "tests/test_restarts.py",
    "tests/faults/test_rebalances.py",
    "tests/faults/test_clocks.py",
    "tests/faults/test_topic_faults.py",
    "tests/faults/test_ingest_faults.py",
    "tests/test_layout.py",
    "tests/test_api.py",
    "tests/test_local_kafka.py",
    "tests/test_takedown.py",
    "tests/test_backup.py",
)
