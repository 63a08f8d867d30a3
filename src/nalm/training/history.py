"""What happened to the runs of an ensemble."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

__all__ = ["MOST_PARAMETERS", "SERIES", "History"]

MOST_PARAMETERS = 200_000
"""Numbers kept of a run's parameters: where all evaluations have more, only those after training are kept."""

SERIES = ("validation_errors", "test_errors", "sparsity_errors", "criteria", "penalties")
"""Fields of a history that have one number per evaluation and run."""

Array = npt.NDArray[np.float64]


@dataclass
class History:
    """What happened to every run: arrays of ``(evaluations, runs)`` unless said otherwise.

    ``iterations`` and ``wall_times`` (seconds since the epoch) are ``(evaluations)``; ``parameters`` holds one array
    of ``(runs, …)`` per evaluation, unless they would be too many, and one after the last update; ``buffers`` and the
    ``final`` errors are those after the last update, with the runs first; ``restarts`` lists, for each run, the
    iterations before which its parameters were drawn anew; ``diverged_at``, ``(runs)``, is the iteration of the first
    NaN weight, or -1; ``stopped_at``, ``(runs)``, that of the evaluation at which it was retired, or -1: what comes
    after is NaN, and what is final is as it was then.
    """

    iterations: list[int] = field(default_factory=list)
    wall_times: list[float] = field(default_factory=list)
    validation_errors: list[Array] = field(default_factory=list)
    test_errors: list[Array] = field(default_factory=list)
    sparsity_errors: list[Array] = field(default_factory=list)
    criteria: list[Array] = field(default_factory=list)
    penalties: list[Array] = field(default_factory=list)
    parameters: list[dict[str, Array]] = field(default_factory=list)
    buffers: dict[str, Array] = field(default_factory=dict)
    final_validation_errors: Array = field(default_factory=lambda: np.empty(0))
    final_test_errors: Array = field(default_factory=lambda: np.empty(0))
    restarts: list[list[int]] = field(default_factory=list)
    diverged_at: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    stopped_at: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    def evaluations(self, run: int) -> int:
        """How many evaluations a run has, before it diverged, and until it was retired."""
        if run < len(self.diverged_at) and (end := self.diverged_at[run]) >= 0:
            return int(np.searchsorted(self.iterations, end))
        if run < len(self.stopped_at) and (stop := self.stopped_at[run]) >= 0:
            return int(np.searchsorted(self.iterations, stop, side="right"))
        return len(self.iterations)
