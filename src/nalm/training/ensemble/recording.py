"""Records what happens to the runs of an ensemble, whether they are still in its stack or not."""

from collections.abc import Sequence
from time import time

import numpy as np
import numpy.typing as npt
from torch import Tensor

from nalm.spec.recipe import Recipe
from nalm.spec.thresholds import Threshold
from nalm.training.ensemble.early_stopping import EarlyStopping, Final
from nalm.training.ensemble.stack import Stack
from nalm.training.ensemble.step import Program
from nalm.training.history import MOST_PARAMETERS, History
from nalm.training.optimizers import Tensors

__all__ = ["Recorder"]

Array = npt.NDArray[np.float64]


class Recorder:
    """The history of an ensemble's runs, and which of them have stopped early.

    Arguments:
        runs: number of runs.
        recipe: how they are trained.
        thresholds: one per run if they stop early, or none.
        parameters: initial parameters of all runs.
    """

    def __init__(self, runs: int, recipe: Recipe, thresholds: Sequence[Threshold], parameters: Tensors) -> None:
        self.runs = runs
        self.history = History()
        self.early_stopping = EarlyStopping(runs, thresholds)
        self.final = Final.unknown(runs, parameters)
        evaluations = recipe.iterations // recipe.evaluate_every + 1
        numbers = sum(value[0].numel() for value in parameters.values())
        self.keeps_parameters = evaluations * numbers <= MOST_PARAMETERS
        """Whether the parameters of every evaluation are kept."""

    def evaluate(self, iteration: int, stack: Stack, program: Program) -> npt.NDArray[np.int64]:
        """Measure all runs, and return those that stop now."""
        history = self.history
        history.iterations.append(iteration)
        now, sparsity_errors = self._now(stack, program)
        history.wall_times.append(time())
        history.validation_errors.append(now.validation_errors)
        history.test_errors.append(now.test_errors)
        history.sparsity_errors.append(sparsity_errors)
        if self.keeps_parameters:
            history.parameters.append(now.parameters)
        diverged = now.diverged_at >= 0
        stopped = self.early_stopping.stop(iteration, now.validation_errors, now.test_errors, diverged)
        self.final.keep(stopped, now)
        history.stopped_at = self.early_stopping.stopped_at
        return stopped

    def report(self, stack: Stack, criterion: Tensor, penalty: Tensor) -> None:
        """Record the training loss of the step after an evaluation."""
        self.history.criteria.append(self._of_all(stack, criterion))
        self.history.penalties.append(self._of_all(stack, penalty))

    def finish(self, stack: Stack, program: Program, restarts: list[list[int]]) -> None:
        """Record what runs are after their last updates."""
        now, _ = self._now(stack, program)
        self.final.keep(self.early_stopping.active, now)
        history = self.history
        history.final_validation_errors = self.final.validation_errors
        history.final_test_errors = self.final.test_errors
        history.parameters.append(self.final.parameters)
        history.restarts = restarts
        history.diverged_at = self.final.diverged_at.astype(np.int64)
        fixed = program.models.fixed(self.runs)
        history.buffers = {name: value.cpu().numpy().astype(np.float64) for name, value in fixed.items()}

    def restore_stops(self, stopped_at: npt.NDArray[np.int64]) -> None:
        """Restore which runs had stopped and when; the history is restored before."""
        self.early_stopping.restore(stopped_at, self.history.validation_errors)
        self.history.stopped_at = self.early_stopping.stopped_at

    def _now(self, stack: Stack, program: Program) -> tuple[Final, Array]:
        """Return the values of all runs as they are now, and their sparsity errors."""
        sampler, models = stack.sampler, stack.state
        validation, test, sparsity = program.evaluate(models.parameters, sampler.validation, sampler.test)
        parameters = {name: self._of_all(stack, value) for name, value in models.parameters.items()}
        errors = self._of_all(stack, validation), self._of_all(stack, test)
        return Final(*errors, self._of_all(stack, models.diverged_at), parameters), self._of_all(stack, sparsity)

    def _of_all(self, stack: Stack, values: Tensor) -> Array:
        """Return values of a stack as those of all runs; NaN for runs that stopped before the last evaluation."""
        found = stack.unpad(values)
        result = np.full((self.runs, *found.shape[1:]), np.nan)
        result[stack.present] = found
        last = self.history.iterations[-1] if self.history.iterations else 0
        result[~self.early_stopping.trained_at(last)] = np.nan
        return result
