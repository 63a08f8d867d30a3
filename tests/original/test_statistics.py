"""The original's estimates, against what its R script printed (golden/statistics/summary.csv).

They are the outcome of an optimizer that stops early, followed step by step with the same algorithm (SciPy's L-BFGS-B).
Reached: values within a relative 1.5e-6 (case 2's beta fit, after seven refits; else 1e-7), interval ends within 4.4e-5
(R's spline has other end conditions).
"""

import math

import pytest
from hypothesis import given, settings
from tests.analysis.groups import EXACT_INTERVALS, errors, numbers, printed, sparsity, spread_iterations, steps

from nalm.analysis.statistics import bca_mean, gamma_mean
from nalm.original.statistics import original_beta_mean, original_gamma_mean


@pytest.mark.parametrize("case", range(1, 10))
def test_the_originals_iterations_are_matched(case: int) -> None:
    value, *ends = numbers(original_gamma_mean(steps(case)))
    expected, *expected_ends = printed(case, "converged.at")
    assert value == pytest.approx(expected, rel=1e-6, nan_ok=True)
    assert ends == pytest.approx(expected_ends, rel=1e-4, nan_ok=True)


@pytest.mark.parametrize("case", range(1, 10))
def test_the_originals_sparsity_errors_are_matched(case: int) -> None:
    value, *ends = numbers(original_beta_mean(sparsity(case)))
    expected, *expected_ends = printed(case, "sparse.error")
    assert value == pytest.approx(expected, rel=1e-5, abs=0, nan_ok=True)
    assert ends == pytest.approx(expected_ends, rel=1e-4, abs=0, nan_ok=True)


def test_the_originals_mean_iteration_is_the_sample_mean_but_where_its_fit_restarts() -> None:
    departures = {case: original_gamma_mean(steps(case)).value / steps(case).mean() - 1 for case in EXACT_INTERVALS}
    assert departures.pop(9) == pytest.approx(0.0703, abs=1e-4)
    assert max(map(abs, departures.values())) < 1e-6


@pytest.mark.parametrize("case", EXACT_INTERVALS)
def test_the_originals_iteration_interval_is_too_narrow_above(case: int) -> None:
    assert original_gamma_mean(steps(case)).high < gamma_mean(steps(case)).high


@pytest.mark.parametrize("case", [1, 2, 3, 7, 9])
def test_the_originals_sparsity_error_is_about_half_the_mean(case: int) -> None:
    estimate = original_beta_mean(sparsity(case))
    assert estimate.method == "original profile"
    # 0.5 where the fit converges, up to 0.56 where it does not (case 1).
    assert 0.49 < estimate.value / bca_mean(sparsity(case)).value < 0.56


@pytest.mark.parametrize("case", [6, 8])
def test_the_originals_sparsity_error_is_whole_where_it_falls_back_to_the_normal_interval(case: int) -> None:
    estimate = original_beta_mean(sparsity(case))
    assert estimate.method == "normal"
    assert estimate.value == pytest.approx(max(float(sparsity(case).mean()), 1e-16), rel=1e-12, abs=0)


@given(spread_iterations, errors)
@settings(deadline=None, max_examples=20)
def test_the_originals_way_always_answers(steps_: list[float], errors_: list[float]) -> None:
    for estimate in (original_gamma_mean(steps_), original_beta_mean(errors_)):
        assert estimate.method in ("normal", "original profile")
        assert math.isfinite(estimate.value)
