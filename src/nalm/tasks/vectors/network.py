"""Recurrent networks that take one vector after the other and calculate with their last states."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from nalm.modules.two_layers import TwoLayers
from nalm.spec.recipe import Recipe
from nalm.training.recurrent import RecurrentNetwork

if TYPE_CHECKING:
    from nalm.tasks.vectors.task import VectorTask

__all__ = ["VectorNetwork"]


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
        network = task.build(recipe)
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
