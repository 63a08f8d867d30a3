"""Neural power units."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, Self

import torch
from torch import Tensor, nn

from nalm.modules.base import ArithmeticModule, as_symbols, choice, fraction, operand_exponents
from nalm.modules.functional import EPS32, binary_penalty, ternary_penalty

if TYPE_CHECKING:
    import sympy

__all__ = ["RealNPU"]


class RealNPU(ArithmeticModule):
    r"""Multiplies powers of the inputs that its gate lets through: products, quotients, roots, powers.

    .. math:: y_o = \exp\Big(\sum_i W_{oi} \ln r_i\Big) \cos\Big(\sum_i W_{oi} k_i\Big)

    with :math:`r_i = \hat g_i (|x_i| + \varepsilon) + 1 - \hat g_i`, :math:`k_i = \pi \hat g_i [x_i < 0]` and
    :math:`\hat g = \min(\max(g, 0), 1)`. A gate of 0 ignores its input. Because of :math:`\varepsilon`, results are
    exact up to :math:`\varepsilon / |x|`, relative. Gates outside :math:`[0, 1]` get no gradient.

    Operations: ``mul``, ``div``, ``reciprocal``, ``squared``, ``root``. Regularizers: ``weight``, ``gate``.

    References:
        Neural Power Units (Heim, Pevný & Šmídl, NeurIPS 2020), https://arxiv.org/abs/2006.01681;
        clipping, discretization and constrained initialization: Learning Division with Neural Arithmetic Logic
        Modules (Mistry, Farrahi & Hare, 2021), https://arxiv.org/abs/2110.05177

    Arguments:
        in_features: number of inputs :math:`I`.
        out_features: number of outputs :math:`O`.
        init: distribution of the initial weights, uniform within :math:`\pm\sqrt{6 / (I + O)}` (``xavier``) or within
            :math:`\pm\min(0.5, \sqrt{6 / (I + O)})` (``constrained``).
        clip: what a projection clamps: weights to :math:`[-1, 1]`, gates to :math:`[0, 1]`, both, or nothing.
        attract: to which values the ``weight`` regularizer draws: :math:`\{-1, 1\}` (``signs``) or
            :math:`\{-1, 0, 1\}` (``ternary``).
        eps: :math:`\varepsilon`, added to every magnitude.

    Raises:
        ValueError: an option has a value that is not listed here.

    >>> module = RealNPU(2, 1).gold("div")
    >>> module(torch.tensor([3.0, -4.0])).round(decimals=4)
    tensor([-0.7500], grad_fn=<RoundBackward1>)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        init: Literal["xavier", "constrained"] = "xavier",
        clip: Literal["none", "weight", "gate", "both"] = "none",
        attract: Literal["signs", "ternary"] = "signs",
        eps: float = EPS32,
    ) -> None:
        super().__init__(in_features, out_features)
        self.init = choice(self, "init", init, ("xavier", "constrained"))
        self.clip = choice(self, "clip", clip, ("none", "weight", "gate", "both"))
        self.attract = choice(self, "attract", attract, ("signs", "ternary"))
        self.eps = fraction(self, "eps", eps)
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        self.gate = nn.Parameter(torch.empty(in_features))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draws weights in the original's order, input by input; gates start at 0.5."""
        limit = math.sqrt(6 / (self.in_features + self.out_features))
        if self.init == "constrained":
            limit = min(0.5, limit)
        drawn = self.weight.new_empty(self.in_features, self.out_features).uniform_(-limit, limit)
        self.weight.copy_(drawn.T)
        self.gate.fill_(0.5)

    def forward(self, x: Tensor) -> Tensor:
        """Shape: ``(*, I)`` to ``(*, O)``."""
        gate = self.gate.clamp(0, 1)
        log_magnitude = torch.log(gate * (x.abs() + self.eps) + (1 - gate))
        phase = torch.where(x < 0, math.pi * gate, 0.0)
        power = (log_magnitude.unsqueeze(-2) * self.weight).sum(-1)
        angle = (phase.unsqueeze(-2) * self.weight).sum(-1)
        return torch.exp(power) * torch.cos(angle)

    @property
    def domain(self) -> dict[str, tuple[int, int]]:
        """Discrete values of the parameters."""
        return {"weight": (-1, 1), "gate": (0, 1)}

    def bounds(self) -> dict[str, tuple[float, float]]:
        """Weights and gates, as far as ``clip`` names them."""
        limits = {"weight": (-1.0, 1.0), "gate": (0.0, 1.0)}
        return {name: limit for name, limit in limits.items() if self.clip in (name, "both")}

    def regularizers(self, inputs: Tensor | None = None) -> dict[str, Tensor]:
        """``weight``: distance from the values that ``attract`` names; ``gate``: distance from {0, 1}."""
        weight = (1 - self.weight.abs()).abs().mean() if self.attract == "signs" else ternary_penalty(self.weight)
        return {"weight": weight, "gate": binary_penalty(self.gate)}

    @torch.no_grad()
    def discretize(self) -> Self:
        """Rounds to the domain; a free weight within 0.1 of another multiple of 1/2 is a root or a power, and stays."""
        halves = (2 * self.weight).round() / 2
        is_power = (halves - self.weight).abs() <= 0.1
        super().discretize()
        if "weight" not in self.bounds():
            self.weight.copy_(torch.where(is_power, halves, self.weight))
        return self

    @torch.no_grad()
    def gold(self, operation: str, *operands: int) -> Self:
        """Sets exponents as weights, and gates of 1 where the exponent is not 0."""
        exponents = operand_exponents(self, ("mul", "div", "reciprocal", "squared", "root"), operation, operands)
        self.weight.copy_(exponents.expand_as(self.weight))
        self.gate.copy_(exponents != 0)
        return self

    def to_sympy(self, names: Sequence[str | sympy.Symbol]) -> list[sympy.Expr]:
        """What each output computes in evaluation mode, as a formula of the named inputs."""
        import sympy

        symbols = as_symbols(self, names)
        gates = self.gate.clamp(0, 1).tolist()

        def output(weights: list[float]) -> sympy.Expr:
            magnitude, angle = sympy.Integer(1), sympy.Integer(0)
            for symbol, gate, weight in zip(symbols, gates, weights, strict=True):
                magnitude *= (gate * (sympy.Abs(symbol) + self.eps) + 1 - gate) ** weight
                angle += weight * gate * sympy.pi * sympy.Heaviside(-symbol, 0)
            return magnitude * sympy.cos(angle)

        return [output(weights) for weights in self.weight.tolist()]
