"""The consumer, from the topic to Milvus: headlines are decoded, embedded, labelled provisionally and inserted."""
