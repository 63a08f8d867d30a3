"""The arithmetic that several modules share: products, penalties on weights, sparsity."""

import math
from typing import Literal

import torch
from torch import Tensor

__all__ = [
    "EPS32",
    "SATURATED",
    "Shape",
    "binary_penalty",
    "contract",
    "excess_penalty",
    "glorot_limit",
    "nearest",
    "product",
    "saturated_logit",
    "selected_product",
    "sparsity_error",
    "ternary_penalty",
    "unused_penalty",
]

EPS32 = 2.0**-23
"""Machine epsilon of float32, which the papers' modules add in every precision."""

SATURATED = 1000.0
"""A logit at which logistic functions and hyperbolic tangents are 0 or 1 to the last digit of float64."""

Shape = Literal["linear", "squared", "none"]

_UNROLLED = 64
"""Sizes up to which sums and products are written out, so that a compiler fuses them with what is around them."""


def contract(x: Tensor, weight: Tensor) -> Tensor:
    r"""Weighted sums of the inputs, :math:`y_o = \sum_i W_{oi} x_i`.

    Small ones are written as multiplication and sum, which a compiler fuses, unlike a matrix product.

    Shape: ``(*, I)`` and ``(O, I)`` to ``(*, O)``.
    """
    if weight.numel() > _UNROLLED:
        return torch.nn.functional.linear(x, weight)
    return (x.unsqueeze(-2) * weight).sum(-1)


def product(*factors: Tensor) -> Tensor:
    r"""Product over the last dimensions of all the given blocks, :math:`y = \prod_j f_j`, from left to right.

    Written as a chain of multiplications: its gradient is exact where factors are 0, and a compiler fuses it with
    whatever made the factors, which it does not do with the backward pass of ``torch.prod``. For the same reason
    blocks are better given one by one than concatenated. Long products are left to ``torch.prod``.

    Shape: ``(*, J)`` each, to ``(*)``.
    """
    if sum(block.shape[-1] for block in factors) > _UNROLLED:
        return torch.cat(factors, -1).prod(-1)
    first, *rest = (factor for block in factors for factor in block.unbind(-1))
    for factor in rest:
        first = first * factor
    return first


def selected_product(x: Tensor, weight: Tensor) -> Tensor:
    r"""Product of the inputs that the weights select, :math:`y_o = \prod_i (W_{oi} x_i + 1 - W_{oi})`.

    Shape: ``(*, I)`` and ``(O, I)`` to ``(*, O)``.
    """
    return product(x.unsqueeze(-2) * weight + 1 - weight)


def glorot_limit(in_features: int, out_features: int) -> float:
    r"""Where Glorot's uniform distribution ends, :math:`\sqrt{6 / (I + O)}`."""
    return math.sqrt(6 / (in_features + out_features))


def saturated_logit(share: Tensor) -> Tensor:
    """The logit of a number from 0 to 1, so large at its ends that the sigmoid gives it back to the last digit."""
    return torch.logit(share).clamp(-SATURATED, SATURATED)


def nearest(weight: Tensor, low: int, high: int) -> Tensor:
    """The nearest integers from ``low`` to ``high``; halves are rounded away from zero."""
    away = weight.sign() * (weight.frac().abs() >= 0.5)
    return (weight.trunc() + away).clamp(low, high)


def binary_penalty(weight: Tensor, shape: Shape = "linear") -> Tensor:
    r"""Mean distance of the weights from :math:`\{0, 1\}`.

    Linear: :math:`\min(|w|, |1 - w|)`; squared: :math:`w^2 (1 - w)^2`; none: 0.

    References:
        Neural Arithmetic Units (Madsen & Johansen, ICLR 2020), https://arxiv.org/abs/2001.05016
    """
    return _penalty(weight, 1 - weight, shape)


def ternary_penalty(weight: Tensor, shape: Shape = "linear") -> Tensor:
    r"""Mean distance of the weights from :math:`\{-1, 0, 1\}`.

    Linear: :math:`\min(|w|, |1 - |w||)`; squared: :math:`w^2 (1 - |w|)^2`; none: 0.

    References:
        Neural Arithmetic Units (Madsen & Johansen, ICLR 2020), https://arxiv.org/abs/2001.05016
    """
    return _penalty(weight, 1 - weight.abs(), shape)


def _penalty(weight: Tensor, rest: Tensor, shape: Shape) -> Tensor:
    if shape == "none":
        return weight.new_zeros(())
    if shape == "squared":
        return (weight**2 * rest**2).mean()
    return torch.minimum(weight.abs(), rest.abs()).mean()


def excess_penalty(weight: Tensor, low: float, high: float, shape: Shape = "linear") -> Tensor:
    r"""Mean distance by which the weights leave :math:`[low, high]` (squared: of its square; none: 0).

    References:
        Neural Arithmetic Units (Madsen & Johansen, ICLR 2020), https://arxiv.org/abs/2001.05016
    """
    if shape == "none":
        return weight.new_zeros(())
    excess = torch.relu((weight - (low + high) / 2).abs() - (high - low) / 2)
    return (excess**2).mean() if shape == "squared" else excess.mean()


def unused_penalty(weight: Tensor, inputs: Tensor) -> Tensor:
    r"""Large inputs that a sum does not use, :math:`\overline{(1 - |w|) \bar x^2}`, with the means of all rows.

    References:
        Neural Arithmetic Units (Madsen & Johansen, ICLR 2020), https://arxiv.org/abs/2001.05016
    """
    mean = inputs.reshape(-1, weight.shape[-1]).mean(0)
    return ((1 - weight.abs()) * mean**2).mean()


def sparsity_error(weight: Tensor) -> Tensor:
    r"""Largest distance of a weight from a discrete value, :math:`\max_w \min(|w|, |1 - |w||)`.

    References:
        Neural Arithmetic Units (Madsen & Johansen, ICLR 2020), https://arxiv.org/abs/2001.05016
    """
    return torch.minimum(weight.abs(), (1 - weight.abs()).abs()).amax()
