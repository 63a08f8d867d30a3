"""Modules of somebody's own, as an experiment file names them by import path."""

import torch
from torch import Tensor, nn

__all__ = ["Halved", "Looping"]


class Halved(nn.Module):
    """A linear layer whose result is halved."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((out_features, in_features), 0.5))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight.T / 2


class Looping(Halved):
    """One that cannot be vectorized, and has a buffer."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__(in_features, out_features)
        self.register_buffer("seen", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        if float(x.sum()) > 1e30:
            return -super().forward(x)
        return super().forward(x)
