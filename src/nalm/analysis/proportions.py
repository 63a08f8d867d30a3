"""Differences of two success rates, of independent runs or of the same seeds, with their confidence intervals."""

__all__ = ["mcnemar", "newcombe", "newcombe_paired"]

from math import nan, sqrt

from scipy import stats

from nalm.analysis.statistics import Estimate, wilson
from nalm.errors import NalmError


def newcombe(first: tuple[int, int], second: tuple[int, int], confidence: float = 0.95) -> Estimate:
    r"""Difference of two independent success rates, first − second, with the hybrid score interval.

    .. math:: \hat d - \sqrt{(p_1 - l_1)^2 + (u_2 - p_2)^2} \quad\text{to}\quad
        \hat d + \sqrt{(u_1 - p_1)^2 + (p_2 - l_2)^2}

    where l and u are the ends of Wilson's intervals. It lies within [−1, 1].

    References: Interval estimation for the difference between independent proportions: comparison of eleven methods
        (Newcombe, 1998), method 10

    Arguments:
        first: successes and trials.
        second: successes and trials.
        confidence: of the interval.
    """
    return _hybrid(wilson(*first, confidence), wilson(*second, confidence), 0.0, "newcombe")


def newcombe_paired(both: int, first_only: int, second_only: int, neither: int, confidence: float = 0.95) -> Estimate:
    r"""Difference of two success rates on the same seeds, first − second, with the paired hybrid score interval.

    .. math:: \hat d - \sqrt{(p_1 - l_1)^2 - 2 \phi (p_1 - l_1)(u_2 - p_2) + (u_2 - p_2)^2}

    and likewise above, with Wilson's ends l and u, and the correlation φ of the two outcomes, which is corrected for
    continuity where it is positive, and 0 where all outcomes of one of them are equal. It lies within [−1, 1].

    References: Improved confidence intervals for the difference between binomial proportions based on paired data
        (Newcombe, 1998), method 10

    Arguments:
        both: pairs of which both succeeded.
        first_only: pairs of which the first succeeded.
        second_only: pairs of which the second succeeded.
        neither: pairs of which none succeeded.
        confidence: of the interval.
    """
    counts = (both, first_only, second_only, neither)
    if min(counts) < 0:
        raise NalmError(f"counts of pairs must be at least 0: found {min(counts)}")
    pairs = sum(counts)
    first, second = (wilson(both + only, pairs, confidence) for only in (first_only, second_only))
    return _hybrid(first, second, _correlation(*counts), "newcombe paired")


def mcnemar(first_only: int, second_only: int) -> float:
    """Exact two-sided p-value: how likely a split of the unequal pairs is that is at least as uneven, were it a coin's.

    Pairs that agree say nothing; without unequal pairs it is 1.

    References: Note on the sampling error of the difference between correlated proportions or percentages
        (McNemar, 1947)
    """
    if min(first_only, second_only) < 0:
        raise NalmError(f"counts of pairs must be at least 0: found {min(first_only, second_only)}")
    unequal = first_only + second_only
    return float(stats.binomtest(first_only, unequal).pvalue) if unequal else 1.0


def _hybrid(first: Estimate, second: Estimate, correlation: float, method: str) -> Estimate:
    """The interval of a difference, from those of its two parts."""
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
