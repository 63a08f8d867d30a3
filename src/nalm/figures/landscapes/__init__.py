"""Loss landscapes of two small layers: the table, the panel of one module, and whole pages (Figure 9)."""

__all__ = ["EPSILON"]

EPSILON = 0.1
"""Constant that is added to the magnitudes of the sums, as in the original's landscape."""
