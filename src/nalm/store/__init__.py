"""Results directories: shards as Parquet files, leases, merging, costs."""
