"""Inputs, random variants and tolerances that the tests of modules share."""

import math
from collections.abc import Callable, Iterable
from typing import Any

import pytest
import torch
from hypothesis import settings, strategies as st
from tests.modules.variants import VARIANTS
from torch import Tensor

from nalm.modules import (
    DMU,
    NPU,
    ArithmeticModule,
    NaiveNPU,
    PowerProduct,
    RealNaiveNPU,
    RealNPU,
)
from nalm.modules.base import Inputs
from nalm.testing import randomize_

every_variant = pytest.mark.parametrize("name", VARIANTS)

both_modes = pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])

unhurried = settings(deadline=None, max_examples=12)

RANGES: list[tuple[tuple[float, float], ...]] = [
    ((-20, -10), (-40, -20)),
    ((-2, -1), (-6, -2)),
    ((-1.2, -1.1), (-6.1, -1.2)),
    ((-0.2, -0.1), (-2, -0.2)),
    ((-2, 2), (-6, -2), (2, 6)),
    ((0.1, 0.2), (0.2, 2)),
    ((1, 2), (2, 6)),
    ((1.1, 1.2), (1.2, 6)),
    ((10, 20), (20, 40)),
]
"""Training and test intervals of the paper's nine tasks."""

LEAST: dict[Inputs, float] = {"real": -math.inf, "nonzero": -math.inf, "positive": 1e-3, "at least 1": 1.0}
"""The least input of a kind that is drawn (one of a continuous distribution is never 0)."""

EXACT: dict[str, Callable[[Tensor], Tensor]] = {
    "add": lambda x: x.sum(-1),
    "sub": lambda x: x[..., 0] - x[..., 1],
    "mul": lambda x: x.prod(-1),
    "div": lambda x: x[..., 0] / x[..., 1],
    "reciprocal": lambda x: 1 / x[..., 0],
    "squared": lambda x: x[..., 0] ** 2,
    "root": lambda x: x[..., 0] ** 0.5,
}

OPERANDS = {"add": 2, "sub": 2, "mul": 2, "div": 2, "reciprocal": 1, "squared": 1, "root": 1}

COMPUTED = [(name, operation) for name, build in VARIANTS.items() for operation in build(2, 1).operations]
"""Every variant with every operation that its gold weights compute."""

ONLY_POSITIVE = ("MulMCFC-none", "MulMCFC-none-trash")
"""Variants that are NaN for negative inputs, as documented."""

TAKES_ALL_INPUTS = [
    *("MCFC", "MulMCFC-none", "MulMCFC-inalu", "MulMCFC-real_npu"),
    *("DMU-sum", "DMU-difference", "DMU-sum-heads"),
]
"""Variants that cannot ignore an input."""

WITHOUT_DISCRETE_WEIGHTS = ("Linear", "ReLU", "ReLU6", "DMU-heads", "DMU-sum-heads")

WITHOUT_FORMULA = {
    "NMU-normalized": "std",
    "DMU-heads": "native_layer_norm",
    "DMU-sum-heads": "native_layer_norm",
}
"""Variants that compute with something that has no formula, and what it is."""

REPRESENTATIVES = [
    *("Linear", "ReLU6", "NAC-golden", "NACMul", "NACSigma-log", "NACNMU-log", "NALU-separate", "NALU-safe"),
    *("NALU-trig", "GNALU-bias", "INALU", "NAU", "NMU", "NMU-normalized", "SigmaNMU", "GatedNAUNMU-bias", "NPU"),
    *("RealNPU", "NaiveNPU", "RealNaiveNPU", "NRU", "NRU-separate", "NMRU-gated", "MCFC-trash", "MulMCFC-inalu"),
    *("MulMCFC-real_npu-trash", "DMU", "DMU-heads", "PowerProduct", "MagnitudeNMRU"),
]
"""At least one variant of each class, where all would take too long."""


def mostly_slow(cases: Iterable[Any]) -> list[Any]:
    """Mark cases as slow, but for those of representatives; a case is the name of a variant, or begins with it."""
    split = [(case, (case,) if isinstance(case, str) else case) for case in cases]
    return [
        case if parts[0] in REPRESENTATIVES else pytest.param(*parts, marks=pytest.mark.slow) for case, parts in split
    ]


every_variant_mostly_slow = pytest.mark.parametrize("name", mostly_slow(VARIANTS))

FORWARD = [
    name
    for name in VARIANTS
    if name not in ("NAU-beta", "NPU-both", "NPU-all", "RealNPU-ternary", "NaiveNPU-weight", "RealNaiveNPU-weight")
]
"""Variants whose forward pass differs from that of every other, for what takes long and is about nothing else."""

NOISY = [name for name, build in VARIANTS.items() if build(2, 1).noise_shape(torch.Size([5, 2])) is not None]

POWER_UNITS = (NPU, RealNPU, NaiveNPU, RealNaiveNPU, PowerProduct)


def float64(values: Any) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def width(name: str, wanted: int = 3) -> int:
    """Return the wanted number of inputs, or 2 for the variant that takes no other."""
    return 2 if name == "DMU-difference" else wanted


def inputs_for(name: str, *shape: int, seed: int = 0) -> Tensor:
    """Numbers of both signs, where the variant takes them, from 0.3 to 3, none of them near the 1 of ``safe``."""
    generator = torch.Generator().manual_seed(seed)
    size = torch.empty(*shape, width(name), dtype=torch.float64).uniform_(0.3, 0.9, generator=generator)
    size = torch.where(torch.rand(size.shape, generator=generator) < 0.5, size, 3.3 * size)
    sign = torch.randint(0, 2, size.shape, generator=generator) * 2 - 1
    return size if name in ONLY_POSITIVE else size * sign


def randomized(module: ArithmeticModule, seed: int = 0) -> Any:
    """Convert a module to float64, with random parameters that are not discrete."""
    return randomize_(module.double(), seed)


def random_variant(name: str, *, training: bool = False, seed: int = 0) -> Any:
    return randomized(VARIANTS[name](width(name), 2), seed).train(training)


def with_noise(module: ArithmeticModule, x: Tensor, seed: int = 0) -> tuple[Tensor, ...]:
    """Return the arguments of a call: the inputs and, for some modules in training, noise from a fixed seed."""
    shape = module.noise_shape(x.shape) if module.training else None
    if shape is None:
        return (x,)
    return x, torch.rand(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def off_by(module: ArithmeticModule, operation: str, operands: Tensor) -> Tensor:
    """Return the allowed error, relative to the largest of the operands and the result: each logarithm or
    reciprocal adds eps to its operand (squares do so twice), the DMU smooths."""
    eps = 1e-4 if isinstance(module, DMU) else getattr(module, "eps", 0.0)
    times = 2 if operation == "squared" else 1
    return 1e-6 + times * eps * (1 / operands.abs()).sum(-1)


def drawn(valid: Inputs, in_features: int, rows: int = 10) -> Tensor:
    """Rows from each interval of the nine tasks, or from that part of it where the operation is computed."""
    generator = torch.Generator().manual_seed(0)
    parts = [(max(low, LEAST[valid]), high) for intervals in RANGES for low, high in intervals if high > LEAST[valid]]
    return torch.cat(
        [
            torch.empty(rows, in_features, dtype=torch.float64).uniform_(low, high, generator=generator)
            for low, high in parts
        ]
    )


def numbers(valid: Inputs) -> st.SearchStrategy[float]:
    """Single inputs for which an operation is computed."""
    if valid == "at least 1":
        return st.floats(1, 20)
    sizes = st.floats(0.1, 20)
    return sizes if valid == "positive" else st.builds(math.copysign, sizes, st.sampled_from([-1.0, 1.0]))


def beside(x: Tensor) -> Tensor:
    """Stack the row and another one, since a normalized NMU needs a batch that is not constant."""
    return torch.stack([x, torch.linspace(1.25, 2.5, len(x), dtype=x.dtype)])


def rounding_of(name: str) -> float:
    """Return the allowed error of terms that cancel: only a standard deviation, divided out again, is rounded."""
    return 1e-12 if name == "NMU-normalized" else 0.0


IGNORING = [(name, operation) for name, operation in COMPUTED if name not in TAKES_ALL_INPUTS]


@torch.no_grad()
def scattered(module: ArithmeticModule) -> ArithmeticModule:
    """Draw the module's parameters from -3 to 3."""
    generator = torch.Generator().manual_seed(0)
    for parameter in module.parameters():
        parameter.uniform_(-3, 3, generator=generator)
    return module


def assert_within_bounds(module: ArithmeticModule) -> None:
    for name, (low, high) in module.bounds().items():
        parameter = module.get_parameter(name)
        assert ((parameter >= low) & (parameter <= high)).all(), name


def layer(module: Any, weight: list[list[float]]) -> Any:
    with torch.no_grad():
        module.weight.copy_(torch.tensor(weight))
    return module
