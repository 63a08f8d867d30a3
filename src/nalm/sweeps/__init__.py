"""Where trainings run and what is kept: plan, shards, executors, store."""
