"""Differences of two success rates, of independent or paired runs, with their confidence intervals."""

__all__ = ["mcnemar", "newcombe", "newcombe_paired"]

from math import nan, sqrt

from nalm.analysis.statistics import Estimate, wilson
from nalm.errors import NalmError


def newcombe(first: tuple[int, int], second: tuple[int, int], confidence: float = 0.95) -> Estimate:
    r"""Estimate the difference of two independent success rates, first − second, with the hybrid score interval.

    .. math:: \hat d - \sqrt{(p_1 - l_1)^2 + (u_2 - p_2)^2} \quad\text{to}\quad
        \hat d + \sqrt{(u_1 - p_1)^2 + (p_2 - l_2)^2}

    where l and u are the ends of Wilson's intervals. The interval lies within [−1, 1].

    References:
        Interval estimation for the difference between independent proportions: comparison of eleven methods
        (Newcombe, 1998), method 10

    Arguments:
        first: numbers of successes and trials.
        second: numbers of successes and trials.
        confidence: level of the interval.
    """
    return _hybrid(wilson(*first, confidence), wilson(*second, confidence), 0.0, "newcombe")


def newcombe_paired(both: int, first_only: int, second_only: int, neither: int, confidence: float = 0.95) -> Estimate:
    r"""Estimate the difference of two paired success rates, first − second, with the paired hybrid score interval.

    .. math:: \hat d - \sqrt{(p_1 - l_1)^2 - 2 \phi (p_1 - l_1)(u_2 - p_2) + (u_2 - p_2)^2}

    is the lower end; the upper end is likewise. l and u are the ends of Wilson's intervals, φ is the correlation of the
    two outcomes. φ is corrected for continuity where it is positive, and 0 where all outcomes of one side are equal.
    The interval lies within [−1, 1].

    References:
        Improved confidence intervals for the difference between binomial proportions based on paired data
        (Newcombe, 1998), method 10

    Arguments:
        both: number of pairs in which both succeeded.
        first_only: number of pairs in which only the first succeeded.
        second_only: number of pairs in which only the second succeeded.
        neither: number of pairs in which neither succeeded.
        confidence: level of the interval.

    Raises:
        NalmError: a count is negative.
    """
    counts = (both, first_only, second_only, neither)
    if min(counts) < 0:
        raise NalmError(f"counts of pairs must be at least 0: found {min(counts)}")
    pairs = sum(counts)
    first, second = (wilson(both + only, pairs, confidence) for only in (first_only, second_only))
    return _hybrid(first, second, _correlation(*counts), "newcombe paired")


def mcnemar(first_only: int, second_only: int) -> float:
    """Return the exact two-sided p-value of McNemar's test.

    It is the probability that fair coin flips split the discordant pairs at least as unevenly. Pairs with equal
    outcomes don't count; without discordant pairs the p-value is 1.

    References:
        Note on the sampling error of the difference between correlated proportions or percentages
        (McNemar, 1947)

    Raises:
        NalmError: a count is negative.
    """
    if min(first_only, second_only) < 0:
        raise NalmError(f"counts of pairs must be at least 0: found {min(first_only, second_only)}")
    discordant = first_only + second_only
    from scipy import stats

    return float(stats.binomtest(first_only, discordant).pvalue) if discordant else 1.0


def _hybrid(first: Estimate, second: Estimate, correlation: float, method: str) -> Estimate:
    """Combine the intervals of two rates into the interval of their difference."""
    if "none" in (first.method, second.method):
        return Estimate(nan, nan, nan, "none")

    def half(one: float, other: float) -> float:
        return sqrt(one**2 - 2 * correlation * one * other + other**2)

    value = first.value - second.value
    low = half(first.value - first.low, second.high - second.value)
    high = half(first.high - first.value, second.value - second.low)
    return Estimate(value, value - low, value + high, method)


def _correlation(both: int, first_only: int, second_only: int, neither: int) -> float:
    margins = (both + first_only) * (second_only + neither) * (both + second_only) * (first_only + neither)
    if margins == 0:
        return 0.0
    excess = both * neither - first_only * second_only
    pairs = both + first_only + second_only + neither
    return (excess if excess < 0 else max(excess - pairs / 2, 0.0)) / sqrt(margins)
