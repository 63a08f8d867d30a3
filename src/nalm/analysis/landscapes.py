r"""Loss landscapes of two small layers, which show where a module's singularities are.

The first layer adds two selections of the inputs 1, 1.2, 1.8 and 2, with one weight :math:`w_1`; the second multiplies
or divides the two sums, with one weight :math:`w_2`:

.. math:: z = \big(|2.2\, w_1| + \varepsilon, |6\, w_1| + \varepsilon\big), \qquad
    \mathrm{loss}(w_1, w_2) = |f_{w_2}(z_1, z_2) - \mathrm{target}|

References:
    the product, layers, grid and :math:`\varepsilon = 0.1`: the original's script for Figure 9 of Learning Division
    with Neural Arithmetic Logic Modules (Mistry, Farrahi & Hare, 2021), https://arxiv.org/abs/2110.05177, after Neural
    Arithmetic Units (Madsen & Johansen, ICLR 2020), https://arxiv.org/abs/2001.05016; the quotient, and what ``SLICES``
    hold fast, are nalm's own choices
"""

__all__ = [
    "EPSILON",
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
from nalm.modules import NAU, NMRU, NMU, NPU, NRU, ArithmeticModule, NACMul, RealNPU
from nalm.modules.functional import saturate_

INPUTS = (1.0, 1.2, 1.8, 2.0)
SELECTIONS = ((1.0, 1.0, 0.0, 0.0), (1.0, 1.0, 1.0, 1.0))
"""What the first layer adds, for each of its two results."""

TARGETS = {"product": 2.2 * 6, "quotient": 2.2 / 6}
SIGNS = {"product": (1.0, 1.0), "quotient": (1.0, -1.0)}
"""Signs of the two exponents with which the second layer computes a target."""

EPSILON = 0.1
"""What is added to the magnitudes of the sums, as in the original's landscape."""

EPSILONS = (1e-7, 1.0)
"""The least and the greatest of Madsen & Johansen's landscapes."""

STEPS = 100
"""Points of the grid for each unit of a weight."""

EXACT = 1e-5
"""Relative error up to which a result is the target: modules add some 1e-7 of their own to magnitudes."""

Range = tuple[float, float]


@dataclass(frozen=True)
class Slice:
    r"""A module as the second layer, with all its parameters held fast or set by :math:`w_2`.

    Arguments:
        title: how the module is known, and what is held fast.
        build: makes the module, with an output for each of the exponents' rows: ``(n, 2)``, and their signs: ``(2,)``.
        domain: where :math:`w_2` belongs.
        infinite: by target, open intervals of :math:`w_2` in which results grow without bound if :math:`w_1` and
            :math:`\varepsilon` approach 0.
        steep: by target, those in which results stay bounded, but their derivative to :math:`w_1` does not.
        stationary: whether at :math:`w_2 = 0` the gradient is 0, wherever :math:`w_1` is.
        targets: what it can compute.
    """

    title: str
    build: Callable[[Tensor, Tensor], ArithmeticModule]
    domain: Range = (-1, 1)
    infinite: Mapping[str, Sequence[Range]] = field(default_factory=dict)
    steep: Mapping[str, Sequence[Range]] = field(default_factory=dict)
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
    # With imaginary exponents of 0 and open gates it is, of positive numbers, the NAC-mul once more.
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
    # Of its four weights the two that a sign asks for: 1 selects inputs, -1 their reciprocals, as an exponent would.
    module = NMRU(2, len(exponents), dtype=exponents.dtype)
    module.weight.copy_(torch.cat([exponents.clamp(min=0), (-exponents).clamp(min=0)], -1))
    return module.eval()


NEGATIVE, POSITIVE = (-1.0, 0.0), (0.0, 1.0)
# Powers of a product go with |w1|^(2 w2); those of a ratio jump where w1 is 0. In products of mixtures of 1 and a power
# one negative exponent is enough, unless the mixtures are the powers.
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
"""The landscapes, by the name of their module."""


def landscape_names(target: str) -> list[str]:
    """The landscapes that there are for a target, ``product`` or ``quotient``.

    Raises:
        NalmError: it is neither.
    """
    if target not in TARGETS:
        raise NalmError(f"found unknown target {target!r}, expected one of: {', '.join(TARGETS)}")
    return [name for name, slice_ in SLICES.items() if target in slice_.targets]


def landscape(module: str, target: str = "product", *, epsilon: float = EPSILON) -> pd.DataFrame:
    r"""The loss on a grid of the two layers' weights: -1, -0.99, …, 0.99 for each.

    Arguments:
        module: one of ``landscape_names(target)``.
        target: what the layers should compute of the sums 2.2 and 6: their ``product``, or their ``quotient``.
        epsilon: :math:`\varepsilon`, added to the magnitudes of the sums; the smaller it is, the sharper are the
            singularities.

    Returns:
        A row per point: ``module``, ``target``, ``w1``, ``w2``, ``result``, ``loss``; outside a module's domain too.

    Raises:
        NalmError: there is no such landscape, or epsilon is not between 1e-7 and 1.
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
    """Several landscapes below each other, each once; all that there are for the target if no module is named.

    The arguments are those of :func:`landscape`, and so are the errors.
    """
    chosen = dict.fromkeys(modules or landscape_names(target))
    return pd.concat([landscape(module, target, epsilon=epsilon) for module in chosen], ignore_index=True)


@torch.no_grad()
def results_at(module: str, target: str, w1: Tensor, w2: Tensor, epsilon: float) -> Tensor:
    """What the two layers compute with all pairs of the weights: ``(len(w1), len(w2))``.

    Both layers are modules of this library that have, at once, outputs for every value of their weight.
    """
    with torch.random.fork_rng(devices=()):  # initial weights, which are not used, shall not move anyone's stream
        first = NAU(len(INPUTS), 2 * len(w1), dtype=w1.dtype)
        first.weight.copy_((w1[:, None, None] * w1.new_tensor(SELECTIONS)).flatten(0, 1))
        signs = w2.new_tensor(SIGNS[target])
        second = SLICES[module].build(w2[:, None] * signs, signs)
    sums = first(w1.new_tensor(INPUTS)).reshape(-1, 2)
    results: Tensor = second(sums.abs() + epsilon)
    return results


def has_gold(module: str, target: str) -> bool:
    """Whether weights of 1 give the target exactly, if epsilon is 0."""
    one = torch.ones(1, dtype=torch.float64)
    return math.isclose(results_at(module, target, one, one, 0.0).item(), TARGETS[target], rel_tol=EXACT)
