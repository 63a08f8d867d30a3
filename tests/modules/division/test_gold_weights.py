"""NRU, NMRU and Real NPU compute their operations with gold weights."""

import copy
from functools import partial
from itertools import permutations
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from tests.modules.division.helpers import (
    COMMON,
    OPERATIONS,
    POWERS,
    Build,
    assert_computes,
    every_variant,
    float64,
    relative_tolerance,
    signed,
    signed_inputs,
    unhurried,
    with_parameters,
)

from nalm.modules import NMRU, NRU, RealNPU
from nalm.modules.functional import EPS32


@pytest.mark.parametrize("operation", COMMON)
@pytest.mark.parametrize(("in_features", "out_features"), [(2, 1), (3, 2), (10, 1)])
@every_variant
def test_gold_weights_compute_the_operation_on_all_operands(
    build: Build, in_features: int, out_features: int, operation: str
) -> None:
    module = build(in_features, out_features).double()
    x = signed_inputs(50, in_features)
    for operands in permutations(range(in_features), OPERATIONS[operation][0]):
        assert_computes(module.gold(operation, *operands), operation, operands, x)


@pytest.mark.parametrize("operation", POWERS)
@pytest.mark.parametrize(("in_features", "out_features"), [(1, 1), (2, 1), (3, 2), (10, 1)])
def test_a_real_npu_of_gold_weights_computes_powers(in_features: int, out_features: int, operation: str) -> None:
    module = RealNPU(in_features, out_features).double()
    x = signed_inputs(50, in_features)
    for operand in range(in_features):
        inputs = x.abs() if operation == "root" else x
        assert_computes(module.gold(operation, operand), operation, (operand,), inputs)


@every_variant
def test_the_reciprocal_of_a_single_input_can_be_computed(build: Build) -> None:
    assert_computes(build(1, 1).double().gold("reciprocal"), "reciprocal", (0,), signed_inputs(50, 1))


@pytest.mark.parametrize("operation", COMMON)
@every_variant
def test_operands_are_the_first_inputs_unless_they_are_named(build: Build, operation: str) -> None:
    operands = tuple(range(OPERATIONS[operation][0]))
    assert_computes(build(4, 1).double().gold(operation), operation, operands, signed_inputs(50, 4))


@pytest.mark.parametrize("operands", [(3,), (4, 1, 2), (0, 1, 2, 3, 4)])
@every_variant
def test_a_product_takes_any_number_of_operands(build: Build, operands: tuple[int, ...]) -> None:
    module, x = build(5, 1).double().gold("mul", *operands).eval(), signed_inputs(50, 5)
    exact = x[:, list(operands)].prod(-1, keepdim=True)
    # The errors of the factors add up; there are at most 5.
    tolerance = 5 * relative_tolerance(module, x[:, list(operands)]).unsqueeze(-1)
    assert ((module(x) - exact).abs() <= tolerance * exact.abs()).all()


@given(dividend=signed, divisor=signed)
@every_variant
@unhurried
def test_gold_weights_divide_any_two_numbers(build: Build, dividend: float, divisor: float) -> None:
    assert_computes(build(2, 1).double().gold("div"), "div", (0, 1), float64([[dividend, divisor]]))


@given(others=st.lists(signed, min_size=3, max_size=3))
@pytest.mark.parametrize("operation", COMMON)
@every_variant
@unhurried
def test_gold_weights_ignore_other_inputs(build: Build, operation: str, others: list[float]) -> None:
    operands = (3, 1)[: OPERATIONS[operation][0]]
    module = build(5, 1).double().gold(operation, *operands).eval()
    x = signed_inputs(20, 5)
    changed = x.clone()
    changed[:, [0, 2, 4]] = float64(others)
    assert torch.equal(module(changed), module(x))


@pytest.mark.parametrize("operation", COMMON)
@every_variant
def test_gold_weights_are_discrete_and_within_bounds(build: Build, operation: str) -> None:
    module = build(3, 2).gold(operation)
    assert module.sparsity_error() == 0
    before = copy.deepcopy(module.state_dict())
    for same in (module.project_(), module.discretize()):
        torch.testing.assert_close(same.state_dict(), before, rtol=0, atol=0)


def test_gold_gates_of_a_real_npu_are_open_for_its_operands_only() -> None:
    assert RealNPU(4, 1).gold("div", 3, 1).gate.tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize("operation", COMMON)
@pytest.mark.parametrize("build", [NRU, partial(NRU, sign="separate"), RealNPU], ids=["NRU", "separate", "RealNPU"])
def test_gold_weights_compute_the_same_in_training(build: Build, operation: str) -> None:
    module, x = build(2, 1).double().gold(operation), signed_inputs(50, 2)
    # tanh(1000) squared is exactly 1.
    assert torch.equal(module.train()(x), module.eval()(x))


@pytest.mark.parametrize("operation", COMMON)
@pytest.mark.parametrize("sign", ["retrieved", "none", "gated"])
def test_an_nmru_of_gold_weights_is_off_by_epsilon_in_training(sign: Any, operation: str) -> None:
    module, x = NMRU(2, 1, sign=sign).double().gold(operation), signed_inputs(50, 2)
    # The reciprocal is 1 / (x + eps): relatively, eps / |x| too small or too large.
    tolerance = 1.001 * EPS32 / x.abs().amin(-1, keepdim=True)
    training, evaluation = module.train()(x), module.eval()(x)
    assert ((training - evaluation).abs() <= tolerance * evaluation.abs() + 1e-13).all()


@given(inputs=st.lists(signed, min_size=3, max_size=3), exponents=st.lists(st.floats(-2, 2), min_size=3, max_size=3))
@unhurried
def test_a_real_npu_of_open_gates_is_the_real_part_of_the_complex_power_product(
    inputs: list[float], exponents: list[float]
) -> None:
    module = with_parameters(RealNPU(3, 1, eps=0.0), gate=1.0)
    with torch.no_grad():
        module.weight.copy_(float64(exponents))
    exact = np.prod(np.asarray(inputs, dtype=complex) ** np.asarray(exponents))
    # The angle, up to 6 pi, is rounded on both sides: what is lost is relative to the modulus.
    assert module(float64(inputs)).item() == pytest.approx(exact.real, abs=1e-13 * abs(exact))


def test_a_real_npu_takes_zero_for_a_positive_number_of_size_epsilon() -> None:
    module = RealNPU(2, 1).double().gold("mul")
    # Two terms are rounded, and eps is added to the 2 as well.
    assert module(float64([2.0, 0.0])).item() == pytest.approx(2 * EPS32, rel=EPS32)
