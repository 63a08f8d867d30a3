"""Products and penalties, against torch's own and against their formulas in plain Python."""

from collections.abc import Callable
from functools import partial
from statistics import fmean
from typing import Any

import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from nalm.modules.functional import (
    EPS32,
    Shape,
    binary_penalty,
    excess_penalty,
    product,
    sparsity_error,
    ternary_penalty,
    unit_power,
)

Function = Callable[..., Any]
Penalty = Callable[[Tensor, Shape], Tensor]

# A factor of exactly 0 in none, one, two and all of the columns, in both blocks of the products below.
FACTORS = [
    [[1.5, -2.0, 0.5, 3.0], [0.25, 4.0, -1.0, -0.75]],
    [[1.5, 0.0, 0.5, 3.0], [0.25, 4.0, -1.0, 0.0]],
    [[0.0, -2.0, 0.0, 3.0], [0.25, 0.0, 0.0, -0.75]],
    [[0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]],
]
every_factors = pytest.mark.parametrize("values", FACTORS, ids=["no zero", "one zero", "two zeros", "only zeros"])

weights = st.lists(st.floats(-3, 3), min_size=1, max_size=12)
unhurried = settings(deadline=None, max_examples=100)


def float64(values: list[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def factors_of(values: list[list[float]]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


def gradient(output: Tensor, of: Tensor) -> Tensor:
    """Return the gradient of the sum of ``output``."""
    (result,) = torch.autograd.grad(output.sum(), of)
    return result


@every_factors
def test_product_and_its_gradient_equal_those_of_torch_prod(values: list[list[float]]) -> None:
    ours, theirs = factors_of(values), factors_of(values)
    chained, reduced = product(ours), theirs.prod(-1)
    # Products of 4 factors: at most 3 roundings each.
    torch.testing.assert_close(chained, reduced, rtol=1e-15, atol=0.0)
    torch.testing.assert_close(gradient(chained, ours), gradient(reduced, theirs), rtol=1e-15, atol=0.0)


@every_factors
def test_the_gradient_of_a_product_agrees_with_finite_differences(values: list[list[float]]) -> None:
    assert torch.autograd.gradcheck(product, factors_of(values))


@every_factors
def test_the_second_derivative_of_a_product_agrees_with_finite_differences(values: list[list[float]]) -> None:
    assert torch.autograd.gradgradcheck(product, factors_of(values))


def test_the_gradient_at_the_only_zero_is_the_product_of_the_others() -> None:
    factors = factors_of([[2.0, 0.0, 5.0]])
    assert gradient(product(factors), factors).tolist() == [[0.0, 10.0, 0.0]]


@every_factors
def test_blocks_are_multiplied_as_if_they_were_concatenated(values: list[list[float]]) -> None:
    factors = factors_of(values)
    assert torch.equal(product(factors[:, :1], factors[:, 1:]), product(factors))


def traced(function: Function) -> Function:
    """Record the function operation by operation, as a compiled ensemble does."""
    return lambda *args: make_fx(function)(*args)(*args)


@every_factors
def test_derivatives_of_a_traced_product_are_those_of_torch_prod(values: list[list[float]]) -> None:
    def ours(factors: Tensor) -> Tensor:
        return product(factors[..., :1], factors[..., 1:]).sum()

    def theirs(factors: Tensor) -> Tensor:
        return factors.prod(-1).sum()

    factors = torch.tensor(values, dtype=torch.float64)
    graph = make_fx(torch.func.grad(ours))(factors)
    assert "div" in graph.code, "the gradient that divides is the one that is tested"
    torch.testing.assert_close(graph(factors), torch.func.grad(theirs)(factors), rtol=1e-15, atol=0.0)
    rows = traced(torch.func.vmap(torch.func.grad(ours)))(factors)
    torch.testing.assert_close(rows, torch.func.grad(theirs)(factors), rtol=1e-15, atol=0.0)
    second = traced(torch.func.jacrev(torch.func.grad(ours)))(factors)
    torch.testing.assert_close(second, torch.func.jacrev(torch.func.grad(theirs))(factors), rtol=1e-15, atol=0.0)


@pytest.mark.parametrize(("factors", "arriving"), [([1e-30, 1.0], 1e-16), ([1e20, 1e-10, 1e10], 1.0)])
def test_the_gradient_of_a_traced_product_survives_extreme_factors(factors: list[float], arriving: float) -> None:
    def scaled(factors: Tensor) -> Tensor:
        return product(factors) * arriving

    single = torch.tensor(factors)
    expected = torch.func.grad(scaled)(single)
    assert expected.isfinite().all()
    torch.testing.assert_close(traced(torch.func.grad(scaled))(single), expected)


def test_products_have_forward_derivatives() -> None:
    factors = torch.tensor(FACTORS[1], dtype=torch.float64)
    expected = torch.func.hessian(lambda rows: rows.prod(-1).sum())(factors)
    torch.testing.assert_close(torch.func.hessian(lambda rows: product(rows).sum())(factors), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_traced_unit_powers_are_exact_at_unit_exponents(dtype: torch.dtype) -> None:
    base = torch.cat([torch.linspace(1e-4, 40, 1001, dtype=dtype), torch.tensor([0, float("inf")], dtype=dtype)])
    for exponent, expected in ((-1, 1 / base), (0, torch.ones_like(base)), (1, base)):
        assert torch.equal(traced(unit_power)(base, torch.tensor(exponent, dtype=dtype)), expected)


@given(st.floats(1e-4, 100), st.floats(-1.5, 1.5))
@settings(deadline=None, max_examples=30)
def test_traced_unit_powers_and_their_derivatives_are_powers(base: float, exponent: float) -> None:
    arguments = float64([base]), float64([exponent])
    # The rounding of (e - n) ln b, which is below 10, is the error of its exponential, and a few more.
    torch.testing.assert_close(traced(unit_power)(*arguments), torch.pow(*arguments), rtol=3e-15, atol=0.0)
    slopes = traced(torch.func.grad(lambda *args: unit_power(*args).sum(), argnums=(0, 1)))(*arguments)
    expected = torch.func.grad(lambda *args: torch.pow(*args).sum(), argnums=(0, 1))(*arguments)
    torch.testing.assert_close(slopes, expected, rtol=6e-15, atol=1e-15)


@pytest.mark.parametrize("wrap", [lambda function: function, traced], ids=["eager", "traced"])
@pytest.mark.parametrize("base", [0.0, float("inf")])
@pytest.mark.parametrize("exponent", [1.0, 0.7, 0.2, 0.0, -0.2, -1.0])
def test_unit_powers_of_zero_and_infinity_are_powers_without_derivatives(
    wrap: Callable[[Function], Function], base: float, exponent: float
) -> None:
    arguments = float64([base]), float64([exponent])
    assert torch.equal(wrap(unit_power)(*arguments), torch.pow(*arguments))
    slopes = wrap(torch.func.grad(lambda *args: unit_power(*args).sum(), argnums=(0, 1)))(*arguments)
    assert [slope.item() for slope in slopes] == [0.0, 0.0]


def test_second_derivatives_of_unit_powers_agree_with_finite_differences() -> None:
    base, exponent = (float64(values).requires_grad_() for values in ([0.3, 2.0, 7.0], [-0.8, 0.1, 0.9]))
    assert torch.autograd.gradgradcheck(unit_power, (base, exponent))
    assert torch.autograd.gradgradcheck(traced(unit_power), (base, exponent))


def test_the_product_of_one_factor_is_the_factor() -> None:
    assert product(float64([-3.0])).item() == -3.0


@pytest.mark.parametrize("shape", [(4,), (7, 4), (2, 3, 4)])
def test_a_product_drops_the_last_dimension_only(shape: tuple[int, ...]) -> None:
    assert product(torch.ones(shape), torch.ones(*shape[:-1], 2)).shape == shape[:-1]


def test_infinite_and_undefined_factors_spread() -> None:
    assert product(float64([0.0, float("inf")])).isnan()
    assert product(float64([-2.0, float("inf")])).item() == -float("inf")


# The formulas of the regularizers, element by element. Both sides do the same few float64 operations; the mean adds up
# in another order, so the tolerance is a dozen roundings.
close = partial(pytest.approx, rel=1e-14, abs=1e-15)


@given(weights)
@unhurried
def test_the_linear_binary_penalty_is_the_mean_distance_from_0_and_1(values: list[float]) -> None:
    expected = fmean(min(abs(w), abs(1 - w)) for w in values)
    assert binary_penalty(float64(values)).item() == close(expected)


@given(weights)
@unhurried
def test_the_squared_binary_penalty_is_the_mean_of_w_and_its_rest_squared(values: list[float]) -> None:
    expected = fmean(w**2 * (1 - w) ** 2 for w in values)
    assert binary_penalty(float64(values), "squared").item() == close(expected)


@given(weights)
@unhurried
def test_the_linear_ternary_penalty_is_the_mean_distance_from_the_signs_and_0(values: list[float]) -> None:
    expected = fmean(min(abs(w), abs(1 - abs(w))) for w in values)
    assert ternary_penalty(float64(values)).item() == close(expected)


@given(weights)
@unhurried
def test_the_squared_ternary_penalty_is_the_mean_of_w_and_its_rest_squared(values: list[float]) -> None:
    expected = fmean(w**2 * (1 - abs(w)) ** 2 for w in values)
    assert ternary_penalty(float64(values), "squared").item() == close(expected)


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-1, 1)])
@given(weights)
@unhurried
def test_the_excess_penalty_is_the_mean_distance_from_the_interval(low: int, high: int, values: list[float]) -> None:
    excess = [max(low - w, w - high, 0) for w in values]
    # The formula shifts by the middle of the interval first: that rounds numbers below 4 to 2**-51.
    assert excess_penalty(float64(values), low, high).item() == close(fmean(excess))
    squared = excess_penalty(float64(values), low, high, "squared")
    assert squared.item() == close(fmean(e**2 for e in excess), abs=1e-14)


@pytest.mark.parametrize("shape", ["linear", "squared"])
@pytest.mark.parametrize(("penalty", "discrete"), [(binary_penalty, [0.0, 1.0]), (ternary_penalty, [-1.0, 0.0, 1.0])])
def test_penalties_are_zero_at_discrete_weights_and_nowhere_else(
    penalty: Penalty, discrete: list[float], shape: Shape
) -> None:
    assert penalty(float64(discrete), shape).item() == 0
    for other in [-1.5, -0.5, 0.001, 0.5, 0.999, 1.5, *({-1.0} - set(discrete))]:
        assert penalty(float64([other]), shape).item() > 0


@pytest.mark.parametrize("shape", ["linear", "squared"])
def test_the_excess_penalty_is_zero_on_the_closed_interval(shape: Shape) -> None:
    assert excess_penalty(float64([-1.0, -0.3, 0.0, 1.0]), -1, 1, shape).item() == 0
    assert excess_penalty(float64([0.0, 0.3, 1.0]), 0, 1, shape).item() == 0


@pytest.mark.parametrize(
    "penalty", [binary_penalty, ternary_penalty, lambda weight, shape: excess_penalty(weight, 0, 1, shape)]
)
def test_the_shape_none_is_zero_in_the_weights_precision(penalty: Penalty) -> None:
    value = penalty(float64([0.5, 1.7]), "none")
    assert value.item() == 0
    assert value.dtype == torch.float64
    assert value.shape == ()


@pytest.mark.parametrize("penalty", [binary_penalty, ternary_penalty])
def test_the_gradient_of_a_linear_penalty_leads_to_the_nearest_discrete_weight(penalty: Penalty) -> None:
    weight = float64([0.2, 0.8, 1.3]).requires_grad_()
    assert gradient(penalty(weight, "linear"), weight).sign().tolist() == [1, -1, 1]


@given(weights)
@unhurried
def test_the_sparsity_error_is_the_largest_distance_from_a_discrete_value(values: list[float]) -> None:
    expected = max(min(abs(w), abs(1 - abs(w))) for w in values)
    assert sparsity_error(float64(values)).item() == expected


def test_epsilon_is_that_of_float32() -> None:
    assert torch.finfo(torch.float32).eps == EPS32
