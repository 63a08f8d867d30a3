"""Recurrent networks that take one vector after the other and calculate with their last states."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from nalm.modules.cells import CELLS
from nalm.modules.two_layers import TwoLayers
from nalm.spec.ranges import Range
from nalm.spec.recipe import PARAMETER_NORMS, Recipe
from nalm.tasks.subsets.streams import TEST_SEED, VALIDATION_SEED, parent_draws
from nalm.tasks.vectors.task import AT_ONCE, VectorTask, vector_sequences
from nalm.training.recurrent import RecurrentNetwork, check_noise, check_terms

__all__ = ["VectorData", "VectorNetwork", "check_vectors"]

HELD_OUT_SEQUENCES = 2_048


class VectorNetwork(RecurrentNetwork):
    r"""A cell that makes the next states from a vector and the last ones, and a layer that takes the last of all.

    .. math:: h_t = \mathrm{cell}([x_t, h_{t-1}]), \qquad y = \mathrm{layer}(h_T)

    The first states are learnt, too, and start at 0.

    References:
        sequential tasks of Neural Arithmetic Units (Madsen & Johansen, ICLR 2020), https://arxiv.org/abs/2001.05016

    Arguments:
        task: what is learnt: it has the sizes.
        recipe: its module is the cell, its second one the layer.
    """

    module: TwoLayers

    def __init__(self, task: VectorTask, recipe: Recipe) -> None:
        super().__init__()
        network = recipe.build(task.module_inputs, task.hidden_size)
        assert isinstance(network, TwoLayers)
        self.module = network
        self.hidden_size = task.hidden_size
        self.initial = nn.Parameter(torch.zeros(getattr(network.first, "state_size", task.hidden_size)))

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draws new initial parameters of the cell, then of the layer; states start at 0."""
        self.module.reset_parameters()
        self.initial.zero_()

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Shape: vectors ``(n, steps, columns)`` to ``(n, 1)`` and ``(n · steps, inputs of the cell)``."""
        state, seen = self.initial.expand(len(inputs), -1), []
        for vector in inputs.unbind(1):
            seen.append(torch.cat([vector, state], -1))
            state = self.module.first(seen[-1])
        return self.module.second(state[:, : self.hidden_size]), torch.cat(seen)

    def regularizers(self, inputs: Tensor) -> dict[str, Tensor]:
        """Terms of both layers that depend on nothing but weights."""
        return self.module.regularizers()


def check_vectors(recipe: Recipe, task: VectorTask) -> None:
    """Checks that a network with the recipe's modules can be trained on a task.

    Raises:
        ValueError: it cannot.
    """
    if recipe.second is None:
        raise ValueError(
            f"found no second module with {task.learnt_from}, expected one for the last states of the first"
        )
    if recipe.second.name in CELLS:
        raise ValueError(f"found second {recipe.second.name}, expected a module without states")
    module = recipe.probe(task.module_inputs, task.hidden_size)
    assert isinstance(module, TwoLayers)
    check_noise(recipe.architecture, module, task)
    check_terms(recipe, set(PARAMETER_NORMS) | set(module.regularizers()))
    if recipe.module.name not in CELLS:
        recipe.check(task.module_inputs, task.hidden_size)


class _HeldOut(NamedTuple):
    """Sequences of vectors ``(n, steps, columns)`` and results ``(n)`` on which errors are measured."""

    vectors: Tensor
    targets: Tensor

    def error(self, network: VectorNetwork) -> float:
        """Mean squared error in float64: squares of products of long sums are too large for less."""
        results, _ = network(self.vectors)
        return float(((results[:, 0].double() - self.targets) ** 2).mean())


class VectorData:
    """Batches to train on, and sequences on which errors are measured; see :class:`Data`."""

    def __init__(
        self, task: VectorTask, tasks: Sequence[VectorTask], seed: int, recipe: Recipe, device: torch.device
    ) -> None:
        self._task, self._rows = task, recipe.batch_size
        self._dtype, self._device = recipe.dtype, device
        self._offset, self._stream = parent_draws(task, seed)
        self._validation = self._held_out(task.train, task.steps, VALIDATION_SEED)
        self._tests = [self._held_out(tested.test, tested.test_steps, TEST_SEED) for tested in tasks]

    def batch(self, iteration: int) -> tuple[Tensor, Tensor]:
        """Vectors ``(n, steps, columns)`` and results ``(n, 1)`` of one iteration, which has a stream of its own."""
        sequence = np.random.SeedSequence((self._stream, iteration))
        rng = np.random.RandomState(np.random.MT19937(sequence))
        task = self._task
        drawn = vector_sequences(task.train, rng, self._rows, task.steps, task.input_size)
        targets = drawn.targets(task, self._offset).unsqueeze(-1)
        return drawn.vectors.to(self._device, self._dtype), targets.to(self._device, self._dtype)

    @torch.no_grad()
    def errors(self, network: VectorNetwork) -> tuple[float, list[float]]:
        """The validation error, and the test error of every task."""
        return self._validation.error(network), [test.error(network) for test in self._tests]

    def _held_out(self, drawn_from: Range, steps: int, seed: int) -> _HeldOut:
        rng = np.random.RandomState(seed)
        vectors, targets = [], []
        for _ in range(0, HELD_OUT_SEQUENCES, AT_ONCE):
            drawn = vector_sequences(drawn_from, rng, AT_ONCE, steps, self._task.input_size)
            vectors.append(drawn.vectors.to(self._device, self._dtype))
            targets.append(drawn.targets(self._task, self._offset).to(self._device))
        return _HeldOut(torch.cat(vectors), torch.cat(targets))
