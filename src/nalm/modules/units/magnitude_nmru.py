"""Neural multiplicative reciprocal unit that learns from magnitudes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import torch
from torch import Tensor, nn

from nalm.modules.base import Inputs, fraction
from nalm.modules.bounded import BoundedModule
from nalm.modules.functional import contract, hard_sign, nonzero_magnitude, product

__all__ = ["MagnitudeNMRU"]


class MagnitudeNMRU(BoundedModule):
    r"""Multiplies a learnt selection of the inputs and of their reciprocals; the sign has no gradient.

    .. math:: y_o = s_o \prod_{j=1}^{2I} (W_{oj} |z_j| + 1 - W_{oj}), \qquad
        s_o = \mathrm{sgn} \cos\Big(\pi \sum_j W_{oj} [z_j < 0]\Big)

    with :math:`z = [x, 1/x]` and :math:`W_{oj} \in [0, 1]`. It has the magnitude of :class:`NMRU`, small initial
    weights, and a step for the NMRU's cosine. Train it with the criterion ``log_magnitude``, which compares magnitudes
    alone.

    * **Small start.** With weights near 0 every factor is near 1, so no input or reciprocal dominates the product,
      however many there are. From 0 the magnitude has the slope :math:`|z_j| - 1` along :math:`W_{oj}`, which vanishes
      only where all magnitudes are 1.
    * **No slope for the sign.** The slope of the NMRU's cosine is :math:`-\pi \sin(\pi \sum_j W_{oj} [z_j < 0])`, which
      vanishes at weights of 0: such a start can't learn signs by gradient. It needn't. The weights are learnt from
      magnitudes alone, and once they are near 0 and 1, the number of selected negative factors gives the sign.
    * Unlike that of :class:`PowerProduct`, the loss is not convex, but weights are bounded and end at 0 and 1.

    An input of exactly 0 is exact in products, and harmless where it is ignored. Its reciprocal is that of the smallest
    normal number of its precision.

    Operations: ``mul``, ``div``, ``reciprocal``. Regularizers: ``weight``, ``out_of_bounds`` (always 0), ``input``.

    References:
        nalm's own (docs/division.md). The NMRU: Learning Division with Neural Arithmetic Logic Modules (Mistry, Farrahi
        & Hare, 2021), https://arxiv.org/abs/2110.05177

    Arguments:
        in_features: number of inputs :math:`I`.
        out_features: number of outputs :math:`O`.
        start: initial weights are uniform from 0 to this number, at least 0 and less than 1.

    Raises:
        ValueError: ``start`` is not such a number.

    >>> MagnitudeNMRU(2, 1).gold("div")(torch.tensor([3.0, -4.0])).detach()
    tensor([-0.7500])
    """

    lowest = 0

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        start: float = 0.02,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(in_features, out_features, "clip", "linear")
        factory: dict[str, Any] = {"device": device, "dtype": dtype}
        self.start = fraction(self, "start", start)
        self.weight = nn.Parameter(torch.empty(out_features, 2 * in_features, **factory))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weights uniformly from [0, start)."""
        nn.init.uniform_(self.weight, 0, self.start)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the outputs, ``(*, I)`` to ``(*, O)``."""
        direct, reciprocal = self.weight[:, : self.in_features], self.weight[:, self.in_features :]
        factors = (
            z.unsqueeze(-2) * weight + 1 - weight
            for z, weight in ((x.abs(), direct), (1 / nonzero_magnitude(x), reciprocal))
        )
        # A number and its reciprocal have the same sign.
        return product(*factors) * hard_sign(contract((x < 0).to(x.dtype), direct + reciprocal))

    @property
    def operations(self) -> Mapping[str, Inputs]:
        """Products and quotients."""
        return {"mul": "real", "div": "nonzero", "reciprocal": "nonzero"}

    def _chosen_from(self, inputs: Tensor) -> Tensor:
        return torch.cat([inputs.abs(), 1 / nonzero_magnitude(inputs)], -1)

    @torch.no_grad()
    def gold(self, operation: str, *operands: int) -> Self:
        """Select inputs with exponent 1 and reciprocals with exponent -1."""
        exponents = self.coefficients(operation, operands)
        self.weight.copy_(torch.cat([exponents == 1, exponents == -1]).expand_as(self.weight))
        return self
