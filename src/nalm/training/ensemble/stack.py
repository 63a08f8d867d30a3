"""The stacked models of an ensemble, padded to a size at which results don't depend on the number of runs."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only

from nalm.spec.recipe import Recipe
from nalm.training.ensemble.data import MakeSampler, Sampler
from nalm.training.ensemble.step import TrainState
from nalm.training.optimizers import Tensors, optimizer

__all__ = ["Stack", "stack_size"]

SMALLEST = 64
"""Minimum stack size when compiling. Smaller shards are padded with copies of the last run, so that results don't
depend on which runs train together: for fewer models the compiler orders loops, and therefore sums, differently
(measured with 2 inputs).
"""
VECTOR = 32
"""Eager stacks are padded to a multiple of this size, for the same reason: values that don't fill a vector register are
computed by other instructions.
"""
SMALLEST_STOPPING = 4
"""Minimum stack size when compiling with early stopping. Such stacks shrink, so runs are equal only up to rounding."""

Runs = npt.NDArray[np.int64]


def stack_size(runs: int, recipe: Recipe, compiled: bool) -> int:
    """Return the size of a stack for a number of runs."""
    if not compiled:
        return runs + -runs % VECTOR
    return max(runs, SMALLEST_STOPPING if recipe.stop_when_solved else SMALLEST)


class Stack:
    """Stacked models: those of the runs that are present, in order, then padding with copies of the last one.

    Arguments:
        runs: number of runs; at first all of them are present.
        size: number of models, padding included.
        recipe: the recipe of all runs.
        make_sampler: makes the sampler of their batches.
        device: the device to train on.
    """

    sampler: Sampler
    state: TrainState
    """The models' parameters and the optimizer's state."""

    def __init__(self, runs: int, size: int, recipe: Recipe, make_sampler: MakeSampler, device: torch.device) -> None:
        self.present: Runs = np.arange(runs)
        self._recipe = recipe
        self._make_sampler = make_sampler
        self._device = device
        self.resize(size)

    def resize(self, size: int) -> None:
        """Change the number of models, and make a sampler for them."""
        self.size = size
        self.sampler = self._make_sampler(self._padded(self.present).tolist())

    def start(self, parameters: Tensors) -> None:
        """Start training from the initial parameters of the runs, ``(runs, …)``."""
        filled = {name: self.pad(value) for name, value in parameters.items()}
        diverged_at = torch.full((self.size,), -1, device=self._device)
        self.state = TrainState(filled, optimizer(self._recipe).state(filled), diverged_at)

    def shrink(self, runs: Runs, size: int) -> None:
        """Keep only some of the runs that are present, in a stack of another size."""
        positions = np.flatnonzero(np.isin(self.present, runs))
        self.present = self.present[positions]
        before = self.sampler
        self.resize(size)
        index = torch.from_numpy(self._padded(positions)).to(self._device)
        self.state = tree_map_only(Tensor, lambda tensor: tensor.index_select(0, index), self.state)
        self.sampler.take_over(before)

    def position(self, run: int) -> int:
        """Return the position of a run in the stack; 0 if it is not present."""
        return int(np.searchsorted(self.present, run)) if run in self.present else 0

    def replace(self, run: int, parameters: Tensors) -> None:
        """Set the parameters of a run, and of its copies if it is the last run; the optimizer's state stays."""
        position = self.position(run)
        end = None if position == len(self.present) - 1 else position + 1
        for name, values in self.state.parameters.items():
            values[position:end] = parameters[name]

    def pad(self, values: Tensor) -> Tensor:
        """Pad values of the present runs with copies of the last, in the models' precision and on their device."""
        padded = torch.cat([values, *[values[-1:]] * (self.size - len(values))])
        return padded.to(self._device, self._recipe.dtype)

    def unpad(self, values: Tensor) -> npt.NDArray[np.float64]:
        """Return the values of the runs that are present, without padding."""
        return values[: len(self.present)].cpu().numpy().astype(np.float64)

    def _padded(self, positions: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        return np.append(positions, np.repeat(positions[-1:], self.size - len(positions)))
