"""Neural accumulators, which add, and the layers that use them on logarithms to multiply."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn

from nalm.modules.base import ArithmeticModule, Inputs, choice, fraction
from nalm.modules.bounded import BoundedModule
from nalm.modules.functional import SATURATED, Shape, contract, nearest, saturated_logit, unused_penalty

__all__ = ["LOG_EPS", "NAC", "NACNMU", "NACMul", "NACSigma", "SigmoidModule", "log_magnitude", "saturate_"]

LOG_EPS = 1e-7
"""What the papers add to magnitudes before they take logarithms."""

LOG_PHI = math.log((1 + math.sqrt(5)) / 2)


class NAC(ArithmeticModule):
    r"""Adds and subtracts inputs: the neural accumulator.

    .. math:: y_o = \sum_i W_{oi} x_i, \qquad W = \tanh(\hat W) \, \sigma(\hat M)

    Operations: ``add``, ``sub``. Regularizers: ``input``, where the batch is given. Its weights reach -1, 0 and 1 only
    in the limit of large parameters.

    References:
        Neural Arithmetic Logic Units (Trask et al., NeurIPS 2018), https://arxiv.org/abs/1808.00508;
        ``base="golden"``: Exploring Numerical Calculations with CalcNet (Rana, Malhi & Främling, ICTAI 2019)

    Arguments:
        in_features: number of inputs :math:`I`.
        out_features: number of outputs :math:`O`.
        base: of the powers in tanh and sigmoid: ``e``, or ``golden`` for the golden ratio (G-NAC).

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
        r"""Draws :math:`\hat W`, then :math:`\hat M`, uniformly within :math:`\pm r`, with the variance of Glorot."""
        limit = _initial_limit(self.in_features, self.out_features)
        self.weight_hat.uniform_(-limit, limit)
        self.mask_hat.uniform_(-limit, limit)

    def _effective_weight(self) -> Tensor:
        """The weights as the forward pass uses them."""
        if self.base == "golden":
            return torch.tanh(LOG_PHI * self.weight_hat) * torch.sigmoid(LOG_PHI * self.mask_hat)
        return torch.tanh(self.weight_hat) * torch.sigmoid(self.mask_hat)

    def effective_weights(self) -> dict[str, Tensor]:
        """The weights as the forward pass uses them, by name."""
        return {"weight": self._effective_weight()}

    def forward(self, x: Tensor) -> Tensor:
        """Shape: ``(*, I)`` to ``(*, O)``."""
        return contract(x, self._effective_weight())

    @property
    def operations(self) -> Mapping[str, Inputs]:
        """Sums and differences."""
        return {"add": "real", "sub": "real"}

    def regularizers(self, inputs: Tensor | None = None) -> dict[str, Tensor]:
        """``input``: large inputs that are not used."""
        if inputs is None:
            return {}
        return {"input": unused_penalty(self._effective_weight(), inputs)}

    @torch.no_grad()
    def gold(self, operation: str, *operands: int) -> Self:
        """Saturates the weights at the coefficients."""
        self._saturate(self.coefficients(operation, operands))
        return self

    @torch.no_grad()
    def discretize(self) -> Self:
        """Saturates the weights at the nearest of -1, 0 and 1."""
        self._saturate(nearest(self._effective_weight(), -1, 1))
        return self

    def _saturate(self, weight: Tensor) -> None:
        saturate_(weight, self.weight_hat, self.mask_hat)


class NACMul(NAC):
    r"""Multiplies and divides magnitudes: a neural accumulator of logarithms.

    .. math:: y_o = \exp \sum_i W_{oi} \ln(|x_i| + \varepsilon), \qquad W = \tanh(\hat W) \, \sigma(\hat M)

    The signs of the inputs are lost. Results are exact up to :math:`\varepsilon / |x|`, relative; an input of 0 counts
    as :math:`\varepsilon`, and all gradients are finite.

    Operations, of positive inputs: ``mul``, ``div``, ``reciprocal``, ``root`` (with a weight of 1/2, which is not a
    discrete one). Regularizers: ``input``, where the batch is given.

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
        """Shape: ``(*, I)`` to ``(*, O)``."""
        return _accumulate(x, self._effective_weight(), "log", self.eps)

    @property
    def operations(self) -> Mapping[str, Inputs]:
        """Products of powers from -1 to 1."""
        return {"mul": "positive", "div": "positive", "reciprocal": "positive", "root": "positive"}

    def regularizers(self, inputs: Tensor | None = None) -> dict[str, Tensor]:
        """``input``: large logarithms that are not used."""
        return super().regularizers(None if inputs is None else log_magnitude(inputs, self.eps))


class SigmoidModule(ArithmeticModule):
    """A module whose weights are sigmoids of its parameters, and so lie between 0 and 1 without bounds."""

    weight_hat: nn.Parameter

    def effective_weights(self) -> dict[str, Tensor]:
        """The weights as the forward pass uses them, by name."""
        return {"weight": torch.sigmoid(self.weight_hat)}

    def regularizers(self, inputs: Tensor | None = None) -> dict[str, Tensor]:
        """None."""
        return {}

    @torch.no_grad()
    def gold(self, operation: str, *operands: int) -> Self:
        """Saturates the weights at the coefficients."""
        coefficients = self.coefficients(operation, operands)
        self.weight_hat.copy_(saturated_logit(coefficients).expand_as(self.weight_hat))
        return self

    @torch.no_grad()
    def discretize(self) -> Self:
        """Saturates the weights at the nearer of 0 and 1."""
        self.weight_hat.copy_(saturated_logit(nearest(torch.sigmoid(self.weight_hat), 0, 1)))
        return self


class NACSigma(SigmoidModule):
    r"""Multiplies magnitudes, or adds: an accumulator whose weights lie between 0 and 1.

    .. math:: y_o = \exp \sum_i W_{oi} \ln(|x_i| + \varepsilon) \quad (\text{space="log"}), \qquad
        y_o = \sum_i W_{oi} x_i \quad (\text{space="linear"}), \qquad W = \sigma(\hat W)

    In the space of logarithms the signs of the inputs are lost, and results are exact up to
    :math:`\varepsilon / |x|`, relative; all gradients are finite.

    Operations: ``mul`` and ``root`` of positive inputs (``log``), or ``add`` (``linear``). Regularizers: none.

    References:
        NAC•,σ in Neural Arithmetic Units (Madsen & Johansen, ICLR 2020), https://arxiv.org/abs/2001.05016

    Arguments:
        in_features: number of inputs :math:`I`.
        out_features: number of outputs :math:`O`.
        space: where it adds: ``log`` (so that it multiplies) or ``linear``.
        eps: :math:`\varepsilon`, added to every magnitude.

    Raises:
        ValueError: an option has a value that is not listed here.

    >>> NACSigma(2, 1).gold("mul")(torch.tensor([3.0, 4.0])).round(decimals=4)
    tensor([12.], grad_fn=<RoundBackward1>)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        space: Literal["log", "linear"] = "log",
        eps: float = LOG_EPS,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(in_features, out_features)
        self.space = choice(self, "space", space, ("log", "linear"))
        self.eps = fraction(self, "eps", eps)
        self.weight_hat = nn.Parameter(torch.empty(out_features, in_features, device=device, dtype=dtype))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        r"""Draws :math:`\hat W` normally with standard deviation :math:`\sqrt{2 / (I + O)}`."""
        self.weight_hat.normal_(0, math.sqrt(2 / (self.in_features + self.out_features)))

    def forward(self, x: Tensor) -> Tensor:
        """Shape: ``(*, I)`` to ``(*, O)``."""
        return _accumulate(x, torch.sigmoid(self.weight_hat), self.space, self.eps)

    @property
    def operations(self) -> Mapping[str, Inputs]:
        """What can be done without negative weights."""
        return {"mul": "positive", "root": "positive"} if self.space == "log" else {"add": "real"}


class NACNMU(BoundedModule):
    r"""Multiplies magnitudes, or adds: an accumulator with the weights of the NMU.

    .. math:: y_o = \exp \sum_i W_{oi} \ln(|x_i| + \varepsilon) \quad (\text{space="log"}), \qquad
        y_o = \sum_i W_{oi} x_i \quad (\text{space="linear"}), \qquad W_{oi} \in [0, 1]

    In the space of logarithms the signs of the inputs are lost, and results are exact up to
    :math:`\varepsilon / |x|`, relative; all gradients are finite.

    Operations: ``mul`` and ``root`` (with a weight of 1/2, which is not a discrete one) of positive inputs (``log``),
    or ``add`` (``linear``). Regularizers: ``weight``, ``out_of_bounds``, ``input``.

    References:
        NAC•,NMU in Neural Arithmetic Units (Madsen & Johansen, ICLR 2020), https://arxiv.org/abs/2001.05016

    Arguments:
        in_features: number of inputs :math:`I`.
        out_features: number of outputs :math:`O`.
        space: where it adds: ``log`` (so that it multiplies) or ``linear``.
        out_of_bounds: weights outside :math:`[0, 1]` are clamped by a projection after the step (``clip``), or in
            the forward pass while a regularizer draws them back (``penalty``).
        shape: of the regularizers, ``linear``, ``squared`` or ``none``.
        identity_epsilon: lower bound of the weights; above 0, discrete weights of 0 are out of bounds.
        eps: :math:`\varepsilon`, added to every magnitude.

    Raises:
        ValueError: an option has a value that is not listed here.

    >>> NACNMU(2, 1).gold("mul")(torch.tensor([3.0, 4.0])).round(decimals=4)
    tensor([12.], grad_fn=<RoundBackward1>)
    """

    lowest = 0

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        space: Literal["log", "linear"] = "log",
        out_of_bounds: Literal["clip", "penalty"] = "clip",
        shape: Shape = "linear",
        identity_epsilon: float = 0.0,
        eps: float = LOG_EPS,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(in_features, out_features, out_of_bounds, shape, identity_epsilon)
        self.space = choice(self, "space", space, ("log", "linear"))
        self.eps = fraction(self, "eps", eps)
        self.weight = nn.Parameter(torch.empty(out_features, in_features, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws weights uniformly from [0.25, 0.75)."""
        self._draw()

    def forward(self, x: Tensor) -> Tensor:
        """Shape: ``(*, I)`` to ``(*, O)``."""
        return _accumulate(x, self._effective_weight(), self.space, self.eps)

    @property
    def operations(self) -> Mapping[str, Inputs]:
        """What can be done without negative weights."""
        return {"mul": "positive", "root": "positive"} if self.space == "log" else {"add": "real"}

    def _chosen_from(self, inputs: Tensor) -> Tensor:
        return log_magnitude(inputs, self.eps) if self.space == "log" else inputs


def saturate_(weight: Tensor, weight_hat: Tensor, mask_hat: Tensor) -> None:
    """Sets parameters so that tanh(weight_hat) sigmoid(mask_hat) is the weight, from -1 to 1, to the last digit."""
    weight_hat.copy_((weight.sign() * SATURATED).expand_as(weight_hat))
    mask_hat.copy_(saturated_logit(weight.abs()).expand_as(mask_hat))


def log_magnitude(x: Tensor, eps: float) -> Tensor:
    """Logarithms of magnitudes, which eps keeps finite."""
    return torch.log(x.abs() + eps)


def _accumulate(x: Tensor, weight: Tensor, space: str, eps: float) -> Tensor:
    if space == "linear":
        return contract(x, weight)
    return torch.exp(contract(log_magnitude(x, eps), weight))


@lru_cache
def _initial_limit(in_features: int, out_features: int) -> float:
    r"""The :math:`r` for which :math:`\tanh(u) \sigma(v)`, with both from U(-r, r), has the variance that Glorot asks
    for.

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
