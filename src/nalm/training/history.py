"""The history of the runs of a shard: evaluations, parameters, restarts and divergence."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

__all__ = ["MOST_PARAMETERS", "SERIES", "History"]

MOST_PARAMETERS = 200_000
"""Maximum number of parameter values stored per run. Runs with more store only those after training."""

SERIES = ("validation_errors", "test_errors", "sparsity_errors", "criteria", "penalties")
"""Names of the lists of a history that have one number per run and evaluation."""

Array = npt.NDArray[np.float64]


@dataclass
class History:
    """The history of the runs of a shard.

    Lists have one entry per evaluation, unless said otherwise.

    Arguments:
        iterations: number of updates before each evaluation.
        wall_times: time of each evaluation, in seconds since the epoch.
        validation_errors: arrays of shape ``(runs)``.
        test_errors: likewise.
        sparsity_errors: likewise; NaN where a module has none.
        criteria: training criterion on the batch of that iteration, likewise.
        penalties: weighted sum of the regularizers, likewise.
        parameters: values by name, of shape ``(runs, …)``; one entry more than there are evaluations, for the values
            after the last update. Of large modules, that entry is the only one.
        buffers: values by name after the last update, of shape ``(runs, …)``.
        final_validation_errors: errors after the last update, of shape ``(runs)``.
        final_test_errors: likewise.
        restarts: for each run, the iterations before which its parameters were drawn anew.
        diverged_at: for each run, the iteration of its first NaN weight, or -1.
        stopped_at: for each run, the evaluation at which early stopping retired it, or -1. Its later entries are NaN,
            and its final errors and parameters are those of that evaluation.
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
        """Return how many evaluations count for a run: those before it diverged, and up to its early stop."""
        if run < len(self.diverged_at) and (end := self.diverged_at[run]) >= 0:
            return int(np.searchsorted(self.iterations, end))
        if run < len(self.stopped_at) and (stop := self.stopped_at[run]) >= 0:
            return int(np.searchsorted(self.iterations, stop, side="right"))
        return len(self.iterations)
