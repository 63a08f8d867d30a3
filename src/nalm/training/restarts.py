"""Starting again where training is stuck."""

import numpy as np
import numpy.typing as npt

from nalm.spec.recipe import Restart

__all__ = ["RestartTracker"]

Array = npt.NDArray[np.float64]


class RestartTracker:
    """Which runs are stuck.

    Arguments:
        rule: when they are.
        evaluate_every: iterations from one measurement of the validation error to the next.
        runs: how many there are.
    """

    def __init__(self, rule: Restart, evaluate_every: int, runs: int) -> None:
        self.rule = rule
        self.evaluate_every = evaluate_every
        self.since = np.zeros(runs, dtype=np.int64)
        self.restarts: list[list[int]] = [[] for _ in range(runs)]

    def find(self, iteration: int, validation_errors: list[Array]) -> npt.NDArray[np.intp]:
        """Runs that are stuck at an iteration, which therefore forget their errors.

        Arguments:
            iteration: the next to be trained.
            validation_errors: of every evaluation so far, ``(runs)`` each.
        """
        remembered = iteration + 1 - self.since
        candidates = np.flatnonzero((remembered > self.rule.history) & (validation_errors[-1] > self.rule.above))
        if iteration == 0 or iteration % self.rule.every or not len(candidates):
            return candidates[:0]
        middle = self.since + remembered // 2
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
        """Mean and standard deviation of what iterations from ``start`` to before ``end`` remember."""
        measured = np.arange(len(errors)) * self.evaluate_every
        ends = np.append(measured[1:], np.iinfo(np.int64).max)
        weights = np.clip(np.minimum(ends, end) - np.maximum(measured, start), 0, None)
        mean = np.average(errors, weights=weights)
        return float(mean), float(np.sqrt(np.average((errors - mean) ** 2, weights=weights)))
