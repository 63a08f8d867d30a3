"""What all tasks have in common."""

__all__ = ["HIDDEN_SIZE"]

HIDDEN_SIZE = 2
"""A sum for each operand."""
