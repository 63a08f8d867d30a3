"""Neural multiplication units."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal, Self

import torch
from torch import Tensor, nn

from nalm.modules.base import Inputs
from nalm.modules.bounded import BoundedModule
from nalm.modules.functional import Shape, selected_product
from nalm.modules.sigmoid import SigmoidModule

__all__ = ["NMU", "SigmaNMU"]


class NMU(BoundedModule):
    r"""Multiplies a learnt selection of its inputs.

    .. math:: y_o = \prod_i (W_{oi} x_i + 1 - W_{oi}), \qquad W_{oi} \in [0, 1]

    With ``noise`` it is the stochastic NMU. In training, inputs are multiplied by random numbers :math:`n_i`, whose
    effect is divided out again: :math:`\prod_i (W_{oi} n_i x_i + 1 - W_{oi}) / \prod_i (W_{oi} n_i + 1 - W_{oi})`. The
    noise disturbs all weights except discrete ones. With ``normalized`` it computes
    :math:`c^{\sum_i W_{oi}} \prod_i (W_{oi} x_i / c + 1 - W_{oi})`, with :math:`c` the standard deviation of the batch.

    Operations: ``mul``. Regularizers: ``weight``, ``out_of_bounds``, ``input``. All results and gradients are finite,
    for every sign and for 0. The exceptions are ``normalized`` and ``noise="batch"`` on a constant batch. With
    ``normalized``, results depend on the batch in evaluation too, and there is no formula.

    References:
        Neural Arithmetic Units (Madsen & Johansen, ICLR 2020), https://arxiv.org/abs/2001.05016;
        noise: Improving the Robustness of Neural Multiplication Units with Reversible Stochasticity (Mistry, Farrahi &
        Hare, 2022), https://arxiv.org/abs/2211.05624

    Arguments:
        in_features: number of inputs :math:`I`.
        out_features: number of outputs :math:`O`.
        out_of_bounds: how weights outside :math:`[0, 1]` are treated: a projection clamps them after each step
            (``clip``), or the forward pass clamps them and a regularizer pulls them back (``penalty``).
        shape: shape of the regularizers, ``linear``, ``squared`` or ``none``.
        identity_epsilon: lower bound of the weights; if it is above 0, a discrete weight of 0 is out of bounds.
        noise: range ``[low, high]`` of the random numbers (``[1, 5]`` in the paper), or ``"batch"``: from 1 to
            1 + 1 / the standard deviation of the batch.
        normalized: whether to scale the inputs by the standard deviation of the batch.

    Raises:
        ValueError: an option has a value that is not listed here.

    >>> NMU(3, 1).gold("mul", 0, 2)(torch.tensor([3.0, -4.0, -10.0])).detach()
    tensor([-30.])
    """

    lowest = 0

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        out_of_bounds: Literal["clip", "penalty"] = "clip",
        shape: Shape = "linear",
        identity_epsilon: float = 0.0,
        noise: Sequence[float] | Literal["batch"] | None = None,
        normalized: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(in_features, out_features, out_of_bounds, shape, identity_epsilon)
        self.noise = _noise(noise)
        if normalized and noise is not None:
            raise ValueError("NMU: found noise and normalized together, expected one of them")
        self.normalized = normalized
        self.weight = nn.Parameter(torch.empty(out_features, in_features, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weights uniformly from [0.25, 0.75)."""
        self._draw()

    def noise_shape(self, inputs: torch.Size) -> tuple[int, ...] | None:
        """Return the shape of the inputs, if there is noise."""
        return None if self.noise is None else tuple(inputs)

    def forward(self, x: Tensor, noise: Tensor | None = None) -> Tensor:
        """Compute the outputs, ``(*, I)`` to ``(*, O)``; ``noise``, from U[0, 1), is ``(*, I)``."""
        weight = self._effective_weight()
        if self.normalized:
            scale = x.std()
            return scale ** weight.sum(-1) * selected_product(x / scale, weight)
        if self.noise is None or not self.training:
            return selected_product(x, weight)
        low, high = (1.0, 1 + 1 / x.detach().std()) if self.noise == "batch" else self.noise
        factors = low + (high - low) * (self._uniform(x) if noise is None else noise)
        return selected_product(x * factors, weight) / selected_product(factors, weight)

    @property
    def operations(self) -> Mapping[str, Inputs]:
        """Products, for all inputs."""
        return {"mul": "real"}

    def idealize(self) -> Self:
        """Remove the scale of the batch, which cancels for discrete weights."""
        self.normalized = False
        return super().idealize()


class SigmaNMU(SigmoidModule):
    r"""Multiplies a learnt selection of its inputs, with sigmoids as weights.

    .. math:: y_o = \prod_i (W_{oi} x_i + 1 - W_{oi}), \qquad W = \sigma(\hat W)

    Operations: ``mul``. Regularizers: none. All results and gradients are finite, for every sign and for 0.

    References:
        ablation in Neural Arithmetic Units (Madsen & Johansen, ICLR 2020), https://arxiv.org/abs/2001.05016

    Arguments:
        in_features: number of inputs :math:`I`.
        out_features: number of outputs :math:`O`.

    >>> SigmaNMU(3, 1).gold("mul", 0, 2)(torch.tensor([3.0, -4.0, -10.0])).detach()
    tensor([-30.])
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(in_features, out_features)
        self.weight_hat = nn.Parameter(torch.empty(out_features, in_features, device=device, dtype=dtype))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        r"""Draw :math:`\hat W` uniformly within :math:`\pm\sqrt{3} / 2`."""
        limit = math.sqrt(3) / 2
        self.weight_hat.uniform_(-limit, limit)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the outputs, ``(*, I)`` to ``(*, O)``."""
        return selected_product(x, torch.sigmoid(self.weight_hat))

    @property
    def operations(self) -> Mapping[str, Inputs]:
        """Products, for all inputs."""
        return {"mul": "real"}


def _noise(noise: object) -> tuple[float, float] | Literal["batch"] | None:
    if noise is None or noise == "batch":
        return noise
    if isinstance(noise, Sequence) and len(noise) == 2 and all(isinstance(end, int | float) for end in noise):
        low, high = map(float, noise)
        if 0 < low < high < float("inf"):
            return low, high
    raise ValueError(f"NMU: noise is {noise!r}, expected [low, high] with 0 < low < high, 'batch' or nothing")
