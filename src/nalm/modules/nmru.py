"""Neural multiplicative reciprocal unit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, Self

import torch
from torch import Tensor, nn

from nalm.modules.base import ArithmeticModule, as_symbols, choice, fraction, operand_exponents
from nalm.modules.functional import EPS32, Shape, binary_penalty, excess_penalty, product

if TYPE_CHECKING:
    import sympy

__all__ = ["NMRU"]


class NMRU(ArithmeticModule):
    r"""Multiplies a learnt selection of the inputs and of their reciprocals.

    .. math:: y_o = \prod_{j=1}^{2I} (W_{oj} |z_j| + 1 - W_{oj}) \cos\Big(\pi \sum_j W_{oj} [z_j < 0]\Big),
        \qquad z = [x, 1/x], \quad W_{oj} \in [0, 1]

    The first :math:`I` weights of an output select inputs, the others reciprocals. In training the reciprocal is
    :math:`1 / (x + \varepsilon)` with :math:`\varepsilon = 2^{-23}`; an input of exactly 0 gives NaN in evaluation
    mode, even if it is ignored. ``sign="none"`` is the ablation :math:`\prod_j (W_{oj} z_j + 1 - W_{oj})`;
    ``sign="gated"`` multiplies :math:`z` by a learnt gate first.

    Operations: ``mul``, ``div``, ``reciprocal``. Regularizers: ``weight``, ``out_of_bounds``, ``input``, and ``gate``
    if there is one.

    References:
        Learning Division with Neural Arithmetic Logic Modules (Mistry, Farrahi & Hare, 2021),
        https://arxiv.org/abs/2110.05177

    Arguments:
        in_features: number of inputs :math:`I`.
        out_features: number of outputs :math:`O`.
        sign: how the sign of the result is found: ``retrieved`` (the paper's NMRU), ``none`` or ``gated``.
        out_of_bounds: weights outside :math:`[0, 1]` are clamped by a projection after the step (``clip``), or in
            the forward pass while a regularizer draws them back (``penalty``).
        shape: of the regularizers, ``linear``, ``squared`` or ``none``.
        identity_epsilon: lower bound of the weights.

    Raises:
        ValueError: an option has a value that is not listed here.

    >>> NMRU(2, 1).gold("div").eval()(torch.tensor([3.0, -4.0])).detach()
    tensor([-0.7500])
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        sign: Literal["retrieved", "none", "gated"] = "retrieved",
        out_of_bounds: Literal["clip", "penalty"] = "clip",
        shape: Shape = "linear",
        identity_epsilon: float = 0.0,
    ) -> None:
        super().__init__(in_features, out_features)
        self.sign = choice(self, "sign", sign, ("retrieved", "none", "gated"))
        self.out_of_bounds = choice(self, "out_of_bounds", out_of_bounds, ("clip", "penalty"))
        self.shape: Shape = shape
        choice(self, "shape", shape, ("linear", "squared", "none"))
        self.identity_epsilon = fraction(self, "identity_epsilon", identity_epsilon)
        self.weight = nn.Parameter(torch.empty(out_features, 2 * in_features))
        self.gate = nn.Parameter(torch.empty(2 * in_features)) if sign == "gated" else None
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draws weights uniformly from [0.25, 0.75); gates start at 0.5."""
        self.weight.uniform_(0.25, 0.75)
        if self.gate is not None:
            self.gate.fill_(0.5)

    def _candidates(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs and reciprocals, ``(*, I)`` each: what the weights choose from."""
        reciprocal = 1 / (x + EPS32 if self.training else x)
        if self.gate is None:
            return x, reciprocal
        return x * self.gate[: self.in_features], reciprocal * self.gate[self.in_features :]

    def _halves(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        return weight[:, : self.in_features], weight[:, self.in_features :]

    def effective_weight(self) -> Tensor:
        """The weights, clamped where a penalty lets them leave their bounds."""
        return self.weight if self.out_of_bounds == "clip" else self.weight.clamp(self.identity_epsilon, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Shape: ``(*, I)`` to ``(*, O)``."""
        candidates = [z.unsqueeze(-2) for z in self._candidates(x)]
        magnitudes = candidates if self.sign == "none" else [z.abs() for z in candidates]
        result = product(
            *(z * w + 1 - w for z, w in zip(magnitudes, self._halves(self.effective_weight()), strict=True))
        )
        if self.sign == "none":
            return result
        # The angle takes the weights as they are, also where a penalty lets them leave [0, 1], as published.
        direct, reciprocal = (
            ((z < 0).to(z.dtype) * math.pi * w).sum(-1)
            for z, w in zip(candidates, self._halves(self.weight), strict=True)
        )
        return result * torch.cos(direct + reciprocal)

    @property
    def domain(self) -> dict[str, tuple[int, int]]:
        """Discrete values of the parameters."""
        return {"weight": (0, 1)} | ({} if self.gate is None else {"gate": (0, 1)})

    def bounds(self) -> dict[str, tuple[float, float]]:
        """Weights (and gates) in [0, 1], unless a penalty is used instead."""
        if self.out_of_bounds == "penalty":
            return {}
        bounds = {"weight": (self.identity_epsilon, 1.0)}
        return bounds if self.gate is None else bounds | {"gate": (0.0, 1.0)}

    def regularizers(self, inputs: Tensor | None = None) -> dict[str, Tensor]:
        """Distance of ``weight`` and ``gate`` from {0, 1}, ``out_of_bounds`` from [0, 1], ``input`` not used from 1."""
        terms = {
            "weight": binary_penalty(self.weight, self.shape),
            "out_of_bounds": self.weight.new_zeros(())
            if self.out_of_bounds == "clip"
            else excess_penalty(self.weight, 0, 1, self.shape),
        }
        if self.gate is not None:
            terms["gate"] = binary_penalty(self.gate)
        if inputs is not None:
            z = torch.cat(self._candidates(inputs), -1).reshape(-1, 2 * self.in_features)
            mean = (z if self.sign == "none" else z.abs()).mean(0)
            terms["input"] = ((1 - self.weight) * (1 - mean) ** 2).mean()
        return terms

    @torch.no_grad()
    def gold(self, operation: str, *operands: int) -> Self:
        """Selects inputs with exponent 1 and reciprocals with exponent -1; gates are 1."""
        exponents = operand_exponents(self, ("mul", "div", "reciprocal"), operation, operands)
        self.weight.copy_(torch.cat([exponents == 1, exponents == -1]).expand_as(self.weight))
        if self.gate is not None:
            self.gate.fill_(1)
        return self

    def to_sympy(self, names: Sequence[str | sympy.Symbol]) -> list[sympy.Expr]:
        """What each output computes in evaluation mode, as a formula of the named inputs."""
        import sympy

        symbols = as_symbols(self, names)
        gates = [1.0] * (2 * self.in_features) if self.gate is None else self.gate.tolist()
        candidates = [
            gate * value for gate, value in zip(gates, [*symbols, *(1 / symbol for symbol in symbols)], strict=True)
        ]

        def output(weights: list[float], raw: list[float]) -> sympy.Expr:
            result, angle = sympy.Integer(1), sympy.Integer(0)
            for z, weight, raw_weight in zip(candidates, weights, raw, strict=True):
                result *= weight * (z if self.sign == "none" else sympy.Abs(z)) + 1 - weight
                angle += raw_weight * sympy.pi * sympy.Heaviside(-z, 0)
            return result if self.sign == "none" else result * sympy.cos(angle)

        pairs = zip(self.effective_weight().tolist(), self.weight.tolist(), strict=True)
        return [output(weights, raw) for weights, raw in pairs]
