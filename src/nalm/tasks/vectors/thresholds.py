"""Success thresholds of tasks on vectors: the error of a network whose weights are slightly off."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from nalm.modules.operations import OPERATIONS
from nalm.tasks.subsets.thresholds import PERTURBATION, SIMULATION_SEED
from nalm.tasks.vectors.data import AT_ONCE, vector_sequences
from nalm.threads import one_thread

if TYPE_CHECKING:
    from nalm.tasks.vectors.task import VectorTask

__all__ = ["perturbed_sequence_error"]

SIMULATED_SEQUENCES = 2_048


@lru_cache(maxsize=64)
@one_thread()
def perturbed_sequence_error(task: VectorTask) -> float:
    r"""Simulate the error of a network that solves a task, except that the weights of its cell are slightly off.

    .. math:: h_t = \tilde W x_t + \tilde R h_{t-1}, \qquad
        \tilde W = W + \varepsilon (1 - 2 W), \quad \tilde R = R + \varepsilon (1 - 2 R)

    with :math:`\varepsilon = 10^{-5}`, where :math:`W` selects each operand's slice of a vector and :math:`R` keeps the
    state. This is the threshold of two-layer networks (see ``perturbed_errors``) with sequences instead of rows. It is
    simulated on 2,048 sequences of the test range and length with a fixed seed. If slices cover the whole vector, the
    errors of a sum cancel; such a task needs a number as its threshold.

    Arguments:
        task: the task; its threshold is not used.

    Raises:
        ValueError: the error is not finite.
    """
    slices = task.slices(0)
    selection = torch.zeros(len(slices), task.input_size, dtype=torch.float64)
    for operand, (start, end) in enumerate(slices):
        selection[operand, start:end] = 1
    recurrent = _perturbed(torch.eye(len(slices), dtype=torch.float64))
    weights = [_perturbed(selection)]  # from a vector to the last states; the last vector first
    for _ in range(task.test_steps - 1):
        weights.append(recurrent @ weights[-1])
    weight = torch.stack(weights[::-1])
    apply = OPERATIONS[task.operation].apply
    rng = np.random.RandomState(SIMULATION_SEED)
    squares = []
    for _ in range(0, SIMULATED_SEQUENCES, AT_ONCE):
        drawn = vector_sequences(task.test, rng, AT_ONCE, task.test_steps, task.input_size)
        states = torch.einsum("tsi,nti->sn", weight, drawn.vectors)
        squares.append((apply(list(states)) - drawn.targets(task, 0)) ** 2)
    mean = torch.cat(squares).mean().item()
    if not math.isfinite(mean):
        raise ValueError(f"threshold perturbed needs finite errors, found {mean} for {task.tested_on}")
    return mean


def _perturbed(weight: Tensor) -> Tensor:
    return weight + PERTURBATION * (1 - 2 * weight)
