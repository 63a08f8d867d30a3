"""Early stopping of runs that are solved or have diverged, and their final values."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
from torch import Tensor

from nalm.spec.thresholds import Threshold

__all__ = ["EarlyStopping", "Final"]

Array = npt.NDArray[np.float64]
Runs = npt.NDArray[np.int64]


class EarlyStopping:
    """Decides which runs of an ensemble are still trained.

    A run stops at the first evaluation whose validation error is the best so far and whose test error meets the
    threshold: judged by its evaluations up to then, it is solved. A run that has diverged stops too. Without thresholds
    no run stops.

    Arguments:
        runs: number of runs.
        thresholds: one threshold per run, or none.
    """

    def __init__(self, runs: int, thresholds: Sequence[Threshold] = ()) -> None:
        self.stopped_at: Runs = np.full(runs, -1)
        self._thresholds = thresholds
        self._best: Array = np.full(runs, np.inf)

    @property
    def active(self) -> Runs:
        """Return the runs that are still trained."""
        return np.flatnonzero(self.stopped_at < 0)

    def stop(self, iteration: int, validation: Array, test: Array, diverged: npt.NDArray[np.bool_]) -> Runs:
        """Stop the runs that are solved or have diverged, and return them.

        Arguments:
            iteration: the iteration of the evaluation.
            validation: validation errors of all runs.
            test: test errors of all runs.
            diverged: whether each run has diverged.
        """
        if not self._thresholds:
            return self.active[:0]
        better = validation < self._best
        self._best = np.fmin(self._best, validation)
        solved = [better[run] and self._thresholds[run].met(test[run]) for run in self.active]
        stopped = self.active[np.array(solved, dtype=bool) | diverged[self.active]]
        self.stopped_at[stopped] = iteration
        return stopped

    def restore(self, stopped_at: Runs, validation_errors: Sequence[Array]) -> None:
        """Restore which runs have stopped and when, and the best errors so far."""
        self.stopped_at = stopped_at.copy()
        if self._thresholds and len(validation_errors):
            self._best = np.fmin.reduce([*validation_errors, self._best])

    def trained_at(self, iteration: int) -> npt.NDArray[np.bool_]:
        """Tell for each run whether it was still trained at an iteration."""
        return (self.stopped_at < 0) | (self.stopped_at >= iteration)


@dataclass
class Final:
    """Values of all runs after their last updates, ``(runs, …)``; NaN for runs that are still trained."""

    validation_errors: Array
    test_errors: Array
    diverged_at: Array
    parameters: dict[str, Array]

    @classmethod
    def unknown(cls, runs: int, parameters: dict[str, Tensor]) -> Self:
        """Return NaN for all values of all runs; ``parameters`` gives names and shapes."""
        errors, tests, diverged_at = (np.full(runs, np.nan) for _ in range(3))
        return cls(
            errors, tests, diverged_at, {name: np.full(value.shape, np.nan) for name, value in parameters.items()}
        )

    def keep(self, runs: npt.NDArray[np.int64], now: Self) -> None:
        """Keep the current values of some runs."""
        self.validation_errors[runs] = now.validation_errors[runs]
        self.test_errors[runs] = now.test_errors[runs]
        self.diverged_at[runs] = now.diverged_at[runs]
        for name, values in now.parameters.items():
            self.parameters[name][runs] = values[runs]
