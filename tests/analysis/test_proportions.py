"""Differences of success rates against the papers' examples, statsmodels, and properties that hold for all counts."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, strategies as st
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar  # type: ignore[import-untyped]
from statsmodels.stats.proportion import confint_proportions_2indep  # type: ignore[import-untyped]

from nalm.analysis.proportions import mcnemar, newcombe, newcombe_paired
from nalm.errors import NalmError

Counts = tuple[int, int]
Table = tuple[int, int, int, int]

some_runs = st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
tables = st.tuples(*[st.integers(0, 60)] * 4).filter(any)


# Independent runs


@pytest.mark.parametrize(
    ("first", "second", "low", "high"),
    [  # table II of Newcombe (1998), which prints four digits
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((6, 7), (2, 7), 0.0582, 0.8062),
        ((5, 56), (0, 29), -0.0381, 0.1926),
        ((0, 10), (0, 20), -0.1611, 0.2775),
        ((0, 10), (0, 10), -0.2775, 0.2775),
        ((10, 10), (0, 20), 0.6791, 1.0),
        ((10, 10), (0, 10), 0.6075, 1.0),
    ],
)
def test_the_examples_of_the_paper(first: Counts, second: Counts, low: float, high: float) -> None:
    found = newcombe(first, second)
    assert (round(found.low, 4), round(found.high, 4)) == (low, high)


@given(some_runs, some_runs, st.floats(0.5, 0.999))
def test_an_independent_difference_agrees_with_statsmodels(first: Counts, second: Counts, confidence: float) -> None:
    expected = confint_proportions_2indep(*first, *second, method="newcomb", compare="diff", alpha=1 - confidence)
    found = newcombe(first, second, confidence)
    # Square roots of differences that are nearly 0 keep half of the digits.
    assert (found.low, found.high) == pytest.approx(expected, abs=1e-7)


@given(some_runs, some_runs)
def test_an_independent_difference_lies_within_its_interval_and_the_interval_within_minus_one_and_one(
    first: Counts, second: Counts
) -> None:
    found = newcombe(first, second)
    assert found.value == first[0] / first[1] - second[0] / second[1]
    assert -1 <= found.low <= found.value <= found.high <= 1


@given(some_runs, some_runs)
def test_swapping_the_rates_mirrors_an_independent_difference(first: Counts, second: Counts) -> None:
    found, mirrored = newcombe(first, second), newcombe(second, first)
    assert (mirrored.value, mirrored.low, mirrored.high) == (-found.value, -found.high, -found.low)


def test_a_difference_from_zero_runs_is_undefined() -> None:
    for found in (newcombe((0, 0), (1, 2)), newcombe((1, 2), (0, 0)), newcombe_paired(0, 0, 0, 0)):
        assert found.method == "none"
        assert np.isnan([found.value, found.low, found.high]).all()


@pytest.mark.parametrize("counts", [(-1, 3), (4, 3)])
def test_impossible_counts_of_runs_are_refused(counts: Counts) -> None:
    with pytest.raises(NalmError, match=f"found {counts[0]} of {counts[1]}"):
        newcombe((1, 2), counts)


# Pairs of runs


@pytest.mark.parametrize(
    ("table", "low", "high", "digits"),
    [
        ((36, 12, 2, 0), 0.0569, 0.3404, 4),  # Newcombe (1998), paired data
        ((1, 1, 7, 12), -0.507, -0.026, 3),  # Fagerland, Lydersen & Laake (2014), airway hyper-responsiveness
        ((14, 5, 0, 22), 0.011, 0.226, 3),  # Altman et al., Statistics with Confidence (2000), table 6.2
    ],
)
def test_published_examples_of_paired_differences(table: Table, low: float, high: float, digits: int) -> None:
    found = newcombe_paired(*table)
    assert (round(found.low, digits), round(found.high, digits)) == (low, high)


def spelt_out(table: Table) -> tuple[float, float]:
    """Compute the interval from single outcomes, with scipy's Wilson interval and numpy's correlation."""
    first, second = np.repeat([[1, 1, 0, 0], [1, 0, 1, 0]], table, axis=1)
    correlation = 0.0
    if len(set(first)) == len(set(second)) == 2:
        correlation = float(np.corrcoef(first, second)[0, 1])
        correction = 1 / (2 * len(first) * first.std() * second.std())
        correlation = max(correlation - correction, 0) if correlation > 0 else correlation
    (l1, u1), (l2, u2) = (
        stats.binomtest(int(outcomes.sum()), len(outcomes)).proportion_ci(method="wilson")
        for outcomes in (first, second)
    )
    below, above = np.array([first.mean() - l1, u2 - second.mean()]), np.array([u1 - first.mean(), second.mean() - l2])
    shape = np.array([[1, -correlation], [-correlation, 1]])
    difference = first.mean() - second.mean()
    return difference - math.sqrt(below @ shape @ below), difference + math.sqrt(above @ shape @ above)


@given(tables)
def test_a_paired_difference_equals_that_computed_from_single_outcomes(table: Table) -> None:
    found = newcombe_paired(*table)
    # Square roots of differences that are nearly 0 keep half of the digits.
    assert (found.low, found.high) == pytest.approx(spelt_out(table), abs=1e-7)


@given(tables)
def test_a_paired_difference_lies_within_its_interval_and_the_interval_within_minus_one_and_one(table: Table) -> None:
    found = newcombe_paired(*table)
    assert found.value == pytest.approx((table[1] - table[2]) / sum(table), abs=1e-15)
    assert -1 <= found.low <= found.value <= found.high <= 1


@given(tables)
def test_a_paired_difference_is_mirrored_when_sides_or_success_and_failure_swap(table: Table) -> None:
    both, first_only, second_only, neither = table
    found = newcombe_paired(*table)
    sides = newcombe_paired(both, second_only, first_only, neither)
    failures = newcombe_paired(neither, second_only, first_only, both)
    for mirrored in (sides, failures):
        # Square roots of differences that are nearly 0 keep half of the digits.
        assert (-mirrored.high, -mirrored.low) == pytest.approx((found.low, found.high), abs=1e-7)


@given(st.integers(1, 60), st.integers(0, 60))
def test_uncorrelated_pairs_have_the_interval_of_independent_runs(first_only: int, neither: int) -> None:
    pairs = first_only + neither  # the second never succeeds
    found, independent = newcombe_paired(0, first_only, 0, neither), newcombe((first_only, pairs), (0, pairs))
    assert (found.low, found.high) == (independent.low, independent.high)


def test_pairs_that_mostly_agree_have_a_narrower_interval_than_independent_runs() -> None:
    paired, independent = newcombe_paired(100, 10, 2, 100), newcombe((110, 212), (102, 212))
    assert independent.low < 0 < paired.low
    assert paired.high < independent.high


@given(tables.filter(lambda table: table[0] * table[3] < table[1] * table[2]))
def test_pairs_that_mostly_disagree_have_a_wider_interval_than_independent_runs(table: Table) -> None:
    both, first_only, second_only, _ = table
    found = newcombe_paired(*table)
    independent = newcombe((both + first_only, sum(table)), (both + second_only, sum(table)))
    assert found.low < independent.low
    assert independent.high < found.high


@pytest.mark.parametrize("place", range(4))
def test_impossible_counts_of_pairs_are_refused(place: int) -> None:
    counts = [3, 3, 3, 3]
    counts[place] = -1
    with pytest.raises(NalmError, match="counts of pairs must be at least 0: found -1"):
        newcombe_paired(*counts)


# McNemar


@given(st.integers(0, 100), st.integers(0, 100))
def test_mcnemars_exact_test_agrees_with_statsmodels(first_only: int, second_only: int) -> None:
    assume(first_only + second_only > 0)
    expected = statsmodels_mcnemar([[5, first_only], [second_only, 5]], exact=True).pvalue
    assert mcnemar(first_only, second_only) == pytest.approx(min(expected, 1.0), abs=1e-12)
    assert mcnemar(second_only, first_only) == mcnemar(first_only, second_only)


@pytest.mark.parametrize(("first_only", "second_only", "p"), [(0, 0, 1), (3, 3, 1), (5, 0, 2 / 32), (1, 7, 18 / 256)])
def test_mcnemar_is_the_test_of_a_fair_coin(first_only: int, second_only: int, p: float) -> None:
    assert mcnemar(first_only, second_only) == pytest.approx(p, rel=1e-12)


def test_mcnemar_refuses_impossible_counts() -> None:
    with pytest.raises(NalmError, match="found -2"):
        mcnemar(3, -2)
