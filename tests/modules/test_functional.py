"""Products and penalties, against torch's own and against their formulas in plain Python."""

from collections.abc import Callable
from functools import partial
from statistics import fmean

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

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
    """The gradient of the sum of ``output``."""
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


@every_factors
def test_derivatives_of_a_product_are_the_same_forwards_backwards_and_over_many(values: list[list[float]]) -> None:
    factors = float64([0.0]).new_tensor(values)

    def summed(factors: Tensor) -> Tensor:
        return product(factors[..., :1], factors[..., 1:]).sum()

    expected = torch.func.jacrev(torch.func.jacrev(lambda rows: rows.prod(-1).sum()))(factors)
    torch.testing.assert_close(torch.func.hessian(summed)(factors), expected, rtol=1e-15, atol=0.0)
    torch.testing.assert_close(torch.func.jacrev(torch.func.jacfwd(summed))(factors), expected, rtol=1e-15, atol=0.0)
    rows = torch.func.vmap(torch.func.grad(summed))(factors.unsqueeze(1)).squeeze(1)
    torch.testing.assert_close(rows, torch.func.jacfwd(summed)(factors), rtol=1e-15, atol=0.0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_unit_powers_are_exact_at_unit_exponents(dtype: torch.dtype) -> None:
    base = torch.linspace(1e-4, 40, 1001, dtype=dtype)
    for exponent, expected in ((-1, 1 / base), (0, torch.ones_like(base)), (1, base)):
        assert torch.equal(unit_power(base, torch.tensor(exponent, dtype=dtype)), expected)


@given(st.floats(1e-4, 100), st.floats(-1.5, 1.5))
@unhurried
def test_unit_powers_and_their_derivatives_are_powers(base: float, exponent: float) -> None:
    ours, theirs = ([float64([value]).requires_grad_() for value in (base, exponent)] for _ in range(2))
    found, expected = unit_power(*ours), torch.pow(*theirs)
    # The rounding of (e - n) ln b, which is below 5, is the error of its exponential: 5 roundings, and a few more.
    torch.testing.assert_close(found, expected, rtol=2e-15, atol=0.0)
    for ours_of, theirs_of in zip(ours, theirs, strict=True):
        torch.testing.assert_close(
            gradient(unit_power(*ours), ours_of), gradient(torch.pow(*theirs), theirs_of), rtol=4e-15, atol=1e-15
        )


@pytest.mark.parametrize(
    ("exponent", "expected"), [(0.7, 0.0), (0.2, 0.0), (0.0, 1.0), (-0.2, float("inf")), (-1.0, float("inf"))]
)
def test_unit_powers_of_zero_are_powers_without_derivatives(exponent: float, expected: float) -> None:
    arguments = [float64([value]).requires_grad_() for value in (0.0, exponent)]
    assert unit_power(*arguments).item() == expected
    assert [gradient(unit_power(*arguments), argument).item() for argument in arguments] == [0.0, 0.0]


def test_second_derivatives_of_unit_powers_agree_with_finite_differences() -> None:
    base, exponent = (float64(values).requires_grad_() for values in ([0.3, 2.0, 7.0], [-0.8, 0.1, 0.9]))
    assert torch.autograd.gradgradcheck(unit_power, (base, exponent))


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
