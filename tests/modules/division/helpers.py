"""Modules that divide, inputs and tolerances that their tests share."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import settings, strategies as st
from torch import Tensor

from nalm.modules import NMRU, NRU, ArithmeticModule, RealNPU
from nalm.modules.functional import EPS32

Build = Callable[[int, int], ArithmeticModule]

VARIANTS: dict[str, Build] = {
    "NRU": NRU,
    "NRU-separate": partial(NRU, sign="separate"),
    "NRU-penalty": partial(NRU, out_of_bounds="penalty"),
    "NMRU": NMRU,
    "NMRU-none": partial(NMRU, sign="none"),
    "NMRU-gated": partial(NMRU, sign="gated"),
    "NMRU-penalty": partial(NMRU, out_of_bounds="penalty"),
    "RealNPU": RealNPU,
    "RealNPU-ternary": partial(RealNPU, attract="ternary", clip="both"),
}

OPERATIONS: dict[str, tuple[int, Callable[[Tensor], Tensor]]] = {
    "mul": (2, lambda operands: operands[..., 0] * operands[..., 1]),
    "div": (2, lambda operands: operands[..., 0] / operands[..., 1]),
    "reciprocal": (1, lambda operands: 1 / operands[..., 0]),
    "squared": (1, lambda operands: operands[..., 0] ** 2),
    "root": (1, lambda operands: operands[..., 0] ** 0.5),
}
"""Number of operands and function of each operation."""

COMMON = ["mul", "div", "reciprocal"]

POWERS = ["squared", "root"]

every_variant = pytest.mark.parametrize("build", VARIANTS.values(), ids=VARIANTS)

every_variant_mostly_slow = pytest.mark.parametrize(
    "build",
    [
        pytest.param(build, id=name, marks=() if name in ("NRU", "NMRU", "RealNPU") else pytest.mark.slow)
        for name, build in VARIANTS.items()
    ],
)

both_modes = pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])

unhurried = settings(deadline=None, max_examples=40)

magnitudes = st.floats(0.1, 20)

signed = st.builds(math.copysign, magnitudes, st.sampled_from([-1.0, 1.0]))


def float64(values: Any) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def signed_inputs(rows: int, columns: int, seed: int = 0) -> Tensor:
    """Numbers of both signs, 0.1 to 20 away from 0."""
    generator = torch.Generator().manual_seed(seed)
    size = torch.empty(rows, columns, dtype=torch.float64).uniform_(0.1, 20, generator=generator)
    return size * (torch.randint(0, 2, size.shape, generator=generator) * 2 - 1)


@torch.no_grad()
def randomized(module: ArithmeticModule, seed: int = 0) -> Any:
    """Convert to float64 and draw parameters from 0.1 to 0.9, with both signs where the domain has -1."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in module.double().named_parameters():
        parameter.uniform_(0.1, 0.9, generator=generator)
        if module.domain.get(name, (0, 1))[0] < 0:
            parameter.mul_(torch.randint(0, 2, parameter.shape, generator=generator) * 2 - 1)
    return module


@torch.no_grad()
def with_parameters(module: ArithmeticModule, **values: float) -> Any:
    """Convert to float64 and set every element of the named parameters to one value."""
    module.double()
    for name, value in values.items():
        module.get_parameter(name).fill_(value)
    return module


def relative_tolerance(module: ArithmeticModule, operands: Tensor) -> Tensor:
    """Return the allowed relative error: Real NPU adds eps to the size of its operands, twice where it squares one;
    the others lose up to half a unit of float64's last place of 1 in 1 - w + w z, also where z is small."""
    error = 2.1 * EPS32 if isinstance(module, RealNPU) else 8 * 2.0**-53
    sizes = operands.abs()
    return error * torch.maximum(sizes, 1 / sizes).amax(-1)


def assert_computes(module: ArithmeticModule, operation: str, operands: tuple[int, ...], x: Tensor) -> None:
    selected = x[:, list(operands)]
    exact = OPERATIONS[operation][1](selected)
    results = module.eval()(x)
    assert results.shape == (len(x), module.out_features)
    for output in results.unbind(-1):
        assert ((output - exact).abs() <= relative_tolerance(module, selected) * exact.abs()).all()
