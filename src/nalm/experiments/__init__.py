"""Which trainings: the schema of experiments, and the catalog."""
