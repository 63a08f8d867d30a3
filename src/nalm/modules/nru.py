"""Neural reciprocal unit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, Self

import torch
from torch import Tensor, nn

from nalm.modules.base import ArithmeticModule, as_symbols, choice, fraction, operand_exponents
from nalm.modules.functional import Shape, excess_penalty, product, ternary_penalty

if TYPE_CHECKING:
    import sympy

__all__ = ["NRU"]


class NRU(ArithmeticModule):
    r"""Multiplies inputs, their reciprocals, or ignores them: a weight is an exponent of 1, -1 or 0.

    .. math:: y_o = \prod_i \big( \mathrm{sgn}(x_i) |x_i|^{W_{oi}} T_{oi} + (1 - T_{oi}) \big)

    with :math:`T = \tanh(1000 W)^2` in training and :math:`T = |W|` in evaluation mode, which therefore differ unless
    the weights are discrete. With ``sign="separate"``, magnitude and sign are two products:
    :math:`\prod_i (|x_i|^{W_{oi}} T_{oi} + 1 - T_{oi}) \prod_i \mathrm{sgn}(x_i)^{\mathrm{round}(W_{oi})}`, and the
    sign has no gradient.

    Operations: ``mul``, ``div``, ``reciprocal``. Regularizers: ``weight``, ``out_of_bounds``, ``input``. Division by
    exactly 0 is NaN (``joint``) or infinite (``separate``); :math:`W = 0` is a stationary point.

    References:
        Learning Division with Neural Arithmetic Logic Modules (Mistry, Farrahi & Hare, 2021),
        https://arxiv.org/abs/2110.05177

    Arguments:
        in_features: number of inputs :math:`I`.
        out_features: number of outputs :math:`O`.
        sign: how signs are carried, ``joint`` or ``separate``.
        out_of_bounds: weights outside :math:`[-1, 1]` are clamped by a projection after the step (``clip``), or in
            the forward pass while a regularizer draws them back (``penalty``).
        shape: of the regularizers, ``linear``, ``squared`` or ``none``.
        init: uniform within :math:`\pm\min(0.5, \sqrt{6 / (I + O)})`, or ``beta``: :math:`2\,\mathrm{Beta}(7, 7) - 1`.
        identity_epsilon: raises the lower bound of the weights to :math:`-1 +` this.

    Raises:
        ValueError: an option has a value that is not listed here.

    >>> NRU(2, 1).gold("div").eval()(torch.tensor([3.0, -4.0])).detach()
    tensor([-0.7500])
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        sign: Literal["joint", "separate"] = "joint",
        out_of_bounds: Literal["clip", "penalty"] = "clip",
        shape: Shape = "linear",
        init: Literal["uniform", "beta"] = "uniform",
        identity_epsilon: float = 0.0,
    ) -> None:
        super().__init__(in_features, out_features)
        self.sign = choice(self, "sign", sign, ("joint", "separate"))
        self.out_of_bounds = choice(self, "out_of_bounds", out_of_bounds, ("clip", "penalty"))
        self.shape: Shape = shape
        choice(self, "shape", shape, ("linear", "squared", "none"))
        self.init = choice(self, "init", init, ("uniform", "beta"))
        self.identity_epsilon = fraction(self, "identity_epsilon", identity_epsilon)
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draws weights as ``init`` says."""
        if self.init == "beta":
            seven = self.weight.new_tensor([7.0])
            self.weight.copy_(2 * torch.distributions.Beta(seven, seven).sample(self.weight.shape).squeeze(-1) - 1)
        else:
            limit = min(0.5, math.sqrt(6 / (self.in_features + self.out_features)))
            self.weight.uniform_(-limit, limit)

    def effective_weight(self) -> Tensor:
        """The weights, clamped where a penalty lets them leave their bounds."""
        return self.weight if self.out_of_bounds == "clip" else self.weight.clamp(-1 + self.identity_epsilon, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Shape: ``(*, I)`` to ``(*, O)``."""
        weight = self.effective_weight()
        selected = torch.tanh(1000 * weight) ** 2 if self.training else weight.abs()
        ignored = 1 - selected  # subtracted before it is added, so that a weight of 1 loses no digits of a large input
        x = x.unsqueeze(-2)
        powers = x.abs() ** weight
        if self.sign == "joint":
            return product(torch.sign(x) * powers * selected + ignored)
        signs = torch.sign(x.detach()) ** torch.round(weight.detach())
        return product(powers * selected + ignored) * product(signs)

    @property
    def domain(self) -> dict[str, tuple[int, int]]:
        """Discrete values of the parameters."""
        return {"weight": (-1, 1)}

    def bounds(self) -> dict[str, tuple[float, float]]:
        """Weights in [-1, 1], unless a penalty is used instead."""
        return {"weight": (-1 + self.identity_epsilon, 1.0)} if self.out_of_bounds == "clip" else {}

    def regularizers(self, inputs: Tensor | None = None) -> dict[str, Tensor]:
        """``weight``: distance from {-1, 0, 1}; ``out_of_bounds``: from [-1, 1]; ``input``: unused large inputs."""
        terms = {
            "weight": ternary_penalty(self.weight, self.shape),
            "out_of_bounds": self.weight.new_zeros(())
            if self.out_of_bounds == "clip"
            else excess_penalty(self.weight, -1, 1, self.shape),
        }
        if inputs is not None:
            mean = inputs.reshape(-1, self.in_features).mean(0)
            terms["input"] = ((1 - self.weight.abs()) * mean**2).mean()
        return terms

    @torch.no_grad()
    def gold(self, operation: str, *operands: int) -> Self:
        """Sets the exponents as weights."""
        exponents = operand_exponents(self, ("mul", "div", "reciprocal"), operation, operands)
        self.weight.copy_(exponents.expand_as(self.weight))
        return self

    def to_sympy(self, names: Sequence[str | sympy.Symbol]) -> list[sympy.Expr]:
        """What each output computes in evaluation mode, as a formula of the named inputs."""
        import sympy

        symbols = as_symbols(self, names)

        def output(weights: list[float]) -> sympy.Expr:
            result = sympy.Integer(1)
            for symbol, weight in zip(symbols, weights, strict=True):
                selected = abs(weight)
                power = sympy.Abs(symbol) ** weight
                if self.sign == "joint":
                    result *= sympy.sign(symbol) * power * selected + 1 - selected
                else:
                    result *= (power * selected + 1 - selected) * sympy.sign(symbol) ** round(weight)
            return result

        return [output(weights) for weights in self.effective_weight().tolist()]
