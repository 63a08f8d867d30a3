"""Numbers in words: training batches and evaluation data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from nalm.spec.recipe import Recipe
from nalm.tasks.words.words import split_numbers, tokens

if TYPE_CHECKING:
    from nalm.tasks.words.network import WordNetwork
    from nalm.tasks.words.task import WordTask

__all__ = ["WordData"]


class _Numbers:
    """Numbers and their tokens."""

    def __init__(self, numbers: np.ndarray[tuple[int], np.dtype[np.int64]], device: torch.device) -> None:
        self.tokens = torch.from_numpy(tokens(numbers)).to(device)
        self.targets = torch.from_numpy(numbers).to(device, torch.float64).unsqueeze(-1)

    def error(self, network: WordNetwork) -> float:
        """Return the mean squared error in float64."""
        results, _ = network(self.tokens)
        return float(((results.double() - self.targets) ** 2).mean())


class WordData:
    """Training batches and evaluation data of the task on words; see :class:`Data`."""

    def __init__(
        self, task: WordTask, tasks: Sequence[WordTask], seed: int, recipe: Recipe, device: torch.device
    ) -> None:
        split = split_numbers(seed)
        self._train, self._validation, self._test = (_Numbers(numbers, device) for numbers in split)
        self._seed, self._rows, self._dtype, self._tasks = seed, recipe.batch_size, recipe.dtype, len(tasks)

    def batch(self, iteration: int) -> tuple[Tensor, Tensor]:
        """Return tokens ``(n, 5)`` and numbers ``(n, 1)`` of one iteration.

        Every epoch has its own order. The last batch of an epoch may be smaller.
        """
        count = len(self._train.tokens)
        epoch, batch = divmod(iteration, -(-count // self._rows))
        order = np.random.default_rng((self._seed, epoch)).permutation(count)
        rows = torch.from_numpy(order[batch * self._rows : (batch + 1) * self._rows])
        return self._train.tokens[rows], self._train.targets[rows].to(self._dtype)

    @torch.no_grad()
    def errors(self, network: WordNetwork) -> tuple[float, list[float]]:
        """Return the validation error, and the same test error for every task."""
        return self._validation.error(network), [self._test.error(network)] * self._tasks
