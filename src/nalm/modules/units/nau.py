"""Neural addition unit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from nalm.modules.base import Inputs, choice
from nalm.modules.bounded import BoundedModule
from nalm.modules.functional import Shape, contract

__all__ = ["NAU"]


class NAU(BoundedModule):
    r"""Adds and subtracts a learnt selection of its inputs.

    .. math:: y_o = \sum_i W_{oi} x_i, \qquad W_{oi} \in [-1, 1]

    Operations: ``add``, ``sub``. Regularizers: ``weight``, ``out_of_bounds``, ``input``.

    References:
        Neural Arithmetic Units (Madsen & Johansen, ICLR 2020), https://arxiv.org/abs/2001.05016

    Arguments:
        in_features: number of inputs :math:`I`.
        out_features: number of outputs :math:`O`.
        out_of_bounds: how weights outside :math:`[-1, 1]` are treated: a projection clamps them after each step
            (``clip``), or the forward pass clamps them and a regularizer pulls them back (``penalty``).
        shape: shape of the regularizers, ``linear``, ``squared`` or ``none``.
        init: distribution of the initial weights: ``uniform`` within :math:`\pm\min(0.5, \sqrt{6 / (I + O)})`, or
            ``beta``, :math:`2\,\mathrm{Beta}(7, 7) - 1`.

    Raises:
        ValueError: an option has a value that is not listed here.

    >>> NAU(3, 1).gold("sub", 2, 0)(torch.tensor([3.0, -4.0, 10.0])).detach()
    tensor([7.])
    """

    lowest = -1

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        out_of_bounds: Literal["clip", "penalty"] = "clip",
        shape: Shape = "linear",
        init: Literal["uniform", "beta"] = "uniform",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(in_features, out_features, out_of_bounds, shape)
        self.init = choice(self, "init", init, ("uniform", "beta"))
        self.weight = nn.Parameter(torch.empty(out_features, in_features, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weights from the distribution ``init``."""
        self._draw(self.init)

    def _effective_weight(self) -> Tensor:
        """Return the weights, clamped to [-1, 1]."""
        return self.weight.clamp(-1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the outputs, ``(*, I)`` to ``(*, O)``."""
        return contract(x, self._effective_weight())

    @property
    def operations(self) -> Mapping[str, Inputs]:
        """Sums and differences, for all inputs."""
        return {"add": "real", "sub": "real"}
