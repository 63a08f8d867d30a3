"""What NRU, NMRU and Real NPU do: gold weights, gradients, projections, regularizers, formulas, errors."""

import copy
import math
from collections.abc import Callable, Mapping
from functools import partial
from itertools import permutations
from typing import Any

import numpy as np
import pytest
import sympy
import torch
from hypothesis import given, settings, strategies as st
from torch import Tensor
from torch.func import functional_call, jacrev

from nalm.modules import NMRU, NRU, ArithmeticModule, RealNPU, expression
from nalm.modules.functional import EPS32, Shape, binary_penalty, excess_penalty, ternary_penalty

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
"""How many operands an operation takes, and what it is."""
COMMON = ["mul", "div", "reciprocal"]
POWERS = ["squared", "root"]

every_variant = pytest.mark.parametrize("build", VARIANTS.values(), ids=VARIANTS)
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
    """The module in float64, its parameters drawn from 0.1 to 0.9 and, where the domain has -1, from both signs."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in module.double().named_parameters():
        parameter.uniform_(0.1, 0.9, generator=generator)
        if module.domain.get(name, (0, 1))[0] < 0:
            parameter.mul_(torch.randint(0, 2, parameter.shape, generator=generator) * 2 - 1)
    return module


@torch.no_grad()
def with_parameters(module: ArithmeticModule, **values: float) -> Any:
    """The module in float64, every element of the named parameters set to one value."""
    module.double()
    for name, value in values.items():
        module.get_parameter(name).fill_(value)
    return module


def relative_tolerance(module: ArithmeticModule, operands: Tensor) -> Tensor:
    """How far from exact a result may be: Real NPU adds eps to the size of its operands, twice where it squares one;
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


# --- gold weights -----------------------------------------------------------------------------------------------


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


# --- structure --------------------------------------------------------------------------------------------------


@given(order=st.permutations(range(4)), seed=st.integers(0, 1000))
@both_modes
@every_variant
@unhurried
def test_inputs_may_be_permuted_together_with_their_weights(
    build: Build, training: bool, order: list[int], seed: int
) -> None:
    module = randomized(build(4, 2), seed).train(training)
    permuted = copy.deepcopy(module)
    x = signed_inputs(10, 4, seed)
    with torch.no_grad():
        for parameter in permuted.parameters():
            halves = parameter.unflatten(-1, (-1, 4))  # the NMRU has a half for inputs and one for reciprocals
            parameter.copy_(halves[..., order].flatten(-2))
    # Factors are multiplied in another order: some roundings, made relative to the largest term of a sum.
    expected = module(x)
    torch.testing.assert_close(permuted(x[:, order]), expected, rtol=1e-12, atol=1e-12 * expected.abs().max().item())


@both_modes
@every_variant
def test_an_input_of_weight_zero_has_derivative_zero_and_the_others_have_not(build: Build, training: bool) -> None:
    module = randomized(build(4, 3)).train(training)
    ignored = torch.tensor([[1, 0, 0, 1], [0, 1, 0, 0], [0, 0, 0, 0]], dtype=torch.bool)
    with torch.no_grad():
        module.weight[ignored.repeat(1, module.weight.shape[1] // 4)] = 0
    jacobian = jacrev(module)(float64([1.5, -0.5, 2.0, -3.0]))
    assert torch.equal(jacobian == 0, ignored)


def test_an_input_whose_gate_is_closed_has_derivative_zero_in_every_output() -> None:
    module = randomized(RealNPU(3, 2))
    with torch.no_grad():
        module.gate.copy_(float64([1.0, 0.0, -0.5]))
    jacobian = jacrev(module)(float64([1.5, -0.5, 2.0]))
    assert torch.equal(jacobian == 0, torch.tensor([[False, True, True]] * 2))


@both_modes
@pytest.mark.parametrize("sign", ["joint", "separate"])
def test_a_weight_of_zero_is_a_stationary_point_of_an_nru(sign: Any, training: bool) -> None:
    module = with_parameters(NRU(2, 1, sign=sign), weight=0.0).train(training)
    module(signed_inputs(10, 2)).sum().backward()
    assert torch.equal(module.weight.grad, torch.zeros_like(module.weight))


@both_modes
@every_variant
def test_gradients_agree_with_finite_differences(build: Build, training: bool) -> None:
    module = randomized(build(3, 2)).train(training)
    names = [name for name, _ in module.named_parameters()]

    def outputs(x: Tensor, *parameters: Tensor) -> Any:
        return functional_call(module, dict(zip(names, parameters, strict=True)), (x,))

    x = float64([[1.5, -0.5, 2.0], [-3.0, 0.7, -1.2]]).requires_grad_()
    parameters = [parameter.detach().clone().requires_grad_() for parameter in module.parameters()]
    assert torch.autograd.gradcheck(outputs, (x, *parameters))


@pytest.mark.parametrize("build", [VARIANTS["NRU-penalty"], VARIANTS["NMRU-penalty"]], ids=["NRU", "NMRU"])
def test_gradients_out_of_bounds_agree_with_finite_differences(build: Build) -> None:
    module: Any = build(2, 1).double()
    x = float64([1.5, -0.5])
    weight = torch.linspace(-1.4, 1.3, module.weight.numel(), dtype=torch.float64).reshape_as(module.weight)
    assert torch.autograd.gradcheck(
        lambda weight: functional_call(module, {"weight": weight}, (x,)), weight.requires_grad_()
    )


@both_modes
@every_variant
def test_every_parameter_gets_a_finite_gradient(build: Build, training: bool) -> None:
    torch.manual_seed(0)
    module = build(3, 2).double().train(training)
    module(signed_inputs(20, 3)).sum().backward()
    for parameter in module.parameters():
        assert parameter.grad is not None
        assert parameter.grad.isfinite().all()
        assert (parameter.grad != 0).all()


@pytest.mark.parametrize("shape", [(), (7,), (2, 3)], ids=str)
@both_modes
@every_variant
def test_every_leading_shape_gives_the_results_of_its_rows(
    build: Build, training: bool, shape: tuple[int, ...]
) -> None:
    module = randomized(build(3, 2)).train(training)
    x = signed_inputs(math.prod(shape), 3).reshape(*shape, 3)
    rows = [module(row) for row in x.reshape(-1, 3)]
    # Vectorized and scalar logarithms and powers may differ in their last place.
    torch.testing.assert_close(module(x), torch.stack(rows).reshape(*shape, 2), rtol=1e-13, atol=1e-14)


@every_variant
def test_state_dicts_carry_everything_that_a_module_computes_with(build: Build) -> None:
    module, other = randomized(build(3, 2), seed=1), randomized(build(3, 2), seed=2)
    other.load_state_dict(module.state_dict())
    x = signed_inputs(10, 3)
    assert torch.equal(other(x), module(x))


@pytest.mark.parametrize(
    ("module", "shapes"),
    [
        (NRU(3, 2), {"weight": (2, 3)}),
        (NMRU(3, 2), {"weight": (2, 6)}),
        (NMRU(3, 2, sign="gated"), {"weight": (2, 6), "gate": (6,)}),
        (RealNPU(3, 2), {"weight": (2, 3), "gate": (3,)}),
    ],
    ids=["NRU", "NMRU", "NMRU-gated", "RealNPU"],
)
def test_weights_have_a_row_for_each_output(module: ArithmeticModule, shapes: dict[str, tuple[int, ...]]) -> None:
    assert {name: tuple(parameter.shape) for name, parameter in module.named_parameters()} == shapes


@every_variant
def test_modules_print_their_sizes(build: Build) -> None:
    assert "in_features=3, out_features=2" in repr(build(3, 2))


# --- staying in bounds ------------------------------------------------------------------------------------------

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


# --- regularizers -----------------------------------------------------------------------------------------------

SHAPES: list[Shape] = ["linear", "squared", "none"]


@pytest.mark.parametrize("shape", ["linear", "squared"])
@pytest.mark.parametrize("out_of_bounds", ["clip", "penalty"])
@pytest.mark.parametrize(
    ("build", "discrete"),
    [(NRU, [-1.0, 0.0, 1.0]), (NMRU, [0.0, 1.0]), (partial(NMRU, sign="gated"), [0.0, 1.0])],
    ids=["NRU", "NMRU", "NMRU-gated"],
)
def test_regularizers_are_zero_at_discrete_weights(
    build: Any, discrete: list[float], out_of_bounds: str, shape: Shape
) -> None:
    for value in discrete:
        module = build(2, 1, out_of_bounds=out_of_bounds, shape=shape)
        with_parameters(module, **dict.fromkeys(dict(module.named_parameters()), value))
        assert {term.item() for term in module.regularizers().values()} == {0.0}


@pytest.mark.parametrize(
    ("attract", "weight", "expected"),
    [
        ("signs", -1.0, 0.0),
        ("signs", 0.0, 1.0),
        ("signs", 0.75, 0.25),
        ("signs", -1.5, 0.5),
        ("ternary", -1.0, 0.0),
        ("ternary", 0.0, 0.0),
        ("ternary", 0.75, 0.25),
        ("ternary", -1.5, 0.5),
    ],
)
def test_a_real_npus_weights_are_drawn_to_the_values_that_attract_names(
    attract: Any, weight: float, expected: float
) -> None:
    module = with_parameters(RealNPU(3, 2, attract=attract), weight=weight, gate=1.0)
    terms = module.regularizers(signed_inputs(5, 3))
    assert {name: term.item() for name, term in terms.items()} == {"weight": expected, "gate": 0.0}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("out_of_bounds", ["clip", "penalty"])
@pytest.mark.parametrize(("build", "low"), [(NRU, -1), (NMRU, 0)], ids=["NRU", "NMRU"])
def test_the_shape_is_that_of_the_weight_and_the_out_of_bounds_terms(
    build: Any, low: int, out_of_bounds: str, shape: Shape
) -> None:
    module = build(3, 2, out_of_bounds=out_of_bounds, shape=shape)
    with torch.no_grad():
        module.weight.copy_(torch.linspace(-1.7, 1.9, module.weight.numel()).reshape_as(module.weight))
    penalty = ternary_penalty if low else binary_penalty
    terms = module.regularizers()
    assert torch.equal(terms["weight"], penalty(module.weight, shape))
    outside = excess_penalty(module.weight, low, 1, shape if out_of_bounds == "penalty" else "none")
    assert torch.equal(terms["out_of_bounds"], outside)


@pytest.mark.parametrize("shape", SHAPES)
def test_gates_of_an_nmru_are_penalized_linearly_whatever_the_shape(shape: Shape) -> None:
    module = with_parameters(NMRU(2, 1, sign="gated", shape=shape), gate=0.25)
    assert module.regularizers()["gate"].item() == 0.25


def test_the_input_term_of_an_nru_weighs_squared_mean_inputs_by_what_is_unused() -> None:
    module, x = randomized(NRU(3, 2)), signed_inputs(6, 3)
    mean = x.mean(0).tolist()
    expected = [(1 - abs(w)) * mean[i] ** 2 for row in module.weight.tolist() for i, w in enumerate(row)]
    term = module.regularizers(x.reshape(2, 3, 3))["input"]
    assert term.item() == pytest.approx(sum(expected) / len(expected), rel=1e-13)  # sums of few terms


@both_modes
@pytest.mark.parametrize("sign", ["retrieved", "none", "gated"])
def test_the_input_term_of_an_nmru_weighs_squared_distances_from_1_by_what_is_unused(sign: Any, training: bool) -> None:
    module, x = randomized(NMRU(3, 2, sign=sign)).train(training), signed_inputs(6, 3)
    z = torch.cat([x, 1 / (x + EPS32 if training else x)], -1)
    z = z * module.gate if sign == "gated" else z
    mean = (z if sign == "none" else z.abs()).mean(0).tolist()
    expected = [(1 - w) * (1 - mean[j]) ** 2 for row in module.weight.tolist() for j, w in enumerate(row)]
    term = module.regularizers(x.reshape(2, 3, 3))["input"]
    assert term.item() == pytest.approx(sum(expected) / len(expected), rel=1e-13)


@every_variant
def test_regularizers_are_scalars_that_the_parameters_get_gradients_from(build: Build) -> None:
    module = randomized(build(3, 2))
    for term in module.regularizers(signed_inputs(5, 3)).values():
        assert term.shape == ()
        assert term.dtype == torch.float64
    sum(module.regularizers(signed_inputs(5, 3)).values()).backward()
    for parameter in module.parameters():
        assert (parameter.grad != 0).all()


# --- initial parameters -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", [RealNPU(3, 2), NMRU(3, 2, sign="gated")], ids=["RealNPU", "NMRU"])
def test_gates_start_half_open(module: RealNPU | NMRU) -> None:
    assert module.gate is not None
    assert set(module.gate.tolist()) == {0.5}
    with torch.no_grad():
        module.gate.fill_(0.9)
    module.reset_parameters()
    assert set(module.gate.tolist()) == {0.5}


def test_a_real_npu_draws_its_weights_input_by_input() -> None:
    torch.manual_seed(3)
    module = RealNPU(3, 2)
    torch.manual_seed(3)
    limit = math.sqrt(6 / 5)
    assert torch.equal(module.weight, torch.empty(3, 2).uniform_(-limit, limit).T)


@pytest.mark.parametrize(
    ("build", "size", "low", "high"),
    [
        (NRU, (20, 50), -math.sqrt(6 / 70), math.sqrt(6 / 70)),
        (NRU, (2, 20), -0.5, 0.5),
        (NMRU, (20, 50), 0.25, 0.75),
        (RealNPU, (20, 50), -math.sqrt(6 / 70), math.sqrt(6 / 70)),
        (RealNPU, (2, 2), -math.sqrt(1.5), math.sqrt(1.5)),
        (partial(RealNPU, init="constrained"), (2, 20), -0.5, 0.5),
        (partial(RealNPU, init="constrained"), (20, 50), -math.sqrt(6 / 70), math.sqrt(6 / 70)),
    ],
)
def test_initial_weights_fill_their_interval(build: Build, size: tuple[int, int], low: float, high: float) -> None:
    torch.manual_seed(0)
    modules = [build(*size) for _ in range(100)]
    weights = torch.cat([module.get_parameter("weight").detach().flatten() for module in modules])
    # Extremes of 400 or more draws come within 5 % of the ends (but for one seed in 10^4; this one is fixed).
    margin = 0.05 * (high - low)
    assert low <= weights.min() < low + margin
    assert high - margin < weights.max() <= high


def test_beta_weights_lie_strictly_between_the_signs_and_spread_as_they_should() -> None:
    torch.manual_seed(0)
    weight = NRU(100, 20, init="beta").weight.detach()
    assert weight.shape == (20, 100)
    assert ((weight > -1) & (weight < 1)).all()
    assert len(set(weight.flatten().tolist())) > 1900
    # Beta(7, 7) has variance 1 / 60, twice it has 1 / 15; 5 % are over three standard errors of 2,000 draws.
    assert weight.std().item() == pytest.approx(math.sqrt(1 / 15), rel=0.05)
    assert weight.mean().item() == pytest.approx(0, abs=0.02)


def test_beta_weights_come_from_torchs_generator_in_one_draw() -> None:
    torch.manual_seed(5)
    module = NRU(3, 2, init="beta")
    torch.manual_seed(5)
    seven = torch.tensor([7.0])
    assert torch.equal(module.weight, 2 * torch.distributions.Beta(seven, seven).sample((2, 3))[..., 0] - 1)


# --- formulas ---------------------------------------------------------------------------------------------------


def evaluated(module: ArithmeticModule, x: Tensor) -> Tensor:
    """The module's formulas, computed by numpy."""
    symbols = sympy.symbols([f"x{index}" for index in range(module.in_features)], real=True)
    formulas = sympy.lambdify([symbols], module.to_sympy(symbols), modules=[{"Heaviside": np.heaviside}, "numpy"])
    columns = np.broadcast_arrays(*formulas(x.T.numpy()), x[:, 0].numpy())[:-1]
    return torch.tensor(np.stack(columns, axis=-1))


@pytest.mark.parametrize("seed", range(3))
@every_variant
def test_formulas_compute_what_the_module_does_in_evaluation(build: Build, seed: int) -> None:
    module, x = randomized(build(3, 2), seed).eval(), signed_inputs(20, 3, seed)
    expected = module(x).detach()
    # Formulas hold the parameters as doubles, and differ in the order of some twenty operations.
    torch.testing.assert_close(evaluated(module, x), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "module",
    [
        NRU(2, 1, out_of_bounds="penalty"),
        NMRU(2, 1, out_of_bounds="penalty"),
        NMRU(2, 1, sign="none", out_of_bounds="penalty"),
        RealNPU(2, 1),
    ],
    ids=["NRU", "NMRU", "NMRU-none", "RealNPU"],
)
def test_formulas_clamp_what_the_module_clamps(module: ArithmeticModule) -> None:
    module, x = randomized(copy.deepcopy(module)).eval(), signed_inputs(20, 2)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter[..., :2] = float64([-1.3, 1.6])
    torch.testing.assert_close(evaluated(module, x), module(x).detach(), rtol=1e-12, atol=1e-12)


@every_variant
def test_formulas_take_names_or_symbols(build: Build) -> None:
    module = build(2, 1).gold("div")
    named = module.to_sympy(["a", "b"])
    assert {str(symbol) for symbol in named[0].free_symbols} == {"a", "b"}
    assert named == module.to_sympy([sympy.Symbol("a", real=True), sympy.Symbol("b", real=True)])


@pytest.mark.parametrize(
    ("operation", "operands", "printed"),
    [
        ("mul", (), "x1*x2"),
        ("div", (), "x1/x2"),
        ("reciprocal", (), "1/x1"),
        ("div", (2, 0), "x3/x1"),
        ("reciprocal", (1,), "1/x2"),
        ("mul", (2,), "x3"),
        ("mul", (0, 1, 2), "x1*x2*x3"),
    ],
)
@every_variant
def test_the_expression_of_gold_weights_is_the_operation(
    build: Build, operation: str, operands: tuple[int, ...], printed: str
) -> None:
    assert [str(formula) for formula in expression(build(3, 1).gold(operation, *operands))] == [printed]


@pytest.mark.parametrize("names", [["distance", "time"], ["ü", "Δt"], ["total price", "x:2"]], ids=", ".join)
@every_variant
def test_expressions_take_names_as_they_stand(build: Build, names: list[str]) -> None:
    assert str(expression(build(2, 1).gold("div"), names)[0]) == f"{names[0]}/{names[1]}"


@every_variant
def test_expressions_of_ignored_inputs_are_one(build: Build) -> None:
    module = build(2, 2)
    with_parameters(module, **dict.fromkeys(dict(module.named_parameters()), 0.0))
    assert [str(formula) for formula in expression(module)] == ["1", "1"]


@every_variant
def test_there_is_an_expression_for_every_output(build: Build) -> None:
    product, quotient = build(2, 1).gold("mul"), build(2, 1).gold("div")
    both = build(2, 2).gold("mul")
    with torch.no_grad():
        both.get_parameter("weight")[1] = quotient.get_parameter("weight")[0]
    assert expression(both) == [*expression(product), *expression(quotient)]


@every_variant
def test_the_expression_is_that_of_the_nearest_discrete_weights(build: Build) -> None:
    module = build(2, 1).gold("div").double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(parameter * 0.8 + 0.07)
    before = copy.deepcopy(module.state_dict())
    assert str(expression(module)[0]) == "x1/x2"
    torch.testing.assert_close(module.state_dict(), before, rtol=0, atol=0)


# --- errors -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("build", "option", "allowed"),
    [
        (NRU, "sign", "joint, separate"),
        (NRU, "out_of_bounds", "clip, penalty"),
        (NRU, "shape", "linear, squared, none"),
        (NRU, "init", "uniform, beta"),
        (NMRU, "sign", "retrieved, none, gated"),
        (NMRU, "out_of_bounds", "clip, penalty"),
        (NMRU, "shape", "linear, squared, none"),
        (RealNPU, "init", "xavier, constrained"),
        (RealNPU, "clip", "none, weight, gate, both"),
        (RealNPU, "attract", "signs, ternary"),
    ],
)
@pytest.mark.parametrize("value", ["both ways", None, ["clip"]], ids=repr)
def test_a_wrong_option_is_told_the_right_ones(build: Any, option: str, allowed: str, value: object) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the whole message is compared)
        build(2, 1, **{option: value})
    assert str(caught.value) == f"{build.__name__}: {option} is {value!r}, expected one of: {allowed}"


@pytest.mark.parametrize("build", [NRU, NMRU, RealNPU])
@pytest.mark.parametrize("size", [0, -1, 1.5, "2", None], ids=repr)
def test_a_size_that_is_not_a_positive_integer_is_refused(build: Any, size: object) -> None:
    for name, sizes in (("in_features", (size, 1)), ("out_features", (1, size))):
        with pytest.raises(ValueError) as caught:  # noqa: PT011 (the whole message is compared)
            build(*sizes)
        assert str(caught.value) == f"{build.__name__}: {name} is {size!r}, expected a positive integer"


@pytest.mark.parametrize(
    ("build", "operation"),
    [
        *((NRU, operation) for operation in ("add", "sub", "squared", "root", "power", "")),
        *((NMRU, operation) for operation in ("add", "sub", "squared", "root", "power", "")),
        *((RealNPU, operation) for operation in ("add", "sub", "power", "")),
    ],
)
def test_an_operation_out_of_reach_is_told_those_within(build: Build, operation: str) -> None:
    with pytest.raises(ValueError, match=f"operation is '{operation}', expected one of: mul, div, reciprocal"):
        build(2, 1).gold(operation)


@pytest.mark.parametrize("operand", [2, 7, -1])
@every_variant
def test_an_operand_that_is_not_an_input_is_refused(build: Build, operand: int) -> None:
    with pytest.raises(ValueError, match=rf"operand {operand} is not an input, expected 0 to 1"):
        build(2, 1).gold("div", 0, operand)


@pytest.mark.parametrize("operation", ["mul", "div"])
@every_variant
def test_a_single_input_is_too_few_for_two_operands(build: Build, operation: str) -> None:
    with pytest.raises(ValueError, match="operand 1 is not an input, expected 0 to 0"):
        build(1, 1).gold(operation)


@pytest.mark.parametrize(
    ("operation", "operands", "takes"),
    [
        ("div", (1, 1), 2),
        ("mul", (0, 2, 0), 3),
        ("div", (0,), 2),
        ("div", (0, 1, 2), 2),
        ("reciprocal", (0, 1), 1),
    ],
)
@every_variant
def test_operands_that_repeat_or_do_not_fit_are_refused(
    build: Build, operation: str, operands: tuple[int, ...], takes: int
) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the end of the message is compared)
        build(3, 1).gold(operation, *operands)
    assert str(caught.value).endswith(f"{operation} takes {takes} different operands, found {operands}")


@every_variant
def test_a_refused_operation_leaves_the_weights_alone(build: Build) -> None:
    module = randomized(build(2, 1))
    before = copy.deepcopy(module.state_dict())
    with pytest.raises(ValueError, match="not an input"):
        module.gold("div", 0, 5)
    torch.testing.assert_close(module.state_dict(), before, rtol=0, atol=0)


@pytest.mark.parametrize("names", [["a"], ["a", "b", "c"]], ids=len)
@every_variant
def test_a_wrong_number_of_names_is_refused(build: Build, names: list[str]) -> None:
    for use in (lambda module: module.to_sympy(names), lambda module: expression(module, names)):
        with pytest.raises(ValueError, match=f"found {len(names)} names, expected 2"):
            use(build(2, 1))
