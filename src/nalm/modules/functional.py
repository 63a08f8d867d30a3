"""Functions that several modules share: sums, products, penalties on weights, sparsity."""

import functools
import itertools
import math
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import get_proxy_mode

__all__ = [
    "EPS32",
    "LOG_EPS",
    "SATURATED",
    "Shape",
    "binary_penalty",
    "contract",
    "excess_penalty",
    "glorot_limit",
    "hard_sign",
    "log_magnitude",
    "nearest",
    "nearest_power",
    "nonzero_magnitude",
    "product",
    "saturate_",
    "saturated_logit",
    "selected_product",
    "sparsity_error",
    "ternary_penalty",
    "unit_power",
    "unused_penalty",
    "weighted_sum",
]

EPS32 = 2.0**-23
"""Machine epsilon of float32, which modules add to avoid a division by 0, in every precision, as published."""

LOG_EPS = 1e-7
"""The number that the papers add to magnitudes before they take logarithms."""

SATURATED = 1000.0
"""A logit whose sigmoid and hyperbolic tangent are 1 to the last digit of float64."""

Shape = Literal["linear", "squared", "none"]

_UNROLLED = 64
"""Sums and products up to this size are written out, so that a compiler can fuse them with the code around them."""
_SUMMED = 4096
"""In a compiled ensemble, weighted sums up to this size are faster than products of small matrices."""


def contract(x: Tensor, weight: Tensor) -> Tensor:
    r"""Return weighted sums of the inputs, :math:`y_o = \sum_i W_{oi} x_i`.

    Small sums are written as multiplication and sum, which a compiler fuses, unlike a matrix product.

    Shape: ``(*, I)`` and ``(O, I)`` to ``(*, O)``.
    """
    if weight.numel() <= _UNROLLED:
        return (x.unsqueeze(-2) * weight).sum(-1)
    if x.ndim == 2 and weight.numel() <= _SUMMED and _is_recorded():
        sums = (x.T * weight.unsqueeze(-1)).sum(-2)  # in an ensemble, rows are innermost in memory
        result: Tensor = _ContiguousGradient.apply(sums)  # type: ignore[no-untyped-call]
        return result.T
    return torch.nn.functional.linear(x, weight)


class _ContiguousGradient(torch.autograd.Function):
    """An identity with a contiguous gradient, so that sums over its rows are vectorized."""

    generate_vmap_rule = True

    @staticmethod
    def forward(sums: Tensor) -> Tensor:
        return sums.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient.clone(memory_format=torch.contiguous_format)


def product(*factors: Tensor) -> Tensor:
    r"""Return the product over the last dimensions of all blocks, :math:`y = \prod_j f_j`, from left to right.

    It is a chain of multiplications, which a compiler fuses with the code that made the factors, unlike ``torch.prod``.
    For the same reason, pass blocks one by one instead of concatenating them. Long products use ``torch.prod``. The
    gradient is exact where factors are 0. In a compiled ensemble it takes one division for each factor,
    :math:`(y / f_j)\, \partial y`, and stores nothing; it is as exact, unless :math:`y` overflows or underflows.

    Shape: ``(*, J)`` each, to ``(*)``.
    """
    if sum(block.shape[-1] for block in factors) > _UNROLLED:
        return torch.cat(factors, -1).prod(-1)
    if not _is_recorded():
        return functools.reduce(torch.mul, _columns(factors))
    result: Tensor = _Product.apply(*factors)  # type: ignore[no-untyped-call]
    return result


def _is_recorded() -> bool:
    """Tell whether operations are being recorded to be compiled together, which makes many small ones cheap."""
    return not torch.compiler.is_dynamo_compiling() and get_proxy_mode() is not None


def _columns(blocks: Sequence[Tensor]) -> list[Tensor]:
    return [column for block in blocks for column in block.unbind(-1)]


class _Product(torch.autograd.Function):
    """The product, with a gradient that is fast when it is compiled, and slow when it is not."""

    generate_vmap_rule = True

    @staticmethod
    def forward(*blocks: Tensor) -> Tensor:
        return functools.reduce(torch.mul, _columns(blocks))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return _ProductGradient.apply(*gradients, *ctx.saved_tensors)  # type: ignore[no-untyped-call]


class _ProductGradient(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(gradient: Tensor, *blocks: Tensor) -> tuple[Tensor, ...]:
        result = torch.ones_like(gradient)
        but_the_zero = torch.zeros_like(gradient)  # the product of the others, if exactly one factor is 0; else 0
        for factor in _columns(blocks):
            but_the_zero = torch.where(factor == 0, result, but_the_zero * factor)
            result = result * factor
        result, but_the_zero, gradient = (values.unsqueeze(-1) for values in (result, but_the_zero, gradient))
        return tuple(torch.where(block == 0, but_the_zero, result / block) * gradient for block in blocks)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, ...]) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return torch.func.vjp(_gradients_of_product, *ctx.saved_tensors)[1](gradients)


def _gradients_of_product(gradient: Tensor, *blocks: Tensor) -> tuple[Tensor, ...]:
    """Compute the same as ``_ProductGradient`` as products of all factors but one, which can be differentiated."""
    columns = _columns(blocks)
    before = list(itertools.accumulate(columns[:-1], torch.mul, initial=gradient))
    after = list(itertools.accumulate(columns[:0:-1], torch.mul, initial=torch.ones_like(gradient)))[::-1]
    others = torch.stack([left * right for left, right in zip(before, after, strict=True)], -1)
    return torch.split(others, [block.shape[-1] for block in blocks], -1)


def unit_power(base: Tensor, exponent: Tensor) -> Tensor:
    r"""Return powers :math:`b^e` of nonnegative numbers, for exponents that are to become -1, 0 or 1.

    The derivatives at 0 and infinity are defined as 0. A compiled ensemble computes
    :math:`b^e = b^n \exp((e - n) \ln b)` with the nearest such :math:`n`, because the gradient needs the same
    logarithm. It is exact at these exponents, and elsewhere within about :math:`|(e - n) \ln b|` roundings.

    Shape: any two that broadcast.
    """
    at_the_edge = (base == 0) | (base == math.inf)
    inner = torch.where(at_the_edge, 1, base)
    if not _is_recorded():
        return torch.where(at_the_edge, base.detach() ** exponent.detach(), inner**exponent)
    nearest_unit = exponent.detach().clamp(-1, 1).round()
    unit = torch.where(nearest_unit > 0, inner, torch.where(nearest_unit < 0, 1 / inner, 1))
    power = unit * torch.exp((exponent - nearest_unit) * torch.log(inner))
    # The following tensors have the shape of the exponents, which are few.
    of_zero = torch.where(exponent > 0, 0.0, torch.where(exponent < 0, math.inf, 1.0)).to(power.dtype)
    edge = torch.where(base == 0, of_zero, 1 / of_zero)
    return torch.where(at_the_edge, edge, power)


def selected_product(x: Tensor, weight: Tensor) -> Tensor:
    r"""Return the product of the inputs that the weights select, :math:`y_o = \prod_i (W_{oi} x_i + 1 - W_{oi})`.

    Shape: ``(*, I)`` and ``(O, I)`` to ``(*, O)``.
    """
    return product(x.unsqueeze(-2) * weight + 1 - weight)


def glorot_limit(in_features: int, out_features: int) -> float:
    r"""Return the limit of Glorot's uniform distribution, :math:`\sqrt{6 / (I + O)}`."""
    return math.sqrt(6 / (in_features + out_features))


def saturated_logit(share: Tensor) -> Tensor:
    """Return the logit of a number from 0 to 1, clamped so that its sigmoid is the number to the last digit."""
    return torch.logit(share).clamp(-SATURATED, SATURATED)


def saturate_(weight: Tensor, weight_hat: Tensor, mask_hat: Tensor) -> None:
    """Set parameters so that tanh(weight_hat) sigmoid(mask_hat) is the weight, from -1 to 1, to the last digit."""
    weight_hat.copy_((weight.sign() * SATURATED).expand_as(weight_hat))
    mask_hat.copy_(saturated_logit(weight.abs()).expand_as(mask_hat))


def log_magnitude(x: Tensor, eps: float) -> Tensor:
    r"""Return :math:`\ln(|x| + \varepsilon)`, which eps keeps finite."""
    return torch.log(x.abs() + eps)


def nonzero_magnitude(x: Tensor) -> Tensor:
    """Return magnitudes, with the smallest normal number for those of exactly 0."""
    return torch.where(x == 0, torch.finfo(x.dtype).tiny, x.abs())


def hard_sign(negatives: Tensor) -> Tensor:
    r"""Return the sign of :math:`\cos(\pi n)` for n negative factors, 1 or -1. It has no gradient."""
    return torch.sign(torch.cos(math.pi * negatives.detach()))


def weighted_sum(x: Tensor, weight: Tensor, space: str, eps: float) -> Tensor:
    """Return weighted sums of the inputs (``linear``), or of their logarithms, as an exponential (``log``)."""
    if space == "linear":
        return contract(x, weight)
    return torch.exp(contract(log_magnitude(x, eps), weight))


def nearest(weight: Tensor, low: int, high: int) -> Tensor:
    """Return the nearest integers from ``low`` to ``high``. Halves are rounded away from zero."""
    away = weight.sign() * (weight.frac().abs() >= 0.5)
    return (weight.trunc() + away).clamp(low, high)


def nearest_power(exponent: Tensor) -> Tensor:
    """Return the nearest of -1, 0 and 1, or another multiple of 1/2 if it is within 0.1."""
    halves = (2 * exponent).round() / 2
    return torch.where((halves - exponent).abs() <= 0.1, halves, nearest(exponent, -1, 1))


def binary_penalty(weight: Tensor, shape: Shape = "linear") -> Tensor:
    r"""Return the mean distance of the weights from :math:`\{0, 1\}`.

    Linear: :math:`\min(|w|, |1 - w|)`; squared: :math:`w^2 (1 - w)^2`; none: 0.

    References:
        Neural Arithmetic Units (Madsen & Johansen, ICLR 2020), https://arxiv.org/abs/2001.05016
    """
    return _penalty(weight, 1 - weight, shape)


def ternary_penalty(weight: Tensor, shape: Shape = "linear") -> Tensor:
    r"""Return the mean distance of the weights from :math:`\{-1, 0, 1\}`.

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
    r"""Return the mean distance of the weights from :math:`[low, high]` (squared: of its square; none: 0).

    References:
        Neural Arithmetic Units (Madsen & Johansen, ICLR 2020), https://arxiv.org/abs/2001.05016
    """
    if shape == "none":
        return weight.new_zeros(())
    excess = torch.relu((weight - (low + high) / 2).abs() - (high - low) / 2)
    return (excess**2).mean() if shape == "squared" else excess.mean()


def unused_penalty(weight: Tensor, inputs: Tensor) -> Tensor:
    r"""Penalize large inputs that a sum does not use, :math:`\overline{(1 - |w|) \bar x^2}`, with means over all rows.

    References:
        Neural Arithmetic Units (Madsen & Johansen, ICLR 2020), https://arxiv.org/abs/2001.05016
    """
    mean = inputs.reshape(-1, weight.shape[-1]).mean(0)
    return ((1 - weight.abs()) * mean**2).mean()


def sparsity_error(weight: Tensor) -> Tensor:
    r"""Return the largest distance of a weight from a discrete value, :math:`\max_w \min(|w|, |1 - |w||)`.

    References:
        Neural Arithmetic Units (Madsen & Johansen, ICLR 2020), https://arxiv.org/abs/2001.05016
    """
    return torch.minimum(weight.abs(), (1 - weight.abs()).abs()).amax()
