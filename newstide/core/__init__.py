"""What all other packages use: the contract of a headline, settings, errors, logs, and small helpers."""
