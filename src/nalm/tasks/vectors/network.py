"""The recurrent network of tasks on vectors: a cell and a layer on its last states."""

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
    r"""A recurrent network: a cell that reads one vector per step, and a layer applied to the cell's last states.

    .. math:: h_t = \mathrm{cell}([x_t, h_{t-1}]), \qquad y = \mathrm{layer}(h_T)

    The initial states :math:`h_0` are learnt, too; training starts with 0.

    References:
        sequential tasks of Neural Arithmetic Units (Madsen & Johansen, ICLR 2020), https://arxiv.org/abs/2001.05016

    Arguments:
        task: decides the sizes.
        recipe: its module is the cell, its second module the layer.
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
        """Draw new initial parameters of the cell, then of the layer, and set the initial states to 0."""
        self.module.reset_parameters()
        self.initial.zero_()

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Map vectors ``(n, steps, columns)`` to results ``(n, 1)``.

        Return these and all inputs of the cell, ``(n · steps, inputs of the cell)``.
        """
        state, cell_inputs = self.initial.expand(len(inputs), -1), []
        for vector in inputs.unbind(1):
            cell_inputs.append(torch.cat([vector, state], -1))
            state = self.module.first(cell_inputs[-1])
        return self.module.second(state[:, : self.hidden_size]), torch.cat(cell_inputs)

    def regularizers(self, inputs: Tensor) -> dict[str, Tensor]:
        """Return the regularizer terms of both layers that depend on weights only."""
        return self.module.regularizers()
