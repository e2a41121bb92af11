"""What everything stands on: the contract of a headline, settings, errors, logs, and small helpers."""
