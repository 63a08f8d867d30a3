"""Trains many runs of one recipe in lockstep."""
