"""A module of one's own."""

from collections.abc import Mapping
from typing import Self

import torch
from torch import Tensor, nn

from nalm.modules import ArithmeticModule
from nalm.modules.base import Inputs


class Weighted(ArithmeticModule):
    r"""Sums its inputs with weights: :math:`y_o = \sum_i W_{oi} x_i`."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__(in_features, out_features)
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        nn.init.uniform_(self.weight, -0.5, 0.5)

    def forward(self, x: Tensor) -> Tensor:
        return (x.unsqueeze(-2) * self.weight).sum(-1)

    @property
    def operations(self) -> Mapping[str, Inputs]:
        return {"add": "real", "sub": "real"}

    @property
    def domain(self) -> dict[str, tuple[int, int]]:
        return {"weight": (-1, 1)}

    def bounds(self) -> dict[str, tuple[float, float]]:
        return {"weight": (-1.0, 1.0)}

    def regularizers(self, inputs: Tensor | None = None) -> dict[str, Tensor]:
        return {"weight": (self.weight.abs() * (1 - self.weight.abs())).mean()}

    @torch.no_grad()
    def gold(self, operation: str, *operands: int) -> Self:
        self.weight.copy_(self.coefficients(operation, operands).expand_as(self.weight))
        return self
