"""What tests and benchmarks share: services as processes, kills, fuzz, made headlines and pages, cheap models."""
