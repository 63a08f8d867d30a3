"""Ordinary layers as baselines, initialized as in the papers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Self

import torch
from torch import Tensor, nn

from nalm.modules.base import ArithmeticModule, Inputs
from nalm.modules.functional import glorot_limit

__all__ = ["Linear", "ReLU", "ReLU6"]


class Linear(ArithmeticModule):
    r"""A linear layer, :math:`y = W x + b`. It can add and subtract, but nothing makes its weights discrete.

    Operations: ``add``, ``sub``. Regularizers: none.

    References:
        baseline in Neural Arithmetic Units (Madsen & Johansen, ICLR 2020), https://arxiv.org/abs/2001.05016

    Arguments:
        in_features: number of inputs :math:`I`.
        out_features: number of outputs :math:`O`.

    >>> Linear(2, 1).gold("sub")(torch.tensor([3.0, -4.0])).detach()
    tensor([7.])
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
        factory: dict[str, Any] = {"device": device, "dtype": dtype}
        self.weight = nn.Parameter(torch.empty(out_features, in_features, **factory))
        self.bias = nn.Parameter(torch.empty(out_features, **factory))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        r"""Draw weights uniformly within :math:`\pm\sqrt{6 / (I + O)}`; biases start at 0."""
        limit = glorot_limit(self.in_features, self.out_features)
        self.weight.uniform_(-limit, limit)
        self.bias.zero_()

    def forward(self, x: Tensor) -> Tensor:
        """Compute the outputs, ``(*, I)`` to ``(*, O)``."""
        return nn.functional.linear(x, self.weight, self.bias)

    @property
    def operations(self) -> Mapping[str, Inputs]:
        """Sums and differences, for all inputs."""
        return {"add": "real", "sub": "real"}

    def regularizers(self, inputs: Tensor | None = None) -> dict[str, Tensor]:
        """Return no regularizers."""
        return {}

    @torch.no_grad()
    def gold(self, operation: str, *operands: int) -> Self:
        """Set the coefficients as weights, and biases of 0."""
        self.weight.copy_(self.coefficients(operation, operands).expand_as(self.weight))
        self.bias.zero_()
        return self


class ReLU(Linear):
    r"""A linear layer and a rectifier, :math:`y = \max(W x + b, 0)`. It computes no operation.

    References:
        baseline in Neural Arithmetic Units (Madsen & Johansen, ICLR 2020), https://arxiv.org/abs/2001.05016

    Arguments:
        in_features: number of inputs :math:`I`.
        out_features: number of outputs :math:`O`.
    """

    @torch.no_grad()
    def reset_parameters(self) -> None:
        r"""Draw weights uniformly within :math:`\pm\sqrt{6 / I}`; biases start at 0."""
        limit = math.sqrt(6 / self.in_features)
        self.weight.uniform_(-limit, limit)
        self.bias.zero_()

    def forward(self, x: Tensor) -> Tensor:
        """Compute the outputs, ``(*, I)`` to ``(*, O)``."""
        return nn.functional.relu(super().forward(x))

    @property
    def operations(self) -> Mapping[str, Inputs]:
        """No operations."""
        return {}


class ReLU6(ReLU):
    r"""A linear layer and a rectifier that is cut off at 6, :math:`y = \min(\max(W x + b, 0), 6)`.

    References:
        baseline in Neural Arithmetic Units (Madsen & Johansen, ICLR 2020), https://arxiv.org/abs/2001.05016

    Arguments:
        in_features: number of inputs :math:`I`.
        out_features: number of outputs :math:`O`.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Compute the outputs, ``(*, I)`` to ``(*, O)``."""
        return super().forward(x).clamp(max=6)
