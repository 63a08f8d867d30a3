"""Sequences of vectors: training batches and evaluation data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from nalm.modules.operations import OPERATIONS
from nalm.spec.ranges import Range
from nalm.spec.recipe import Recipe
from nalm.tasks.subsets.streams import TEST_SEED, VALIDATION_SEED, parent_draws, sample

if TYPE_CHECKING:
    from nalm.tasks.vectors.network import VectorNetwork
    from nalm.tasks.vectors.task import VectorTask

__all__ = ["VectorData", "VectorSequences", "vector_sequences"]

AT_ONCE = 64
"""Sequences drawn at once: few, because a thousand vectors of each are large. With unions, the random numbers depend on
it.
"""
HELD_OUT_SEQUENCES = 2_048


class VectorSequences(NamedTuple):
    """Sequences of vectors ``(n, steps, columns)``, float64, and the sums of their vectors ``(n, columns)``."""

    vectors: Tensor
    sums: Tensor

    def targets(self, task: VectorTask, offset: int) -> Tensor:
        """Return the results ``(n)`` of a task's operation on slices at an offset."""
        operands = [self.sums[:, start:end].sum(1) for start, end in task.slices(offset)]
        return OPERATIONS[task.operation].apply(operands)


def vector_sequences(
    drawn_from: Range, rng: np.random.RandomState, count: int, steps: int, columns: int
) -> VectorSequences:
    """Draw sequences, vector after vector."""
    vectors = sample(drawn_from, rng, count * steps, columns).T.reshape(count, steps, columns)
    return VectorSequences(vectors, vectors.sum(1))


class _HeldOut(NamedTuple):
    """Evaluation data: sequences of vectors ``(n, steps, columns)`` and targets ``(n)``."""

    vectors: Tensor
    targets: Tensor

    def error(self, network: VectorNetwork) -> float:
        """Return the mean squared error in float64, because squares of products of long sums overflow float32."""
        results, _ = network(self.vectors)
        return float(((results[:, 0].double() - self.targets) ** 2).mean())


class VectorData:
    """Training batches and evaluation data of a task on vectors; see :class:`Data`."""

    def __init__(
        self, task: VectorTask, tasks: Sequence[VectorTask], seed: int, recipe: Recipe, device: torch.device
    ) -> None:
        self._task, self._rows = task, recipe.batch_size
        self._dtype, self._device = recipe.dtype, device
        self._offset, self._stream = parent_draws(task, seed)
        self._validation = self._held_out(task.train, task.steps, VALIDATION_SEED)
        self._tests = [self._held_out(tested.test, tested.test_steps, TEST_SEED) for tested in tasks]

    def batch(self, iteration: int) -> tuple[Tensor, Tensor]:
        """Return vectors ``(n, steps, columns)`` and targets ``(n, 1)`` of one iteration, which has its own stream."""
        sequence = np.random.SeedSequence((self._stream, iteration))
        rng = np.random.RandomState(np.random.MT19937(sequence))
        task = self._task
        drawn = vector_sequences(task.train, rng, self._rows, task.steps, task.input_size)
        targets = drawn.targets(task, self._offset).unsqueeze(-1)
        return drawn.vectors.to(self._device, self._dtype), targets.to(self._device, self._dtype)

    @torch.no_grad()
    def errors(self, network: VectorNetwork) -> tuple[float, list[float]]:
        """Return the validation error, and the test error of every task."""
        return self._validation.error(network), [test.error(network) for test in self._tests]

    def _held_out(self, drawn_from: Range, steps: int, seed: int) -> _HeldOut:
        rng = np.random.RandomState(seed)
        vectors, targets = [], []
        for _ in range(0, HELD_OUT_SEQUENCES, AT_ONCE):
            drawn = vector_sequences(drawn_from, rng, AT_ONCE, steps, self._task.input_size)
            vectors.append(drawn.vectors.to(self._device, self._dtype))
            targets.append(drawn.targets(self._task, self._offset).to(self._device))
        return _HeldOut(torch.cat(vectors), torch.cat(targets))
