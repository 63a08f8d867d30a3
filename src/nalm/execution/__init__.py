"""Planning, training and status of shards."""
