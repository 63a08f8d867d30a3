"""The error of a network that solves a task on sequences of vectors, but for weights that are slightly off."""

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
    r"""Error of a network that solves a task, but for the weights of its cell, which are slightly off.

    .. math:: h_t = \tilde W x_t + \tilde R h_{t-1}, \qquad
        \tilde W = W + \varepsilon (1 - 2 W), \quad \tilde R = R + \varepsilon (1 - 2 R)

    with :math:`\varepsilon = 10^{-5}`, where :math:`W` selects each operand's slice of a vector and :math:`R` keeps the
    state: as the thresholds of two layers are made (see ``perturbed_errors``), with sequences in place of rows. It is
    simulated on 2,048 sequences of the test range and length with a fixed seed. Where slices have all of a vector, the
    errors of a sum cancel: such a task needs a number.

    Arguments:
        task: any; its own threshold plays no part.

    Raises:
        ValueError: the error is not finite.
    """
    slices = task.slices(0)
    selection = torch.zeros(len(slices), task.input_size, dtype=torch.float64)
    for operand, (start, end) in enumerate(slices):
        selection[operand, start:end] = 1
    of_last = _off(selection)
    kept = _off(torch.eye(len(slices), dtype=torch.float64))
    shares = [of_last]
    for _ in range(task.test_steps - 1):
        shares.append(kept @ shares[-1])
    of_vectors = torch.stack(shares[::-1])
    apply = OPERATIONS[task.operation].apply
    rng = np.random.RandomState(SIMULATION_SEED)
    squares = []
    for _ in range(0, SIMULATED_SEQUENCES, AT_ONCE):
        drawn = vector_sequences(task.test, rng, AT_ONCE, task.test_steps, task.input_size)
        states = torch.einsum("tsi,nti->sn", of_vectors, drawn.vectors)
        squares.append((apply(list(states)) - drawn.targets(task, 0)) ** 2)
    mean = torch.cat(squares).mean().item()
    if not math.isfinite(mean):
        raise ValueError(f"threshold perturbed needs finite errors, found {mean} for {task.tested_on}")
    return mean


def _off(weight: Tensor) -> Tensor:
    return weight + PERTURBATION * (1 - 2 * weight)
