"""Arithmetic modules as recurrent cells."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nalm.modules.base import ArithmeticModule

__all__ = ["ArithmeticCell"]


class ArithmeticCell(nn.Module):
    r"""A recurrent cell whose next state is an arithmetic module of the input and the state.

    .. math:: h_t = \mathrm{module}([x_t, h_{t-1}])

    It is used as ``torch.nn.RNNCell``. A cell that adds starts with a state of 0, one that multiplies with 1.

    References:
        sequential tasks of Neural Arithmetic Units (Madsen & Johansen, ICLR 2020), https://arxiv.org/abs/2001.05016

    Arguments:
        module: the module, with more inputs than outputs: as many as the cell has inputs and states; its outputs are
            the next state.
        initial: what every state starts with.

    Raises:
        ValueError: the module has no more inputs than outputs.

    >>> from nalm.modules import NMU
    >>> cell = ArithmeticCell(NMU(2, 1).gold("mul"), initial=1.0)
    >>> state = None
    >>> for digit in (3.0, 4.0, 5.0):
    ...     state = cell(torch.tensor([[digit]]), state)
    >>> state.detach()
    tensor([[60.]])
    """

    def __init__(self, module: ArithmeticModule, *, initial: float = 0.0) -> None:
        super().__init__()
        if module.in_features <= module.out_features:
            raise ValueError(
                f"ArithmeticCell: found a module of {module.in_features} inputs and {module.out_features} outputs, "
                "expected more inputs than outputs: those of the cell, then its states"
            )
        self.module = module
        self.input_size = module.in_features - module.out_features
        self.hidden_size = module.out_features
        self.initial = initial

    def reset_parameters(self) -> None:
        """Draws new initial parameters of the module."""
        self.module.reset_parameters()

    def forward(self, x: Tensor, state: Tensor | None = None) -> Tensor:
        """Shape: input ``(*, input_size)`` and state ``(*, hidden_size)`` to the next state ``(*, hidden_size)``."""
        if state is None:
            state = x.new_full((*x.shape[:-1], self.hidden_size), self.initial)
        result: Tensor = self.module(torch.cat([x, state], -1))
        return result

    def extra_repr(self) -> str:
        """Sizes, as torch's own cells print them."""
        return f"{self.input_size}, {self.hidden_size}, initial={self.initial:g}"
