"""Numbers translated from words."""
