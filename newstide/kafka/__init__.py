"""Kafka: topics, producing and consuming, lag, and a broker on this machine."""
