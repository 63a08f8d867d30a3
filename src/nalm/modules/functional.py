"""The arithmetic that several modules share: products, penalties on weights, sparsity."""

from typing import Literal

import torch
from torch import Tensor

__all__ = [
    "EPS32",
    "Shape",
    "binary_penalty",
    "excess_penalty",
    "product",
    "sparsity_error",
    "ternary_penalty",
]

EPS32 = 2.0**-23
"""Machine epsilon of float32, which the papers' modules add in every precision."""

Shape = Literal["linear", "squared", "none"]


def product(*factors: Tensor) -> Tensor:
    r"""Product over the last dimensions of all the given blocks, :math:`y = \prod_j f_j`, from left to right.

    Written as a chain of multiplications: its gradient is exact where factors are 0, and a compiler fuses it with
    whatever made the factors, which it does not do with the backward pass of ``torch.prod``. For the same reason
    blocks are better given one by one than concatenated.

    Shape: ``(*, J)`` each, to ``(*)``.
    """
    first, *rest = (factor for block in factors for factor in block.unbind(-1))
    for factor in rest:
        first = first * factor
    return first


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


def sparsity_error(weight: Tensor) -> Tensor:
    r"""Largest distance of a weight from a discrete value, :math:`\max_w \min(|w|, |1 - |w||)`.

    References:
        Neural Arithmetic Units (Madsen & Johansen, ICLR 2020), https://arxiv.org/abs/2001.05016
    """
    return torch.minimum(weight.abs(), (1 - weight.abs()).abs()).amax()
