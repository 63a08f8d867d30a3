"""The base of modules whose weights are sigmoids."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor, nn

from nalm.modules.base import ArithmeticModule
from nalm.modules.functional import nearest, saturated_logit

__all__ = ["SigmoidModule"]


class SigmoidModule(ArithmeticModule):
    """A module whose weights are sigmoids of its parameters, so that they lie between 0 and 1 without bounds."""

    weight_hat: nn.Parameter

    def effective_weights(self) -> dict[str, Tensor]:
        """Return the weights as the forward pass uses them, by name."""
        return {"weight": torch.sigmoid(self.weight_hat)}

    def regularizers(self, inputs: Tensor | None = None) -> dict[str, Tensor]:
        """Return no regularizers."""
        return {}

    @torch.no_grad()
    def gold(self, operation: str, *operands: int) -> Self:
        """Saturate the weights at the coefficients."""
        coefficients = self.coefficients(operation, operands)
        self.weight_hat.copy_(saturated_logit(coefficients).expand_as(self.weight_hat))
        return self

    @torch.no_grad()
    def discretize(self) -> Self:
        """Saturate each weight at the nearest of 0 and 1."""
        self.weight_hat.copy_(saturated_logit(nearest(torch.sigmoid(self.weight_hat), 0, 1)))
        return self
