"""Success thresholds of tasks on rows of numbers."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from nalm.errors import NalmError
from nalm.modules.base import ArithmeticModule
from nalm.modules.operations import OPERATIONS
from nalm.spec.names import STORED
from nalm.spec.recipe import Recipe
from nalm.spec.thresholds import Threshold
from nalm.tasks.subsets.streams import fixed_test_rows, sample
from nalm.threads import one_thread

if TYPE_CHECKING:
    from nalm.tasks.subsets.task import SubsetTask

__all__ = ["Simulation", "gold_error", "perturbed_errors", "threshold"]

ROUNDING = 1e-5
"""Relative tolerance of gold thresholds. In training, the test error of gold weights can be slightly larger than here,
because squares are added in another order and logarithms rounded differently: in a compiled ensemble by up to 4.8e-6
(Real NPU) and 3.8e-6 (NMRU).
"""
PERTURBATION = 1e-5
SIMULATED_ROWS = 1_000_000
ROWS_AT_ONCE = 2_000  # few enough to stay in the cache; with unions, the random numbers depend on it
SIMULATION_SEED = 0


def threshold(task: SubsetTask, module: nn.Module | None = None) -> Threshold:
    """Return the threshold of a task, for runs of a module.

    A number is judged with <. ``gold`` is the test error of the module's gold weights plus the machine epsilon of its
    precision, judged with <=. ``perturbed`` is the error of a two-layer network whose weights are slightly off (see
    ``perturbed_errors``), judged with <.

    References:
        gold: Learning Division with Neural Arithmetic Logic Modules (Mistry, Farrahi & Hare, 2021),
        https://arxiv.org/abs/2110.05177; perturbed: Neural Arithmetic Units (Madsen & Johansen, ICLR 2020),
        https://arxiv.org/abs/2001.05016

    Arguments:
        task: the task.
        module: the module that learns it; only ``gold`` needs one.

    Raises:
        ValueError: the module has no gold weights for the operation, or errors are not finite.
    """
    if task.threshold == "gold":
        if module is None:
            raise ValueError("found threshold gold and no module, expected one whose gold weights decide")
        eps = torch.finfo(next(module.parameters()).dtype).eps
        return Threshold(gold_error(task, module) + eps, inclusive=True, rounding=ROUNDING, rows=task.judged_rows)
    if task.threshold == "perturbed":
        return Threshold(_perturbed_error(task), inclusive=False, rows=task.judged_rows)
    return Threshold(task.threshold, inclusive=False, rows=task.judged_rows)


def run_threshold(recipe: Recipe, task: SubsetTask) -> Threshold:
    """Return the threshold of a task for runs of a recipe, computed once per process.

    Raises:
        NalmError: the threshold is ``gold``, and the recipe's module has no gold weights for the operation or cannot be
            built.
    """
    if task.threshold != "gold":
        return threshold(task)
    return _gold_threshold(task, recipe.model_dump_json(include={"module", "second", "precision"}))


@lru_cache(maxsize=1024)
def _gold_threshold(task: SubsetTask, fields: str) -> Threshold:
    recipe = Recipe.model_validate_json(fields, context=STORED)
    try:
        return threshold(task, task.probe(recipe).to(recipe.dtype))
    except ValueError as error:
        raise NalmError(str(error)) from None


@one_thread()
@torch.no_grad()
def gold_error(task: SubsetTask, module: nn.Module) -> float:
    """Return the mean squared error of a module's gold weights on the task's test rows, in the module's precision.

    Raises:
        ValueError: an operand is more than one input, the module has no gold weights for the operation, or their error
            is not finite.
    """
    operands = task.gold_operands()
    name = type(module).__name__
    if not isinstance(module, ArithmeticModule):
        raise ValueError(f"threshold gold needs gold weights, found {name}, which does not know any")
    try:
        gold = copy.deepcopy(module).gold(task.operation, *operands).eval()
    except ValueError as error:
        raise ValueError(f"threshold gold needs gold weights: {error}") from None
    inputs, targets = fixed_test_rows(task, next(gold.parameters()).dtype)
    mean = nn.functional.mse_loss(gold(inputs), targets).item()
    if not math.isfinite(mean):
        raise ValueError(
            f"threshold gold needs a finite error, found {mean} for {name} and the range {task.test.label}"
        )
    return mean


@dataclass(frozen=True)
class Simulation:
    """A simulated mean and its standard error."""

    mean: float
    standard_error: float


@one_thread()
def perturbed_errors(tasks: Sequence[SubsetTask]) -> list[Simulation]:
    r"""Simulate the errors of two-layer networks whose first weights are slightly off, on the tasks' test range.

    .. math:: \overline{\big(f(X \tilde W) - f(X W)\big)^2}, \qquad \tilde W = W + \varepsilon (1 - 2 W)

    with :math:`\varepsilon = 10^{-5}`, where :math:`W` selects each operand's slice of the input, with 1,000,000 rows
    and a fixed seed. Tasks with the same test range and input size share the rows; each result is the same as alone.

    In the original's script, ranges of indices include their end. Therefore a slice has one input more here than in the
    task (if there is one), except in the ``simple`` layout. Only this reproduces the published thresholds.

    References:
        Neural Arithmetic Units (Madsen & Johansen, ICLR 2020), https://arxiv.org/abs/2001.05016

    Arguments:
        tasks: the tasks; their thresholds are not used.
    """
    results: dict[SubsetTask, Simulation] = {}
    for first in tasks:
        if first not in results:
            alike = [task for task in tasks if (task.test, task.input_size) == (first.test, first.input_size)]
            results |= dict(zip(alike, _simulate(alike), strict=True))
    return [results[task] for task in tasks]


def _simulate(tasks: Sequence[SubsetTask]) -> list[Simulation]:
    """Simulate tasks that have the same test range and input size."""
    rng = np.random.RandomState(SIMULATION_SEED)
    moments = torch.zeros(len(tasks), 2, dtype=torch.float64)
    for _ in range(0, SIMULATED_ROWS, ROWS_AT_ONCE):
        inputs = sample(tasks[0].test, rng, ROWS_AT_ONCE, tasks[0].input_size)
        squares = torch.stack([_squared_differences(task, inputs) for task in tasks])
        moments += torch.stack([squares.sum(1), (squares**2).sum(1)], dim=1)
    mean, mean_square = (moments / SIMULATED_ROWS).unbind(1)
    standard_error = ((mean_square - mean**2) / SIMULATED_ROWS).sqrt()
    return [Simulation(*values) for values in zip(mean.tolist(), standard_error.tolist(), strict=True)]


def _squared_differences(task: SubsetTask, inputs: Tensor) -> Tensor:
    extra = 0 if task.simple else 1
    selected = [inputs[start : end + extra].sum(0) for start, end in task.slices(0)]
    everything = inputs.sum(0)
    perturbed = [(1 - PERTURBATION) * operand + PERTURBATION * (everything - operand) for operand in selected]
    apply = OPERATIONS[task.operation].apply
    return (apply(perturbed) - apply(selected)) ** 2


@lru_cache(maxsize=64)
def _perturbed_error(task: SubsetTask) -> float:
    (simulation,) = perturbed_errors([task])
    if not math.isfinite(simulation.mean):
        raise ValueError(f"threshold perturbed needs finite errors, found {simulation.mean} for {task.test.label}")
    return simulation.mean
