"""Detection of runs that are stuck and must be reinitialized."""

import numpy as np
import numpy.typing as npt

from nalm.spec.recipe import Restart

__all__ = ["RestartTracker"]

Array = npt.NDArray[np.float64]


class RestartTracker:
    """Finds the runs that are stuck, and keeps a record of their restarts.

    Arguments:
        rule: the rule by which a run counts as stuck.
        evaluate_every: number of iterations from one evaluation to the next.
        runs: number of runs.
    """

    def __init__(self, rule: Restart, evaluate_every: int, runs: int) -> None:
        self.rule = rule
        self.evaluate_every = evaluate_every
        self.since = np.zeros(runs, dtype=np.int64)
        self.restarts: list[list[int]] = [[] for _ in range(runs)]

    def find(self, iteration: int, validation_errors: list[Array]) -> npt.NDArray[np.intp]:
        """Return the runs that are stuck at an iteration. The errors recorded for them are discarded.

        Arguments:
            iteration: the next iteration to train.
            validation_errors: the errors of every evaluation so far, ``(runs)`` each.
        """
        recorded = iteration + 1 - self.since
        candidates = np.flatnonzero((recorded > self.rule.history) & (validation_errors[-1] > self.rule.above))
        if iteration == 0 or iteration % self.rule.every or not len(candidates):
            return candidates[:0]
        middle = self.since + recorded // 2
        stuck = []
        for run in candidates:
            errors = np.array([values[run] for values in validation_errors])
            earlier, _ = self._moments(errors, self.since[run], middle[run])
            later, spread = self._moments(errors, middle[run], iteration + 1)
            if earlier <= later + spread and later > self.rule.above:
                self.since[run] = iteration + 1
                self.restarts[run].append(iteration)
                stuck.append(run)
        return np.array(stuck, dtype=np.intp)

    def _moments(self, errors: Array, start: int, end: int) -> tuple[float, float]:
        """Return mean and standard deviation of the errors recorded by the iterations ``start`` to ``end - 1``."""
        measured = np.arange(len(errors)) * self.evaluate_every
        ends = np.append(measured[1:], np.iinfo(np.int64).max)
        weights = np.clip(np.minimum(ends, end) - np.maximum(measured, start), 0, None)
        mean = np.average(errors, weights=weights)
        return float(mean), float(np.sqrt(np.average((errors - mean) ** 2, weights=weights)))
