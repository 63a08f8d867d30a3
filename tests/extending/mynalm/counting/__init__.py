"""A family of tasks of one's own: sums of sequences of numbers."""
