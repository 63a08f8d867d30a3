"""Success thresholds: when a run counts as solved."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["JUDGED_ROWS", "Threshold", "best_row"]

JUDGED_ROWS = 5000
"""Default number of a run's last evaluations that are searched for the best one."""


@dataclass(frozen=True)
class Threshold:
    """The test error that decides whether a run has solved its task.

    Arguments:
        value: the threshold.
        inclusive: whether an error that equals the threshold solves the task.
        rounding: relative excess up to which an error counts as equal, because of rounding.
        rows: number of a run's last evaluations that are searched for the best one.
    """

    value: float
    inclusive: bool
    rounding: float = 0.0
    rows: int = JUDGED_ROWS

    @property
    def greatest(self) -> float:
        """The greatest test error that is small enough."""
        if self.inclusive:
            return self.value * (1 + self.rounding)
        return math.nextafter(self.value, -math.inf)

    def met(self, error: float) -> bool:
        """Tell whether a test error is small enough."""
        return bool(error <= self.greatest)

    def solved(self, validation_errors: Sequence[float], test_errors: Sequence[float]) -> bool:
        """Tell whether a run's test error is small enough at its best validation row."""
        return len(test_errors) > 0 and self.met(test_errors[best_row(validation_errors, self.rows)])


def best_row(validation_errors: Sequence[float], rows: int = JUDGED_ROWS) -> int:
    """Return the index of the smallest validation error among the last ``rows``, the first if several are equal.

    If all of them are NaN, return the index of the last one.
    """
    recent = np.asarray(validation_errors, dtype=np.float64)[-rows:]
    start = len(validation_errors) - len(recent)
    if np.isnan(recent).all():
        return len(validation_errors) - 1
    return start + int(np.flatnonzero(recent == np.nanmin(recent))[0])
