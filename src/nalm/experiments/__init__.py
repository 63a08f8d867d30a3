"""Experiments: their schema, the reader of experiment files, and the catalog."""
