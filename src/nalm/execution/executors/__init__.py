"""Where shards train: on this machine, Slurm or Dask."""
