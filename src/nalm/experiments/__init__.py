"""Which trainings: the schema of an experiment and the catalog of figures."""
