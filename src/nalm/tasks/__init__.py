"""Families of tasks: what is learnt, from which data, and what trains it."""
