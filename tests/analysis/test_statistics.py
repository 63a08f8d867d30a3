"""Wilson, gamma and bootstrap estimates."""

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, strategies as st
from scipy import optimize, stats
from statsmodels.stats.proportion import proportion_confint  # type: ignore[import-untyped]
from tests.analysis.groups import (
    EXACT_INTERVALS,
    RAW,
    errors,
    numbers,
    printed,
    sparsity,
    spread_iterations,
    steps,
    unhurried,
)

from nalm.analysis.statistics import Estimate, bca_mean, gamma_mean, wilson
from nalm.errors import NalmError
from nalm.original.statistics import original_beta_mean, original_gamma_mean

Mean = Callable[[npt.ArrayLike], Estimate]


# Success rate


@given(st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.floats(0.5, 0.999))
@unhurried
def test_wilson_agrees_with_scipy(counts: tuple[int, int], confidence: float) -> None:
    expected = stats.binomtest(*counts).proportion_ci(confidence_level=confidence, method="wilson")
    estimate = wilson(*counts, confidence=confidence)
    assert [estimate.low, estimate.high] == pytest.approx([expected.low, expected.high], abs=1e-12)


@given(st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.floats(0.5, 0.999))
@unhurried
def test_wilson_agrees_with_statsmodels(counts: tuple[int, int], confidence: float) -> None:
    expected = proportion_confint(*counts, alpha=1 - confidence, method="wilson")
    estimate = wilson(*counts, confidence=confidence)
    assert [estimate.low, estimate.high] == pytest.approx(expected, abs=1e-12)


@given(st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
@unhurried
def test_wilson_contains_the_rate_and_mirrors_when_success_and_failure_swap(counts: tuple[int, int]) -> None:
    successes, trials = counts
    estimate, swapped = wilson(successes, trials), wilson(trials - successes, trials)
    assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1
    assert estimate.value == successes / trials
    assert numbers(swapped) == pytest.approx([1 - estimate.value, 1 - estimate.high, 1 - estimate.low], abs=1e-12)


def test_wilson_without_trials_is_undefined() -> None:
    estimate = wilson(0, 0)
    assert estimate.method == "none"
    assert np.isnan(numbers(estimate)).all()


@pytest.mark.parametrize("counts", [(-1, 3), (4, 3), (0, -1)])
def test_wilson_refuses_impossible_counts(counts: tuple[int, int]) -> None:
    with pytest.raises(NalmError, match=f"found {counts[0]} of {counts[1]}"):
        wilson(*counts)


@pytest.mark.parametrize("case", range(1, 10))
def test_success_rates_and_their_intervals_are_the_originals(case: int) -> None:
    group = RAW[RAW["case"] == case]
    # 1e-12: the same formula, printed with 15 digits.
    assert numbers(wilson(int(group["solved"].sum()), len(group))) == pytest.approx(
        printed(case, "success.rate"), abs=1e-12
    )


# Iterations


@pytest.mark.parametrize("case", EXACT_INTERVALS)
def test_gamma_gives_the_sample_mean_and_the_exact_profile_interval(case: int) -> None:
    estimate = gamma_mean(steps(case))
    assert estimate.method == "gamma profile likelihood"
    assert estimate.value == steps(case).mean()
    assert (estimate.low, estimate.high) == pytest.approx(EXACT_INTERVALS[case], abs=0.0501)  # the digits given


@given(spread_iterations)
@unhurried
def test_the_gamma_interval_ends_where_the_likelihood_has_dropped_by_the_95_percent_limit(values: list[float]) -> None:
    x = np.array(values)

    def profile(mean: float) -> float:
        def loss(log_shape: float) -> float:
            return -float(stats.gamma.logpdf(x, np.exp(log_shape), scale=mean / np.exp(log_shape)).sum())

        return -float(optimize.minimize_scalar(loss, bounds=(-5, 20), options={"xatol": 1e-9}).fun)

    estimate = gamma_mean(x)
    for end in (estimate.low, estimate.high):
        # scipy's density loses digits at the large shapes of nearly equal values.
        assert 2 * (profile(estimate.value) - profile(end)) == pytest.approx(stats.chi2.ppf(0.95, 1), abs=1e-4)


@given(spread_iterations, st.floats(1e-6, 1e6))
@unhurried
def test_the_gamma_interval_contains_the_mean_and_scales_with_the_data(values: list[float], scale: float) -> None:
    estimate = gamma_mean(values)
    assert 0 < estimate.low < estimate.value < estimate.high
    assert numbers(gamma_mean(np.array(values) * scale)) == pytest.approx(np.multiply(numbers(estimate), scale))


@given(spread_iterations)
@unhurried
def test_more_confidence_makes_every_interval_of_a_mean_wider(values: list[float]) -> None:
    for mean in (gamma_mean, bca_mean):
        narrow, wide = mean(values, confidence=0.6), mean(values, confidence=0.95)
        assert wide.low <= narrow.low
        assert narrow.high <= wide.high


def test_gamma_and_normal_intervals_agree_for_many_close_values() -> None:
    x = np.random.default_rng(0).normal(50_000, 500, size=2000)
    half = stats.norm.ppf(0.975) * x.std() / math.sqrt(x.size)
    # The gamma interval is skewed by about a quarter of a per cent of its width here.
    assert [gamma_mean(x).low, gamma_mean(x).high] == pytest.approx([x.mean() - half, x.mean() + half], abs=0.01 * half)


def test_two_late_runs_one_step_apart_still_have_a_gamma_interval() -> None:
    # Of two values, half the distance d apart from their mean: the normal limit d·sqrt(exp(χ²/2) − 1).
    half = 0.5 * math.sqrt(math.expm1(stats.chi2.ppf(0.95, 1) / 2))
    assert numbers(gamma_mean([50_000, 50_001])) == pytest.approx(
        [50_000.5, 50_000.5 - half, 50_000.5 + half], abs=1e-3
    )


def test_an_iteration_of_0_gives_the_normal_interval_clipped_at_zero() -> None:
    values = [0.0, 1000.0, 2000.0]
    low, high = stats.t.interval(0.95, 2, loc=1000, scale=1000 / math.sqrt(3))
    assert low < 0
    for mean in (gamma_mean, original_gamma_mean):
        assert mean(values).method == "normal"
        assert numbers(mean(values)) == pytest.approx([1000, 0, high])


@pytest.mark.parametrize("mean", [gamma_mean, original_gamma_mean])
def test_equal_iterations_have_a_normal_interval_without_width(mean: Mean) -> None:
    assert mean([7000.0] * 5) == Estimate(7000.0, 7000.0, 7000.0, "normal")


# Sparsity error


def test_the_bootstrap_is_that_of_scipy() -> None:
    x = np.sort(sparsity(2))
    expected = stats.bootstrap((x,), np.mean, n_resamples=999, rng=3).confidence_interval
    estimate = bca_mean(x, seed=3, resamples=999)
    assert estimate.method == "bca bootstrap"
    assert numbers(estimate) == pytest.approx([x.mean(), expected.low, expected.high], rel=1e-9)


@given(errors.flatmap(lambda values: st.tuples(st.just(values), st.permutations(values))))
@unhurried
def test_the_bootstrap_does_not_depend_on_the_order_of_the_runs(pair: tuple[list[float], list[float]]) -> None:
    values, shuffled = pair
    assert bca_mean(values, resamples=500) == bca_mean(shuffled, resamples=500)


@given(errors)
@unhurried
def test_the_bootstrap_interval_lies_within_the_values_and_around_the_mean(values: list[float]) -> None:
    estimate = bca_mean(values)
    tolerance = 1e-12 * max(values)
    assert min(values) - tolerance <= estimate.low <= estimate.value + tolerance
    assert estimate.value - tolerance <= estimate.high <= max(values) + tolerance


def test_another_seed_moves_the_bootstrap_interval_only_a_little() -> None:
    first, second = bca_mean(sparsity(7), seed=0), bca_mean(sparsity(7), seed=1)
    assert first != second
    # 9,999 resamples leave an end uncertain by about 3 per cent of the width.
    assert numbers(first) == pytest.approx(numbers(second), abs=0.05 * (first.high - first.low))


@pytest.mark.parametrize("scale", [1e-300, 1e-20, 1.0])
def test_the_bootstrap_works_for_errors_that_are_nearly_zero(scale: float) -> None:
    whole = bca_mean([0.1, 0.2, 0.4])
    assert numbers(bca_mean(np.array([0.1, 0.2, 0.4]) * scale)) == pytest.approx(
        np.multiply(numbers(whole), scale), rel=1e-9, abs=0
    )


def test_the_bootstrap_of_equal_values_has_no_width_and_says_so() -> None:
    assert bca_mean([0.25] * 25) == Estimate(0.25, 0.25, 0.25, "equal values")


# All means


ALL_MEANS = [gamma_mean, bca_mean, original_gamma_mean, original_beta_mean]


@pytest.mark.parametrize("mean", ALL_MEANS)
def test_a_single_value_has_no_interval_and_no_values_have_no_mean(mean: Mean) -> None:
    assert (mean([0.25]).value, mean([0.25]).method) == (0.25, "single value")
    assert np.isnan(numbers(mean([0.25]))[1:]).all()
    assert mean([]).method == "none"
    assert np.isnan(numbers(mean([]))).all()


@pytest.mark.parametrize("mean", ALL_MEANS)
@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_values_that_are_not_finite_are_refused(mean: Mean, wrong: float) -> None:
    with pytest.raises(NalmError, match=f"must be finite.*found {wrong}"):
        mean([0.1, wrong, 0.2])


@pytest.mark.parametrize("mean", [gamma_mean, original_gamma_mean, original_beta_mean])
def test_negative_iterations_are_refused(mean: Mean) -> None:
    with pytest.raises(NalmError, match=r"at least 0: found -1\.0"):
        mean([1.0, -1.0])


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95.0])
def test_a_confidence_outside_0_and_1_is_refused(confidence: float) -> None:
    message = f"between 0 and 1.*found {confidence}"
    with pytest.raises(NalmError, match=message):
        wilson(1, 2, confidence)
    with pytest.raises(NalmError, match=message):
        gamma_mean([1, 2], confidence)
    with pytest.raises(NalmError, match=message):
        bca_mean([1, 2], confidence)
