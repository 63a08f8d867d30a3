r"""Loss landscapes of two small layers, which show the singularities of a module.

The first layer adds two subsets of the inputs 1, 1.2, 1.8 and 2, scaled by one weight :math:`w_1`. The second layer
multiplies or divides the two sums, with one weight :math:`w_2`:

.. math:: z = \big(|2.2\, w_1| + \varepsilon, |6\, w_1| + \varepsilon\big), \qquad
    \mathrm{loss}(w_1, w_2) = |f_{w_2}(z_1, z_2) - \mathrm{target}|

References:
    Product, layers, grid and :math:`\varepsilon = 0.1`: the original's script for Figure 9 of Learning Division with
    Neural Arithmetic Logic Modules (Mistry, Farrahi & Hare, 2021), https://arxiv.org/abs/2110.05177, after Neural
    Arithmetic Units (Madsen & Johansen, ICLR 2020), https://arxiv.org/abs/2001.05016. The quotient and the fixed
    parameters of ``SLICES`` are nalm's own choices.
"""

__all__ = [
    "SLICES",
    "TARGETS",
    "Slice",
    "has_gold",
    "landscape",
    "landscape_names",
    "landscapes",
    "results_at",
]

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd
import torch
from torch import Tensor

from nalm.errors import NalmError
from nalm.figures.landscapes import EPSILON
from nalm.modules import NAU, NMRU, NMU, NPU, NRU, ArithmeticModule, NACMul, RealNPU
from nalm.modules.functional import saturate_

INPUTS = (1.0, 1.2, 1.8, 2.0)
SELECTIONS = ((1.0, 1.0, 0.0, 0.0), (1.0, 1.0, 1.0, 1.0))
"""Inputs that the first layer adds, for each of its two sums."""

TARGETS = {"product": 2.2 * 6, "quotient": 2.2 / 6}
SIGNS = {"product": (1.0, 1.0), "quotient": (1.0, -1.0)}
"""Signs of the two exponents with which the second layer computes a target."""

EPSILONS = (1e-7, 1.0)
"""Smallest and largest of these constants in Madsen & Johansen's landscapes."""

STEPS = 100
"""Points of the grid per unit of a weight."""

EXACT = 1e-5
"""Relative error up to which a result equals the target: modules add about 1e-7 to magnitudes themselves."""

Bounds = tuple[float, float]


@dataclass(frozen=True)
class Slice:
    r"""A module as the second layer, with every parameter either fixed or set by :math:`w_2`.

    Arguments:
        title: name of the module, and its fixed parameters.
        build: makes the module from exponents with shape ``(n, 2)``, a row per output, and their signs, ``(2,)``.
        domain: range of valid :math:`w_2`.
        infinite: open intervals of :math:`w_2`, by target, in which results grow without bound as :math:`w_1` and
            :math:`\varepsilon` approach 0.
        steep: open intervals of :math:`w_2`, by target, in which results stay bounded, but their derivative with
            respect to :math:`w_1` does not.
        stationary: whether the gradient is 0 at :math:`w_2 = 0` for every :math:`w_1`.
        targets: targets that the module can compute.
    """

    title: str
    build: Callable[[Tensor, Tensor], ArithmeticModule]
    domain: Bounds = (-1, 1)
    infinite: Mapping[str, Sequence[Bounds]] = field(default_factory=dict)
    steep: Mapping[str, Sequence[Bounds]] = field(default_factory=dict)
    stationary: bool = False
    targets: Sequence[str] = tuple(TARGETS)


def _nac_mul(exponents: Tensor, signs: Tensor) -> ArithmeticModule:
    module = NACMul(2, len(exponents), dtype=exponents.dtype)
    saturate_(exponents, module.weight_hat, module.mask_hat)
    return module


def _nmu(exponents: Tensor, signs: Tensor) -> ArithmeticModule:
    module = NMU(2, len(exponents), dtype=exponents.dtype)
    module.weight.copy_(exponents)
    return module


def _nru(training: bool) -> Callable[[Tensor, Tensor], ArithmeticModule]:
    def build(exponents: Tensor, signs: Tensor) -> ArithmeticModule:
        module = NRU(2, len(exponents), dtype=exponents.dtype)
        module.weight.copy_(exponents)
        return module.train(training)

    return build


def _npu(exponents: Tensor, signs: Tensor) -> ArithmeticModule:
    # With imaginary exponents of 0 and open gates, on positive numbers, it would equal the NAC-mul.
    module = NPU(2, len(exponents), dtype=exponents.dtype)
    module.weight.copy_(exponents)
    module.imaginary.copy_(signs.expand_as(exponents))
    module.gate.fill_(1)
    return module


def _real_npu(exponents: Tensor, signs: Tensor) -> ArithmeticModule:
    module = RealNPU(2, len(exponents), dtype=exponents.dtype)
    module.weight.copy_(exponents)
    module.gate.fill_(0.5)
    return module


def _nmru(exponents: Tensor, signs: Tensor) -> ArithmeticModule:
    # Set two of its four weights by sign: 1 selects inputs and -1 their reciprocals, as an exponent would.
    module = NMRU(2, len(exponents), dtype=exponents.dtype)
    module.weight.copy_(torch.cat([exponents.clamp(min=0), (-exponents).clamp(min=0)], -1))
    return module.eval()


NEGATIVE, POSITIVE = (-1.0, 0.0), (0.0, 1.0)
# Powers of the product scale as |w1|^(2 w2); powers of the ratio jump where w1 is 0. A product of mixtures of 1 and a
# power is infinite as soon as one exponent is negative, unless the mixtures are pure powers.
POWERS = {"product": [NEGATIVE]}
SLOPES_OF_POWERS = {"product": [(0.0, 0.5)], "quotient": [NEGATIVE, POSITIVE]}
MIXTURES = {"product": [NEGATIVE], "quotient": [NEGATIVE, POSITIVE]}
SLOPES_OF_MIXTURES = {"product": [POSITIVE]}

SLICES = {
    "NACMul": Slice("NAC-mul", _nac_mul, infinite=POWERS, steep=SLOPES_OF_POWERS),
    "NMU": Slice("NMU", _nmu, domain=POSITIVE, targets=["product"]),
    "NRU-eval": Slice(
        "NRU, |w| (evaluation)", _nru(False), infinite=MIXTURES, steep=SLOPES_OF_MIXTURES, stationary=True
    ),
    "NRU-train": Slice("NRU, tanh (training)", _nru(True), infinite=POWERS, steep=SLOPES_OF_POWERS, stationary=True),
    "NPU": Slice("NPU, imaginary exponents 1", _npu, infinite=POWERS, steep=SLOPES_OF_POWERS),
    "RealNPU": Slice("Real NPU, gates 0.5", _real_npu),
    "NMRU": Slice("NMRU", _nmru, infinite=MIXTURES),
}
"""Landscapes by name, which is mostly that of the module."""


def landscape_names(target: str) -> list[str]:
    """List the landscapes of a target, ``product`` or ``quotient``.

    Raises:
        NalmError: the target is unknown.
    """
    if target not in TARGETS:
        raise NalmError(f"found unknown target {target!r}, expected one of: {', '.join(TARGETS)}")
    return [name for name, slice_ in SLICES.items() if target in slice_.targets]


def landscape(module: str, target: str = "product", *, epsilon: float = EPSILON) -> pd.DataFrame:
    r"""Compute the loss on a grid of the two layers' weights: -1, -0.99, …, 0.99 for each.

    Arguments:
        module: one of ``landscape_names(target)``.
        target: ``product`` or ``quotient`` of the sums 2.2 and 6.
        epsilon: :math:`\varepsilon`, added to the magnitudes of the sums; smaller values sharpen the singularities.

    Returns:
        A row per point: ``module``, ``target``, ``w1``, ``w2``, ``result``, ``loss``, also outside the module's domain.

    Raises:
        NalmError: the landscape is unknown, or epsilon is not between 1e-7 and 1.
    """
    names = landscape_names(target)
    if module not in names:
        found = f"{module!r}, which computes no {target}" if module in SLICES else f"unknown landscape {module!r}"
        raise NalmError(f"found {found}, expected one of: {', '.join(names)}")
    low, high = EPSILONS
    if not low <= epsilon <= high:
        raise NalmError(f"epsilon is {epsilon!r}, expected a number from {low:g} to {high:g}")
    weights = torch.arange(-STEPS, STEPS, dtype=torch.float64) / STEPS
    results = results_at(module, target, weights, weights, epsilon).flatten()
    points = torch.cartesian_prod(weights, weights)
    columns = {"w1": points[:, 0], "w2": points[:, 1], "result": results, "loss": (results - TARGETS[target]).abs()}
    table = pd.DataFrame({name: column.numpy() for name, column in columns.items()})
    table.insert(0, "module", module)
    table.insert(1, "target", target)
    return table


def landscapes(modules: Sequence[str] = (), target: str = "product", *, epsilon: float = EPSILON) -> pd.DataFrame:
    """Return several landscapes as one table; by default all of the target.

    Arguments:
        modules: names, as for :func:`landscape`; repeated names count once.
        target: as for :func:`landscape`.
        epsilon: as for :func:`landscape`.

    Raises:
        NalmError: as :func:`landscape`.
    """
    chosen = dict.fromkeys(modules or landscape_names(target))
    return pd.concat([landscape(module, target, epsilon=epsilon) for module in chosen], ignore_index=True)


@torch.no_grad()
def results_at(module: str, target: str, w1: Tensor, w2: Tensor, epsilon: float) -> Tensor:
    """Compute the results of the two layers for all pairs of weights, with shape ``(len(w1), len(w2))``.

    Both layers are modules of this library, with outputs for every value of their weight at once.
    """
    with torch.random.fork_rng(devices=()):  # initial weights, never used, must not advance the caller's stream
        first = NAU(len(INPUTS), 2 * len(w1), dtype=w1.dtype)
        first.weight.copy_((w1[:, None, None] * w1.new_tensor(SELECTIONS)).flatten(0, 1))
        signs = w2.new_tensor(SIGNS[target])
        second = SLICES[module].build(w2[:, None] * signs, signs)
    sums = first(w1.new_tensor(INPUTS)).reshape(-1, 2)
    results: Tensor = second(sums.abs() + epsilon)
    return results


def has_gold(module: str, target: str) -> bool:
    """Tell whether weights of 1 give the target exactly when epsilon is 0."""
    one = torch.ones(1, dtype=torch.float64)
    return math.isclose(results_at(module, target, one, one, 0.0).item(), TARGETS[target], rel_tol=EXACT)
