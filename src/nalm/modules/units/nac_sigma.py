"""Accumulators with weights from 0 to 1, as sigmoids or within bounds. They add, or multiply magnitudes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from nalm.modules.base import Inputs, choice, fraction
from nalm.modules.bounded import BoundedModule
from nalm.modules.functional import LOG_EPS, Shape, log_magnitude, weighted_sum
from nalm.modules.sigmoid import SigmoidModule

__all__ = ["NACNMU", "NACSigma"]


class NACSigma(SigmoidModule):
    r"""Multiplies magnitudes, or adds: an accumulator whose weights lie between 0 and 1.

    .. math:: y_o = \exp \sum_i W_{oi} \ln(|x_i| + \varepsilon) \quad (\text{space="log"}), \qquad
        y_o = \sum_i W_{oi} x_i \quad (\text{space="linear"}), \qquad W = \sigma(\hat W)

    With logarithms, the signs of the inputs are lost, and the relative error of results is up to
    :math:`\varepsilon / |x|`. All gradients are finite.

    Operations: ``mul`` and ``root`` for positive inputs (``log``), or ``add`` (``linear``). Regularizers: none.

    References:
        NAC•,σ in Neural Arithmetic Units (Madsen & Johansen, ICLR 2020), https://arxiv.org/abs/2001.05016

    Arguments:
        in_features: number of inputs :math:`I`.
        out_features: number of outputs :math:`O`.
        space: what it adds: logarithms, so that it multiplies (``log``), or the inputs (``linear``).
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
        r"""Draw :math:`\hat W` normally with standard deviation :math:`\sqrt{2 / (I + O)}`."""
        self.weight_hat.normal_(0, math.sqrt(2 / (self.in_features + self.out_features)))

    def forward(self, x: Tensor) -> Tensor:
        """Compute the outputs, ``(*, I)`` to ``(*, O)``."""
        return weighted_sum(x, torch.sigmoid(self.weight_hat), self.space, self.eps)

    @property
    def operations(self) -> Mapping[str, Inputs]:
        """Operations without negative weights: products and roots, or sums."""
        return {"mul": "positive", "root": "positive"} if self.space == "log" else {"add": "real"}


class NACNMU(BoundedModule):
    r"""Multiplies magnitudes, or adds: an accumulator with the weights of the NMU.

    .. math:: y_o = \exp \sum_i W_{oi} \ln(|x_i| + \varepsilon) \quad (\text{space="log"}), \qquad
        y_o = \sum_i W_{oi} x_i \quad (\text{space="linear"}), \qquad W_{oi} \in [0, 1]

    With logarithms, the signs of the inputs are lost, and the relative error of results is up to
    :math:`\varepsilon / |x|`. All gradients are finite.

    Operations: ``mul`` and ``root`` (with a weight of 1/2, which is not discrete) for positive inputs (``log``), or
    ``add`` (``linear``). Regularizers: ``weight``, ``out_of_bounds``, ``input``.

    References:
        NAC•,NMU in Neural Arithmetic Units (Madsen & Johansen, ICLR 2020), https://arxiv.org/abs/2001.05016

    Arguments:
        in_features: number of inputs :math:`I`.
        out_features: number of outputs :math:`O`.
        space: what it adds: logarithms, so that it multiplies (``log``), or the inputs (``linear``).
        out_of_bounds: how weights outside :math:`[0, 1]` are treated: a projection clamps them after each step
            (``clip``), or the forward pass clamps them and a regularizer pulls them back (``penalty``).
        shape: shape of the regularizers, ``linear``, ``squared`` or ``none``.
        identity_epsilon: lower bound of the weights; if it is above 0, a discrete weight of 0 is out of bounds.
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
        """Draw weights uniformly from [0.25, 0.75)."""
        self._draw()

    def forward(self, x: Tensor) -> Tensor:
        """Compute the outputs, ``(*, I)`` to ``(*, O)``."""
        return weighted_sum(x, self._effective_weight(), self.space, self.eps)

    @property
    def operations(self) -> Mapping[str, Inputs]:
        """Operations without negative weights: products and roots, or sums."""
        return {"mul": "positive", "root": "positive"} if self.space == "log" else {"add": "real"}

    def _chosen_from(self, inputs: Tensor) -> Tensor:
        return log_magnitude(inputs, self.eps) if self.space == "log" else inputs
