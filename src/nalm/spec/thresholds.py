"""When a run counts as solved."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["JUDGED_ROWS", "Threshold", "best_row"]

JUDGED_ROWS = 5000
"""Of a run's last evaluations, how many may be the best, unless a task says otherwise."""


@dataclass(frozen=True)
class Threshold:
    """The test error that decides whether a run has solved its task.

    Arguments:
        value: the threshold.
        inclusive: whether an error that equals it is good enough.
        rounding: up to which excess, relative, an error counts as equal.
        rows: how many of a run's last evaluations may be its best.
    """

    value: float
    inclusive: bool
    rounding: float = 0.0
    rows: int = JUDGED_ROWS

    def met(self, error: float) -> bool:
        """Whether a test error is good enough."""
        return bool(error <= self.value * (1 + self.rounding)) if self.inclusive else bool(error < self.value)

    def solved(self, validation_errors: Sequence[float], test_errors: Sequence[float]) -> bool:
        """Whether a run's test error is good enough at its best validation row."""
        return len(test_errors) > 0 and self.met(test_errors[best_row(validation_errors, self.rows)])


def best_row(validation_errors: Sequence[float], rows: int = JUDGED_ROWS) -> int:
    """Row of the smallest validation error among the last ones, the first of equals; the last row if all are NaN."""
    recent = np.asarray(validation_errors, dtype=np.float64)[-rows:]
    start = len(validation_errors) - len(recent)
    if np.isnan(recent).all():
        return len(validation_errors) - 1
    return start + int(np.flatnonzero(recent == np.nanmin(recent))[0])
