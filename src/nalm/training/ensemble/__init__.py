"""Training of many runs of one recipe in lockstep."""
