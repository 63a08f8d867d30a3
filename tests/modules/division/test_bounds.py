"""NRU, NMRU and Real NPU: projections, discrete weights, effective weights."""

import copy
import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import pytest
import torch
from tests.modules.division.helpers import (
    Build,
    both_modes,
    every_variant,
    float64,
    randomized,
    signed_inputs,
    with_parameters,
)

from nalm.modules import NMRU, NRU, ArithmeticModule, RealNPU, expression

SIGNS, UNIT = (-1.0, 1.0), (0.0, 1.0)


@pytest.mark.parametrize(
    ("module", "bounds"),
    [
        pytest.param(NRU(3, 2), {"weight": SIGNS}, id="NRU"),
        pytest.param(NRU(3, 2, identity_epsilon=0.01), {"weight": (-0.99, 1.0)}, id="NRU-epsilon"),
        pytest.param(NRU(3, 2, out_of_bounds="penalty"), {}, id="NRU-penalty"),
        pytest.param(NMRU(3, 2), {"weight": UNIT}, id="NMRU"),
        pytest.param(NMRU(3, 2, identity_epsilon=0.01), {"weight": (0.01, 1.0)}, id="NMRU-epsilon"),
        pytest.param(NMRU(3, 2, out_of_bounds="penalty"), {}, id="NMRU-penalty"),
        pytest.param(NMRU(3, 2, sign="gated"), {"weight": UNIT, "gate": UNIT}, id="NMRU-gated"),
        pytest.param(NMRU(3, 2, sign="gated", out_of_bounds="penalty"), {}, id="NMRU-gated-penalty"),
        pytest.param(RealNPU(3, 2), {}, id="RealNPU"),
        pytest.param(RealNPU(3, 2, clip="weight"), {"weight": SIGNS}, id="RealNPU-weight"),
        pytest.param(RealNPU(3, 2, clip="gate"), {"gate": UNIT}, id="RealNPU-gate"),
        pytest.param(RealNPU(3, 2, clip="both"), {"weight": SIGNS, "gate": UNIT}, id="RealNPU-both"),
    ],
)
def test_a_projection_clamps_to_the_bounds_and_leaves_free_parameters_alone(
    module: ArithmeticModule, bounds: Mapping[str, tuple[float, float]]
) -> None:
    module = copy.deepcopy(module).double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.linspace(-2, 2, parameter.numel()).reshape_as(parameter))
    before = {name: parameter.detach().clone() for name, parameter in module.named_parameters()}

    assert module.bounds() == bounds
    assert module.project_() is module

    for name, parameter in module.named_parameters():
        low, high = bounds.get(name, (-math.inf, math.inf))
        expected = [min(max(value, low), high) for value in before[name].flatten().tolist()]
        assert parameter.flatten().tolist() == expected


ROUNDED = {-1.7: -2, -1.5: -2, -1.2: -1, -0.5: -1, -0.25: 0, 0.0: 0, 0.25: 0, 0.5: 1, 0.75: 1, 1.2: 1, 1.5: 2, 1.7: 2}
"""Nearest integers, halves away from zero."""


@pytest.mark.parametrize(("value", "rounded"), ROUNDED.items())
@every_variant
def test_discretizing_rounds_to_the_nearest_value_of_the_domain(build: Build, value: float, rounded: int) -> None:
    module = build(2, 1)
    domain = dict(module.domain)
    with_parameters(module, **dict.fromkeys(domain, value))
    assert module.discretize() is module
    for name, (low, high) in domain.items():
        expected = torch.full_like(module.get_parameter(name), rounded).clamp(low, high)
        if isinstance(module, RealNPU) and name == "weight" and name not in module.bounds() and value % 1 == 0.5:
            expected.fill_(value)  # a free weight of a half is a root, which rounding must not undo
        assert torch.equal(module.get_parameter(name), expected)


@pytest.mark.parametrize("operation", ["root", "squared"])
def test_discretizing_keeps_the_gold_weights_of_roots_and_powers(operation: str) -> None:
    module = RealNPU(2, 1).gold(operation, 1)
    before = module.weight.clone()
    assert torch.equal(module.discretize().weight, before)
    assert str(expression(module)[0]) == {"root": "sqrt(x2)", "squared": "x2**2"}[operation]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_discretizing_rounds_the_largest_number_below_a_half_to_zero(dtype: torch.dtype) -> None:
    below = torch.nextafter(torch.tensor(0.5, dtype=dtype), torch.tensor(0.0, dtype=dtype))
    module = NMRU(2, 1).to(dtype)
    with torch.no_grad():
        module.weight.fill_(below)
    assert module.discretize().weight.tolist() == [[0.0] * 4]


@every_variant
def test_discretizing_leaves_no_parameter_between_discrete_values(build: Build) -> None:
    module = randomized(build(3, 2)).discretize()
    for parameter in module.parameters():
        # free weights of a Real NPU may be halves, which are roots
        steps = 2 * parameter if isinstance(module, RealNPU) and not module.bounds() else parameter
        assert torch.equal(steps, steps.round())


@every_variant
def test_the_sparsity_error_is_that_of_the_effective_weights_and_ignores_gates(build: Build) -> None:
    module = build(2, 1)
    with_parameters(module, **dict.fromkeys(dict(module.named_parameters()), 0.7) | {"weight": 0.9})
    assert module.sparsity_error().item() == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("module", "effective"),
    [
        (NRU(2, 1, out_of_bounds="penalty"), {-1.5: -1.0, 0.3: 0.3, 1.5: 1.0}),
        (NRU(2, 1, out_of_bounds="penalty", identity_epsilon=0.25), {-1.5: -0.75, 1.5: 1.0}),
        (NMRU(2, 1, out_of_bounds="penalty"), {-0.5: 0.0, 0.3: 0.3, 1.5: 1.0}),
        (NMRU(2, 1, out_of_bounds="penalty", identity_epsilon=0.25), {-0.5: 0.25, 1.5: 1.0}),
        (NRU(2, 1), {-1.5: -1.5, 1.5: 1.5}),
        (NMRU(2, 1), {-0.5: -0.5, 1.5: 1.5}),
        (RealNPU(2, 1), {-2.0: -2.0, 2.0: 2.0}),
    ],
    ids=["NRU", "NRU-epsilon", "NMRU", "NMRU-epsilon", "NRU-clip", "NMRU-clip", "RealNPU"],
)
def test_the_effective_weight_is_clamped_where_a_penalty_lets_it_out(
    module: ArithmeticModule, effective: dict[float, float]
) -> None:
    for raw, clamped in effective.items():
        weight = with_parameters(copy.deepcopy(module), weight=raw).effective_weights()["weight"]
        assert torch.equal(weight, torch.full_like(weight, clamped))


@both_modes
@pytest.mark.parametrize(
    "build",
    [NRU, partial(NRU, sign="separate"), NMRU, partial(NMRU, sign="none"), partial(NMRU, sign="gated")],
    ids=["NRU", "NRU-separate", "NMRU", "NMRU-none", "NMRU-gated"],
)
def test_out_of_bounds_a_penalized_module_computes_with_clamped_weights(build: Any, training: bool) -> None:
    penalized, clipped = build(2, 1, out_of_bounds="penalty"), build(2, 1)
    for module in (penalized, clipped):
        randomized(module).train(training)
    with torch.no_grad():
        penalized.weight[0, :2] = float64([-1.6, 1.4])
        clipped.weight.copy_(penalized.weight)
    # The sign of an NMRU takes raw weights, so only positive inputs tell nothing but the magnitude.
    x = signed_inputs(10, 2).abs()
    assert not torch.equal(clipped(x), penalized(x))
    assert torch.equal(clipped.project_()(x), penalized(x))


def test_out_of_bounds_the_sign_of_a_penalized_nmru_takes_its_raw_weights() -> None:
    module = with_parameters(NMRU(1, 1, out_of_bounds="penalty"), weight=0.0).eval()
    with torch.no_grad():
        module.weight[0, 0] = 1.25
    # cos(1.25 pi) from the raw weight, the magnitude from the clamped one; a few roundings.
    assert module(float64([-3.0])).item() == pytest.approx(3 * math.cos(1.25 * math.pi), rel=1e-12)
