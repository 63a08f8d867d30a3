"""Domain mixed unit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn

from nalm.modules.base import ArithmeticModule, Inputs, choice
from nalm.modules.functional import SATURATED, nearest
from nalm.modules.operations import OPERATIONS

__all__ = ["DMU"]


class DMU(ArithmeticModule):
    r"""Adds signed inputs, or their logarithms: sums, differences, products and quotients. A gate decides.

    .. math:: y = (G_1 \tanh(R / \delta) + G_2 s) \; \mathrm{clamp}(G_1 \sqrt{R^2 + \delta^2} + G_2 e^{L}), \qquad
        R = \sum_i O_i x_i, \quad L = \sum_i O_i \ln |x_i|, \quad s = \cos\Big(\pi \sum_i |O_i| [x_i < 0]\Big)

    for each output, with :math:`\delta = 10^{-4}`, :math:`O = \tanh(a) \, \mathrm{softplus}(b)` and :math:`G` the
    softmax of two logits. Magnitudes are clamped between :math:`10^{-11}` and :math:`10^6` in training, and
    between :math:`10^{-20}` and :math:`10^{20}` in evaluation; :math:`L` is clamped smoothly. In evaluation :math:`O`
    is rounded to -1, 0 or 1 and :math:`G` to 0 or 1. It always computes in float64. The error of sums is about
    :math:`\delta^2 / 2|R|`, at most :math:`0.16\,\delta`. An input of 0 counts as the least magnitude. Results and
    gradients are finite.

    Operations: ``add``, ``sub``, ``mul``, ``div``, ``reciprocal``; a fixed selector allows some
    of them. Regularizers: none.

    References:
        Domain Mixed Unit (Curry, 2025), https://arxiv.org/abs/2509.08180, which uses ``heads``

    Arguments:
        in_features: number of inputs :math:`I`.
        out_features: number of outputs :math:`O`.
        selector: ``learnt``, or fixed as in the paper, so that only the gate is learnt: the ``sum`` of all inputs or
            the ``difference`` of two.
        heads: whether selectors and gates are linear functions of the layer-normalized inputs, instead of parameters.

    Raises:
        ValueError: an option has a value that is not listed here, or a ``difference`` does not have two inputs.

    >>> DMU(2, 1).gold("div").eval()(torch.tensor([3.0, -4.0])).round(decimals=4)
    tensor([-0.7500], grad_fn=<RoundBackward1>)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        selector: Literal["learnt", "sum", "difference"] = "learnt",
        heads: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(in_features, out_features)
        factory: dict[str, Any] = {"device": device, "dtype": dtype}
        self.selector = choice(self, "selector", selector, ("learnt", "sum", "difference"))
        if selector == "difference" and in_features != 2:
            raise ValueError(f"DMU: found {in_features} inputs, expected 2 for selector='difference'")
        self.smoothing = 1e-4
        learns = {"sign": in_features, "size": in_features} if selector == "learnt" else {}
        shapes = learns | {"gate": 2}
        self.heads = nn.ModuleDict(
            {name: nn.Linear(in_features, out_features * size, **factory) for name, size in shapes.items()}
            if heads
            else {}
        )
        self.sign_hat: nn.Parameter | None = None
        self.size_hat: nn.Parameter | None = None
        self.gate_hat: nn.Parameter | None = None
        if not heads:
            self.gate_hat = nn.Parameter(torch.empty(out_features, 2, **factory))
            if selector == "learnt":
                self.sign_hat = nn.Parameter(torch.empty(out_features, in_features, **factory))
                self.size_hat = nn.Parameter(torch.empty(out_features, in_features, **factory))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Set all parameters to 0, or draw the heads' weights by Glorot's rule."""
        for parameter in self.parameters():
            if parameter.ndim > 1 and len(self.heads):
                nn.init.xavier_uniform_(parameter)
            else:
                parameter.zero_()

    def _logits(self, name: str, x: Tensor) -> Tensor:
        """Return logits of the sign, size or gate in float64: ``(O, …)`` or, from heads, ``(*, O, …)``."""
        if len(self.heads):
            values: Tensor = self.heads[name](nn.functional.layer_norm(x, (self.in_features,)))
            return values.reshape(*x.shape[:-1], self.out_features, -1).double()
        logits: Tensor = getattr(self, f"{name}_hat")
        return logits.double()

    def _selectors(self, x: Tensor) -> Tensor:
        if self.selector != "learnt":
            signs = [1.0] * self.in_features if self.selector == "sum" else [1.0, -1.0]
            return torch.tensor(signs, dtype=torch.float64, device=x.device).expand(self.out_features, -1)
        selectors = torch.tanh(self._logits("sign", x)) * nn.functional.softplus(self._logits("size", x))
        return selectors if self.training else nearest(selectors, -1, 1)

    def _gates(self, x: Tensor) -> Tensor:
        gates = torch.softmax(self._logits("gate", x), -1)
        if self.training:
            return gates
        added = (gates[..., :1] >= gates[..., 1:]).to(gates.dtype)
        return torch.cat([added, 1 - added], -1)

    def effective_weights(self) -> dict[str, Tensor]:
        """Return selectors and gates before rounding, if they do not depend on the inputs."""
        if self.gate_hat is None:
            return {}
        weights = {"gate": torch.softmax(self.gate_hat, -1)}
        if self.sign_hat is not None and self.size_hat is not None:
            weights["selector"] = torch.tanh(self.sign_hat) * nn.functional.softplus(self.size_hat)
        return weights

    def sparsity_error(self) -> Tensor:
        """Return the largest distance of a selector or gate from a discrete value, or NaN with heads."""
        if self.gate_hat is None:
            return next(self.parameters()).new_full((), float("nan"))
        return super().sparsity_error()

    def forward(self, x: Tensor) -> Tensor:
        """Compute the outputs, ``(*, I)`` to ``(*, O)``."""
        least, most, end = (1e-11, 1e6, math.log(1e6) - 1) if self.training else (1e-20, 1e20, 50.0)
        selectors, gates = self._selectors(x), self._gates(x)
        dtype, x = x.dtype, x.double().unsqueeze(-2)
        total = (selectors * x).sum(-1)
        log_sign = torch.cos(math.pi * (selectors.abs() * (x < 0)).sum(-1))
        sizes = x.abs().clamp(min=least) if self.smoothing else x.abs()
        power = (selectors * torch.log(sizes)).sum(-1)
        if self.smoothing:
            sign, size = torch.tanh(total / self.smoothing), torch.sqrt(total**2 + self.smoothing**2).clamp(min=least)
            exponential = torch.exp(_soft_clamp(power, end))
            magnitude = (gates[..., 0] * size + gates[..., 1] * exponential).clamp(least, most)
        else:
            sign, magnitude = torch.sign(total), gates[..., 0] * total.abs() + gates[..., 1] * torch.exp(power)
        return ((gates[..., 0] * sign + gates[..., 1] * log_sign) * magnitude).to(dtype)

    @property
    def operations(self) -> Mapping[str, Inputs]:
        """The operations that the selector allows."""
        sums: dict[str, Inputs] = {"add": "real", "mul": "nonzero"}
        differences: dict[str, Inputs] = {"sub": "real", "div": "nonzero"}
        if len(self.heads):
            return {}
        return {
            "sum": sums,
            "difference": differences,
            "learnt": sums | differences | {"reciprocal": "nonzero"},
        }[self.selector]

    def regularizers(self, inputs: Tensor | None = None) -> dict[str, Tensor]:
        """Return no regularizers."""
        return {}

    @torch.no_grad()
    def gold(self, operation: str, *operands: int) -> Self:
        """Saturate selectors at the coefficients, and the gate.

        Raises:
            ValueError: as for other modules; or a fixed selector has other operands.
        """
        selected = self.coefficients(operation, operands)
        assert self.gate_hat is not None
        if self.selector != "learnt" and not torch.equal(selected, self._selectors(selected)[0].to(selected.dtype)):
            raise ValueError(
                f"DMU: {operation} of inputs {operands} is not the fixed {self.selector} of all inputs in order"
            )
        self._select(selected)
        adds = OPERATIONS[operation].kind == "sum"
        self.gate_hat.copy_(self.gate_hat.new_tensor([SATURATED if adds else 0.0, 0.0 if adds else SATURATED]))
        return self

    @torch.no_grad()
    def discretize(self) -> Self:
        """Saturate selectors at the nearest of -1, 0 and 1, and gates at the nearest of 0 and 1."""
        if self.gate_hat is not None:
            weights = self.effective_weights()
            self._select(nearest(weights["selector"], -1, 1) if "selector" in weights else None)
            first = self.gate_hat[:, :1] >= self.gate_hat[:, 1:]
            self.gate_hat.copy_(torch.cat([first, ~first], 1) * SATURATED)
        return self

    def idealize(self) -> Self:
        """Remove the smoothing of sums and the limits of magnitudes."""
        self.smoothing = 0.0
        return super().idealize()

    def _select(self, selected: Tensor | None) -> None:
        if selected is not None and self.sign_hat is not None and self.size_hat is not None:
            self.sign_hat.copy_((selected.sign() * SATURATED).expand_as(self.sign_hat))
            self.size_hat.fill_(math.log(math.e - 1))  # whose softplus is 1


def _soft_clamp(x: Tensor, end: float) -> Tensor:
    """Clamp smoothly to [-end, end], with one softplus for each end, the upper end first."""
    below = end - nn.functional.softplus(end - x)
    return nn.functional.softplus(below + end) - end
