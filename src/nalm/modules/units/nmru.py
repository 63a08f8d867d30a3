"""Neural multiplicative reciprocal unit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn

from nalm.modules.base import Inputs, choice, fraction
from nalm.modules.bounded import BoundedModule
from nalm.modules.functional import EPS32, Shape, binary_penalty, product

__all__ = ["NMRU"]


class NMRU(BoundedModule):
    r"""Multiplies a learnt selection of the inputs and of their reciprocals.

    .. math:: y_o = \prod_{j=1}^{2I} (W_{oj} |z_j| + 1 - W_{oj}) \cos\Big(\pi \sum_j W_{oj} [z_j < 0]\Big),
        \qquad z = [x, 1/x], \quad W_{oj} \in [0, 1]

    The first :math:`I` weights of an output select inputs, the others select reciprocals. In training the reciprocal is
    :math:`1 / (x + \varepsilon)` with :math:`\varepsilon = 2^{-23}`. An input of exactly 0 gives NaN in evaluation
    mode, even if it is ignored, unless ``eps`` is given. ``sign="none"`` is the ablation :math:`\prod_j (W_{oj} z_j +
    1 - W_{oj})`; ``sign="gated"`` multiplies :math:`z` by a learnt gate first.

    Operations: ``mul``, ``div``, ``reciprocal``. Regularizers: ``weight``, ``out_of_bounds``, ``input``, and ``gate``
    if there is one.

    References:
        Learning Division with Neural Arithmetic Logic Modules (Mistry, Farrahi & Hare, 2021),
        https://arxiv.org/abs/2110.05177

    Arguments:
        in_features: number of inputs :math:`I`.
        out_features: number of outputs :math:`O`.
        sign: how the sign of the result is computed: ``retrieved`` (the paper's NMRU), ``none`` or ``gated``.
        out_of_bounds: how weights outside :math:`[0, 1]` are treated: a projection clamps them after each step
            (``clip``), or the forward pass clamps them and a regularizer pulls them back (``penalty``).
        shape: shape of the regularizers, ``linear``, ``squared`` or ``none``.
        identity_epsilon: lower bound of the weights; if it is above 0, a discrete weight of 0 is out of bounds.
        eps: if it is not 0, the reciprocal is :math:`1 / (x + \mathrm{eps})`, or :math:`1 / (x - \mathrm{eps})` if
            :math:`x < 0`, in training and in evaluation, so that every result and gradient is finite.

    Raises:
        ValueError: an option has a value that is not listed here.

    >>> NMRU(2, 1).gold("div").eval()(torch.tensor([3.0, -4.0])).detach()
    tensor([-0.7500])
    """

    lowest = 0

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        sign: Literal["retrieved", "none", "gated"] = "retrieved",
        out_of_bounds: Literal["clip", "penalty"] = "clip",
        shape: Shape = "linear",
        identity_epsilon: float = 0.0,
        eps: float = 0.0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(in_features, out_features, out_of_bounds, shape, identity_epsilon)
        factory: dict[str, Any] = {"device": device, "dtype": dtype}
        self.sign = choice(self, "sign", sign, ("retrieved", "none", "gated"))
        self.eps = fraction(self, "eps", eps)
        self.weight = nn.Parameter(torch.empty(out_features, 2 * in_features, **factory))
        self.gate = nn.Parameter(torch.empty(2 * in_features, **factory)) if sign == "gated" else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weights uniformly from [0.25, 0.75); gates start at 0.5."""
        self._draw()
        if self.gate is not None:
            nn.init.constant_(self.gate, 0.5)

    def _candidates(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return inputs and reciprocals, from which the weights select, ``(*, I)`` each."""
        if self.eps:
            reciprocal = 1 / torch.where(x < 0, x - self.eps, x + self.eps)
        else:
            reciprocal = 1 / (x + EPS32 if self.training else x)
        if self.gate is None:
            return x, reciprocal
        return x * self.gate[: self.in_features], reciprocal * self.gate[self.in_features :]

    def _halves(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        return weight[:, : self.in_features], weight[:, self.in_features :]

    def forward(self, x: Tensor) -> Tensor:
        """Compute the outputs, ``(*, I)`` to ``(*, O)``."""
        candidates = [z.unsqueeze(-2) for z in self._candidates(x)]
        magnitudes = candidates if self.sign == "none" else [z.abs() for z in candidates]
        result = product(
            *(z * w + 1 - w for z, w in zip(magnitudes, self._halves(self._effective_weight()), strict=True))
        )
        if self.sign == "none":
            return result
        # The angle uses the weights unclamped, even if a penalty lets them leave [0, 1], as published.
        direct, reciprocal = (
            ((z < 0).to(z.dtype) * math.pi * w).sum(-1)
            for z, w in zip(candidates, self._halves(self.weight), strict=True)
        )
        return result * torch.cos(direct + reciprocal)

    @property
    def operations(self) -> Mapping[str, Inputs]:
        """Products and quotients. Without ``eps``, even an ignored input must not be 0."""
        return dict.fromkeys(("mul", "div", "reciprocal"), "nonzero")

    @property
    def domain(self) -> dict[str, tuple[int, int]]:
        """Discrete values of the parameters."""
        return super().domain | ({} if self.gate is None else {"gate": (0, 1)})

    def bounds(self) -> dict[str, tuple[float, float]]:
        """Keep weights and gates in [0, 1], unless a penalty does."""
        gates = {"gate": (0.0, 1.0)} if self.gate is not None and self.out_of_bounds == "clip" else {}
        return super().bounds() | gates

    def regularizers(self, inputs: Tensor | None = None) -> dict[str, Tensor]:
        """Return the distances of ``weight`` and ``gate`` from {0, 1}, and ``out_of_bounds`` and ``input``."""
        terms = super().regularizers(inputs)
        return terms if self.gate is None else terms | {"gate": binary_penalty(self.gate)}

    def _chosen_from(self, inputs: Tensor) -> Tensor:
        z = torch.cat(self._candidates(inputs), -1)
        return z if self.sign == "none" else z.abs()

    @torch.no_grad()
    def gold(self, operation: str, *operands: int) -> Self:
        """Select inputs with exponent 1 and reciprocals with exponent -1, with gates of 1."""
        exponents = self.coefficients(operation, operands)
        self.weight.copy_(torch.cat([exponents == 1, exponents == -1]).expand_as(self.weight))
        if self.gate is not None:
            self.gate.fill_(1)
        return self
