"""Plans, dispatches, trains and watches shards."""
