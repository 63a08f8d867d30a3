"""Neural accumulators: one adds, the other adds logarithms to multiply."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn

from nalm.modules.base import ArithmeticModule, Inputs, choice, fraction
from nalm.modules.functional import (
    LOG_EPS,
    contract,
    log_magnitude,
    nearest,
    saturate_,
    unused_penalty,
    weighted_sum,
)

__all__ = ["LOG_PHI", "NAC", "NACMul"]

LOG_PHI = math.log((1 + math.sqrt(5)) / 2)


class NAC(ArithmeticModule):
    r"""Adds and subtracts inputs: the neural accumulator.

    .. math:: y_o = \sum_i W_{oi} x_i, \qquad W = \tanh(\hat W) \, \sigma(\hat M)

    Operations: ``add``, ``sub``. Regularizers: ``input``, if the batch is given. Its weights reach -1, 0 and 1 only in
    the limit of large parameters.

    References:
        Neural Arithmetic Logic Units (Trask et al., NeurIPS 2018), https://arxiv.org/abs/1808.00508;
        ``base="golden"``: Exploring Numerical Calculations with CalcNet (Rana, Malhi & Främling, ICTAI 2019)

    Arguments:
        in_features: number of inputs :math:`I`.
        out_features: number of outputs :math:`O`.
        base: base of the exponentials in tanh and sigmoid: ``e``, or ``golden`` for the golden ratio (G-NAC).

    Raises:
        ValueError: an option has a value that is not listed here.

    >>> NAC(3, 1).gold("sub", 2, 0)(torch.tensor([3.0, -4.0, 10.0])).detach()
    tensor([7.])
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        base: Literal["e", "golden"] = "e",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(in_features, out_features)
        factory: dict[str, Any] = {"device": device, "dtype": dtype}
        self.base = choice(self, "base", base, ("e", "golden"))
        self.weight_hat = nn.Parameter(torch.empty(out_features, in_features, **factory))
        self.mask_hat = nn.Parameter(torch.empty(out_features, in_features, **factory))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        r"""Draw :math:`\hat W`, then :math:`\hat M`, uniformly within :math:`\pm r`, with Glorot's variance."""
        limit = _initial_limit(self.in_features, self.out_features)
        self.weight_hat.uniform_(-limit, limit)
        self.mask_hat.uniform_(-limit, limit)

    def _effective_weight(self) -> Tensor:
        """Return the weights as the forward pass uses them."""
        if self.base == "golden":
            return torch.tanh(LOG_PHI * self.weight_hat) * torch.sigmoid(LOG_PHI * self.mask_hat)
        return torch.tanh(self.weight_hat) * torch.sigmoid(self.mask_hat)

    def effective_weights(self) -> dict[str, Tensor]:
        """Return the weights as the forward pass uses them, by name."""
        return {"weight": self._effective_weight()}

    def forward(self, x: Tensor) -> Tensor:
        """Compute the outputs, ``(*, I)`` to ``(*, O)``."""
        return contract(x, self._effective_weight())

    @property
    def operations(self) -> Mapping[str, Inputs]:
        """Sums and differences, for all inputs."""
        return {"add": "real", "sub": "real"}

    def regularizers(self, inputs: Tensor | None = None) -> dict[str, Tensor]:
        """Return ``input``, which penalizes large inputs that are not used."""
        if inputs is None:
            return {}
        return {"input": unused_penalty(self._effective_weight(), inputs)}

    @torch.no_grad()
    def gold(self, operation: str, *operands: int) -> Self:
        """Saturate the weights at the coefficients."""
        self._saturate(self.coefficients(operation, operands))
        return self

    @torch.no_grad()
    def discretize(self) -> Self:
        """Saturate the weights at the nearest of -1, 0 and 1."""
        self._saturate(nearest(self._effective_weight(), -1, 1))
        return self

    def _saturate(self, weight: Tensor) -> None:
        saturate_(weight, self.weight_hat, self.mask_hat)


class NACMul(NAC):
    r"""Multiplies and divides magnitudes: a neural accumulator of logarithms.

    .. math:: y_o = \exp \sum_i W_{oi} \ln(|x_i| + \varepsilon), \qquad W = \tanh(\hat W) \, \sigma(\hat M)

    The signs of the inputs are lost. The relative error of results is up to :math:`\varepsilon / |x|`. An input of 0
    counts as :math:`\varepsilon`, and all gradients are finite.

    Operations, for positive inputs: ``mul``, ``div``, ``reciprocal``, ``root`` (with a weight of 1/2, which is not
    discrete). Regularizers: ``input``, if the batch is given.

    References:
        Neural Arithmetic Logic Units (Trask et al., NeurIPS 2018), https://arxiv.org/abs/1808.00508, as NAC• in
        Neural Arithmetic Units (Madsen & Johansen, ICLR 2020), https://arxiv.org/abs/2001.05016

    Arguments:
        in_features: number of inputs :math:`I`.
        out_features: number of outputs :math:`O`.
        eps: :math:`\varepsilon`, added to every magnitude.

    Raises:
        ValueError: an option has a value that is not listed here.

    >>> NACMul(2, 1).gold("div")(torch.tensor([3.0, 4.0])).round(decimals=4)
    tensor([0.7500], grad_fn=<RoundBackward1>)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        eps: float = LOG_EPS,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(in_features, out_features, device=device, dtype=dtype)
        self.eps = fraction(self, "eps", eps)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the outputs, ``(*, I)`` to ``(*, O)``."""
        return weighted_sum(x, self._effective_weight(), "log", self.eps)

    @property
    def operations(self) -> Mapping[str, Inputs]:
        """Products of powers from -1 to 1, for positive inputs."""
        return {"mul": "positive", "div": "positive", "reciprocal": "positive", "root": "positive"}

    def regularizers(self, inputs: Tensor | None = None) -> dict[str, Tensor]:
        """Return ``input``, which penalizes large logarithms that are not used."""
        return super().regularizers(None if inputs is None else log_magnitude(inputs, self.eps))


@lru_cache
def _initial_limit(in_features: int, out_features: int) -> float:
    r"""Return the :math:`r` for which :math:`\tanh(u) \sigma(v)`, with both from U(-r, r), has Glorot's variance.

    It solves :math:`\max(I + O, 5) \, (1 - \tanh(r) / r) (r - \tanh(r / 2)) / (2 r) = 2` on [0, 10], by bisection.
    """
    low, high = 0.0, 10.0
    while low < (middle := (low + high) / 2) < high:
        variance = (1 - math.tanh(middle) / middle) * (middle - math.tanh(middle / 2)) / (2 * middle)
        if max(in_features + out_features, 5) * variance < 2:
            low = middle
        else:
            high = middle
    return high
