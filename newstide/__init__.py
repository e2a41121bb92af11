"""newstide turns a live stream of news headlines into stories that keep their identity.

This package is what the three rooms (`producers`, `consumers`, `clustering`) stand on: the contract of a headline,
settings, errors, access to Kafka and Milvus, and the embedding models. `newstide.app` stands on all of them.
"""

__version__ = "0.1.0"
