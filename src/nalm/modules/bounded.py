"""The base of modules whose weights are kept between their discrete values."""

from __future__ import annotations

from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from nalm.modules.base import ArithmeticModule, choice, fraction
from nalm.modules.functional import Shape, binary_penalty, excess_penalty, glorot_limit, ternary_penalty, unused_penalty

__all__ = ["BoundedModule"]


class BoundedModule(ArithmeticModule):
    r"""A module whose weights select inputs, and stay within :math:`[-1, 1]` or :math:`[0, 1]`.

    Arguments:
        in_features: number of inputs :math:`I`.
        out_features: number of outputs :math:`O`.
        out_of_bounds: how weights outside are treated: a projection clamps them after each step (``clip``), or the
            forward pass clamps them and a regularizer pulls them back (``penalty``).
        shape: shape of the regularizers, ``linear``, ``squared`` or ``none``.
        identity_epsilon: added to the lower bound.
    """

    lowest: ClassVar[int]
    """The lowest discrete value, -1 or 0."""
    weight: nn.Parameter

    def __init__(
        self, in_features: int, out_features: int, out_of_bounds: str, shape: Shape, identity_epsilon: float = 0.0
    ) -> None:
        super().__init__(in_features, out_features)
        self.out_of_bounds = choice(self, "out_of_bounds", out_of_bounds, ("clip", "penalty"))
        choice(self, "shape", shape, ("linear", "squared", "none"))
        self.shape: Shape = shape
        self.identity_epsilon = fraction(self, "identity_epsilon", identity_epsilon)

    @torch.no_grad()
    def _draw(self, init: str = "uniform") -> None:
        """Draw the weights: around 0 if negative weights are allowed, else around 1/2."""
        if self.weight.is_meta:  # it has no numbers, and not every distribution of torch accepts it
            return
        if init == "beta":
            seven = self.weight.new_tensor([7.0])
            self.weight.copy_(2 * torch.distributions.Beta(seven, seven).sample(self.weight.shape).squeeze(-1) - 1)
        elif self.lowest < 0:
            limit = min(0.5, glorot_limit(self.in_features, self.out_features))
            self.weight.uniform_(-limit, limit)
        else:
            self.weight.uniform_(0.25, 0.75)

    def _effective_weight(self) -> Tensor:
        """Return the weights, clamped if a penalty lets them leave their bounds."""
        return (
            self.weight if self.out_of_bounds == "clip" else self.weight.clamp(self.lowest + self.identity_epsilon, 1.0)
        )

    def effective_weights(self) -> dict[str, Tensor]:
        """Return the weights as the forward pass uses them, by name."""
        return {"weight": self._effective_weight()}

    @property
    def domain(self) -> dict[str, tuple[int, int]]:
        """Discrete values of the weights."""
        return {"weight": (self.lowest, 1)}

    def bounds(self) -> dict[str, tuple[float, float]]:
        """Keep weights between their discrete values, unless a penalty does."""
        return {"weight": (self.lowest + self.identity_epsilon, 1.0)} if self.out_of_bounds == "clip" else {}

    def regularizers(self, inputs: Tensor | None = None) -> dict[str, Tensor]:
        """Return ``weight``, the distance from discrete values; ``out_of_bounds``, the distance from the bounds; and
        ``input``, the distance of unused inputs from 0 (sums) or from 1 (products).
        """
        ternary = self.lowest < 0
        terms = {
            "weight": (ternary_penalty if ternary else binary_penalty)(self.weight, self.shape),
            "out_of_bounds": self.weight.new_zeros(())
            if self.out_of_bounds == "clip"
            else excess_penalty(self.weight, self.lowest, 1, self.shape),
        }
        if inputs is not None:
            chosen_from = self._chosen_from(inputs)
            if ternary:
                terms["input"] = unused_penalty(self.weight, chosen_from)
            else:
                mean = chosen_from.reshape(-1, self.weight.shape[-1]).mean(0)
                terms["input"] = ((1 - self.weight) * (1 - mean) ** 2).mean()
        return terms

    def _chosen_from(self, inputs: Tensor) -> Tensor:
        """Return what the weights select from, with a column for each weight of an output."""
        return inputs

    @torch.no_grad()
    def gold(self, operation: str, *operands: int) -> Self:
        """Set the coefficients, or exponents, as weights."""
        self.weight.copy_(self.coefficients(operation, operands).expand_as(self.weight))
        return self
