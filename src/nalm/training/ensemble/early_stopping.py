"""Which runs an ensemble still trains, where runs are retired once they are solved."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from nalm.spec.thresholds import Threshold

__all__ = ["Members"]

Array = npt.NDArray[np.float64]
Runs = npt.NDArray[np.int64]


class Members:
    """The runs of an ensemble: those that are present in its stack, and until when each is trained.

    A run is retired at the first evaluation that is its best so far and meets its threshold: then it is solved, as
    runs are judged, by what has been measured of it. So is one that has diverged. Without thresholds nobody is.

    Arguments:
        runs: how many there are.
        thresholds: of every run, or none.
    """

    def __init__(self, runs: int, thresholds: Sequence[Threshold] = ()) -> None:
        self.present: Runs = np.arange(runs)
        self.stopped_at: Runs = np.full(runs, -1)
        self._thresholds = thresholds
        self._best: Array = np.full(runs, np.inf)

    @property
    def left(self) -> Runs:
        """Those that are trained on."""
        return np.flatnonzero(self.stopped_at < 0)

    def retire(self, iteration: int, validation: Array, test: Array, diverged: npt.NDArray[np.bool_]) -> Runs:
        """Runs that are retired now; errors and whether they have diverged are of all runs."""
        if not self._thresholds:
            return self.left[:0]
        better = validation < self._best
        self._best = np.fmin(self._best, validation)
        solved = [better[run] and self._thresholds[run].met(test[run]) for run in self.left]
        retired = self.left[np.array(solved, dtype=bool) | diverged[self.left]]
        self.stopped_at[retired] = iteration
        return retired

    def restore(self, stopped_at: Runs, validation_errors: Sequence[Array]) -> None:
        """Puts back who was retired, and the best errors so far."""
        self.stopped_at = stopped_at.copy()
        if self._thresholds and len(validation_errors):
            self._best = np.fmin.reduce([*validation_errors, self._best])

    def of_all(self, values: Array, iteration: int) -> Array:
        """Values of those present as values of all runs: NaN for those that were retired before an iteration."""
        trained = (self.stopped_at < 0) | (self.stopped_at >= iteration)
        result = np.full((len(self.stopped_at), *values.shape[1:]), np.nan)
        result[self.present] = values
        result[~trained] = np.nan
        return result
