"""Recurrent cells: arithmetic modules as cells, and baselines."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nalm.modules.base import ArithmeticModule

__all__ = ["GRU", "LSTM", "Accumulator", "ArithmeticCell"]


class ArithmeticCell(nn.Module):
    r"""A recurrent cell whose next state is an arithmetic module of the input and the state.

    .. math:: h_t = \mathrm{module}([x_t, h_{t-1}])

    Use it like ``torch.nn.RNNCell``. For sums the initial state should be 0, for products 1.

    References:
        sequential tasks of Neural Arithmetic Units (Madsen & Johansen, ICLR 2020), https://arxiv.org/abs/2001.05016

    Arguments:
        module: maps the cell's inputs and states to its next states, so it has more inputs than outputs.
        initial: initial value of every state.

    Raises:
        ValueError: the module does not have more inputs than outputs.

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
        """Draw new initial parameters of the module."""
        self.module.reset_parameters()

    def forward(self, x: Tensor, state: Tensor | None = None) -> Tensor:
        """Compute the next state ``(*, hidden_size)`` of input ``(*, input_size)`` and state ``(*, hidden_size)``."""
        if state is None:
            state = x.new_full((*x.shape[:-1], self.hidden_size), self.initial)
        result: Tensor = self.module(torch.cat([x, state], -1))
        return result

    def extra_repr(self) -> str:
        """Return the sizes, as torch's own cells print them."""
        return f"{self.input_size}, {self.hidden_size}, initial={self.initial:g}"


class _TorchCell(nn.Module):
    """A cell of torch, with the sizes of an arithmetic module.

    Arguments:
        in_features: number of inputs and outputs of the cell together.
        out_features: number of outputs of the cell.
    """

    kind: type[nn.RNNCellBase]
    states: int
    """Number of states for each output."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        if in_features <= out_features:
            raise ValueError(
                f"{type(self).__name__}: found {in_features} inputs and {out_features} outputs, expected more inputs "
                "than outputs: those of the cell, then its outputs"
            )
        self.in_features = in_features
        self.out_features = out_features
        self.state_size = self.states * out_features
        self.cell = self.kind(in_features - out_features, out_features)  # type: ignore[call-arg]

    def reset_parameters(self) -> None:
        """Draw new initial parameters, as torch does."""
        self.cell.reset_parameters()


class LSTM(_TorchCell):
    """Long short-term memory, torch's cell. Its outputs lie between -1 and 1.

    References:
        Long Short-Term Memory (Hochreiter & Schmidhuber, 1997), https://doi.org/10.1162/neco.1997.9.8.1735

    Arguments:
        in_features: number of inputs and outputs of the cell together.
        out_features: number of outputs of the cell.
    """

    kind, states = nn.LSTMCell, 2

    def forward(self, x: Tensor) -> Tensor:
        """Compute the next states of input and states (outputs, then memory), ``(*, in_features + out_features)``."""
        inputs, state, memory = torch.split(x, [self.in_features - self.out_features, *[self.out_features] * 2], -1)
        return torch.cat(self.cell(inputs, (state, memory)), -1)


class GRU(_TorchCell):
    """Gated recurrent unit, torch's cell. Its outputs lie between -1 and 1.

    References:
        Learning Phrase Representations using RNN Encoder-Decoder (Cho et al., 2014), https://arxiv.org/abs/1406.1078

    Arguments:
        in_features: number of inputs and outputs of the cell together.
        out_features: number of outputs of the cell.
    """

    kind, states = nn.GRUCell, 1

    def forward(self, x: Tensor) -> Tensor:
        """Compute the next state ``(*, out_features)`` of input and state ``(*, in_features)``."""
        inputs, state = torch.split(x, [self.in_features - self.out_features, self.out_features], -1)
        result: Tensor = self.cell(inputs, state)
        return result


class Accumulator(nn.Module):
    """The solved cell, without parameters: it adds its input to its state, or multiplies or divides the state by it.

    A network that reads digits for this cell has nothing else to learn. Its error is therefore the best that a network
    can reach whose arithmetic module also has to learn the operation.

    Arguments:
        in_features: 2, the input and the state.
        out_features: 1, the next state.
        operation: ``add``, ``mul`` or ``div``.

    Raises:
        ValueError: the operation is unknown, or the sizes are not 2 and 1.
    """

    def __init__(self, in_features: int, out_features: int, *, operation: str = "add") -> None:
        super().__init__()
        if (in_features, out_features) != (2, 1):
            raise ValueError(f"Accumulator: found {in_features} inputs and {out_features} outputs, expected 2 and 1")
        if operation not in ("add", "mul", "div"):
            raise ValueError(f"Accumulator: operation is {operation!r}, expected one of: add, mul, div")
        self.in_features, self.out_features, self.state_size = in_features, out_features, 1
        self.operation = operation

    def forward(self, x: Tensor) -> Tensor:
        """Compute the next state ``(*, 1)`` of input and state ``(*, 2)``."""
        digit, state = x[..., :1], x[..., 1:]
        if self.operation == "div":
            return state / digit
        return state + digit if self.operation == "add" else state * digit
