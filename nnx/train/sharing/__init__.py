"""A step shared among processes: always the same shards, always summed in the same order."""
