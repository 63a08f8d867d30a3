"""Power product with a hard sign."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import torch
from torch import Tensor, nn

from nalm.modules.base import ArithmeticModule, Inputs, fraction
from nalm.modules.functional import contract, hard_sign, nearest_power, nonzero_magnitude, ternary_penalty

__all__ = ["PowerProduct"]


class PowerProduct(ArithmeticModule):
    r"""Multiplies powers of the inputs. The sign follows from the exponents, and has no gradient.

    .. math:: y_o = s_o \exp\Big(\sum_i W_{oi} \ln |x_i|\Big), \qquad
        s_o = \mathrm{sgn} \cos\Big(\pi \sum_i W_{oi} [x_i < 0]\Big)

    It is a :class:`RealNaiveNPU` with small initial exponents, whose sign is a step instead of a cosine. Train it with
    the criterion ``log_magnitude``, which compares magnitudes alone.

    * **Convex.** The logarithm of the magnitude is linear in the exponents. So the squared error of logarithms is
      linear regression: it is convex, and has one minimum wherever the logarithms of the inputs are not collinear. The
      criterion is that, except for numbers far smaller than the batch's geometric mean.
    * **No slope for the sign.** The cosine of the Real NPU is flat at exponents of 0, and changes the magnitude between
      integers. Here the exponents are learnt from magnitudes alone. Once each is near an integer, its parity is right,
      and the sign with it. So the sign needs no gradient.

    An input of exactly 0 counts as the smallest normal number of its precision; all gradients are finite as long as the
    result does not overflow.

    Operations: ``mul``, ``div``, ``reciprocal``, ``squared``, ``root``. Regularizers: ``weight``.

    References:
        nalm's own (docs/division.md). Power units: Neural Power Units (Heim, Pevný & Šmídl, NeurIPS 2020),
        https://arxiv.org/abs/2006.01681

    Arguments:
        in_features: number of inputs :math:`I`.
        out_features: number of outputs :math:`O`.
        start: initial exponents are uniform within :math:`\pm` this number, at least 0 and less than 1.

    Raises:
        ValueError: ``start`` is not such a number.

    >>> PowerProduct(2, 1).gold("div")(torch.tensor([3.0, -4.0])).round(decimals=4)
    tensor([-0.7500], grad_fn=<RoundBackward1>)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        start: float = 0.1,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(in_features, out_features)
        factory: dict[str, Any] = {"device": device, "dtype": dtype}
        self.start = fraction(self, "start", start)
        self.weight = nn.Parameter(torch.empty(out_features, in_features, **factory))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw exponents uniformly from [-start, start)."""
        nn.init.uniform_(self.weight, -self.start, self.start)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the outputs, ``(*, I)`` to ``(*, O)``."""
        magnitude = torch.exp(contract(torch.log(nonzero_magnitude(x)), self.weight))
        return magnitude * hard_sign(contract((x < 0).to(x.dtype), self.weight))

    @property
    def operations(self) -> Mapping[str, Inputs]:
        """Products of powers."""
        return {"mul": "real", "div": "nonzero", "reciprocal": "nonzero", "squared": "real", "root": "positive"}

    @property
    def domain(self) -> dict[str, tuple[int, int]]:
        """Discrete values of the exponents. Powers and roots are discrete too."""
        return {"weight": (-1, 1)}

    def regularizers(self, inputs: Tensor | None = None) -> dict[str, Tensor]:
        """Return ``weight``, the mean distance of the exponents from {-1, 0, 1}. Training needs none."""
        return {"weight": ternary_penalty(self.weight)}

    @torch.no_grad()
    def discretize(self) -> Self:
        """Round to {-1, 0, 1}; within 0.1 of another multiple of 1/2, an exponent becomes that root or power."""
        self.weight.copy_(nearest_power(self.weight))
        return self

    @torch.no_grad()
    def gold(self, operation: str, *operands: int) -> Self:
        """Set the exponents of the operation."""
        self.weight.copy_(self.coefficients(operation, operands).expand_as(self.weight))
        return self
