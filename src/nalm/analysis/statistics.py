"""Means and success rates of a group of runs, with their confidence intervals."""

__all__ = ["Estimate", "bca_mean", "checked_values", "gamma_mean", "normal_mean", "wilson"]

from collections.abc import Callable
from dataclasses import dataclass
from math import exp, inf, log, nan, pi, sqrt

import numpy as np
import numpy.typing as npt

from nalm.errors import NalmError

Vector = npt.NDArray[np.float64]

DRAWN_SINGLY = 1000
"""Most values of which the bootstrap draws each one."""
FAR = 100
"""Number of values, those farthest from the mean, that are drawn one by one even of more."""
NUMBERS_AT_ONCE = 2_000_000
"""Numbers that the bootstrap holds in memory at a time."""


@dataclass(frozen=True)
class Estimate:
    """A value with its confidence interval in the same unit; NaN where there is none.

    Arguments:
        value: the estimate.
        low: lower end of the interval.
        high: upper end of the interval.
        method: name of the method, ``"none"`` if there is no estimate.
    """

    value: float
    low: float
    high: float
    method: str


def wilson(successes: int, trials: int, confidence: float = 0.95) -> Estimate:
    r"""Estimate a success rate, as a fraction of the trials, with Wilson's score interval.

    .. math:: \frac{p + z^2/2n \pm z \sqrt{p(1-p)/n + z^2/4n^2}}{1 + z^2/n}

    References:
        Probable inference, the law of succession, and statistical inference (Wilson, 1927)

    Raises:
        NalmError: the number of successes is not between 0 and the number of trials.
    """
    if not 0 <= successes <= trials:
        raise NalmError(f"successes must lie between 0 and the number of trials: found {successes} of {trials}")
    if trials == 0:
        return Estimate(nan, nan, nan, "none")
    from scipy import special

    z = special.ndtri(_two_sided(confidence))
    rate = successes / trials
    centre, scale = rate + z**2 / (2 * trials), 1 + z**2 / trials
    half = z * sqrt(rate * (1 - rate) / trials + z**2 / (4 * trials**2))
    # Exactly 0 and 1, which rounding errors would miss.
    low = 0.0 if successes == 0 else float((centre - half) / scale)
    high = 1.0 if successes == trials else float((centre + half) / scale)
    return Estimate(rate, low, high, "wilson")


def gamma_mean(values: npt.ArrayLike, confidence: float = 0.95) -> Estimate:
    r"""Estimate the mean of positive values, such as iterations until solved, under a gamma distribution.

    .. math:: \ell(\mu, k) = \sum_i \ln \mathrm{Gamma}(x_i \mid \text{mean } \mu, \text{shape } k), \qquad
        2 \left(\ell(\bar x, \hat k) - \max_k \ell(\mu, k)\right) \le \chi^2_{1}

    The maximum likelihood estimate of the mean is the sample mean; the interval is the profile likelihood interval.
    There is no such density if all values agree to 9 digits, or if one is 0 (a run solved before its first update).
    Then the interval is Student's, clipped at 0, and ``method`` is ``"normal"``.

    References:
        A method for computing profile-likelihood-based confidence intervals (Venzon & Moolgavkar, 1988)
    """
    from scipy import special

    x = checked_values(values, smallest=0)
    level = _two_sided(confidence)
    if x.size < 2 or x.min() == 0 or np.ptp(x) <= 1e-9 * x.max():
        return normal_mean(x, inf, level)
    mean = float(x.mean())
    spread = float((x / mean - 1 - np.log(x / mean)).mean())  # log(arithmetic mean / geometric mean)
    best, threshold = _gamma_profile(spread), 2 * special.gammaincinv(0.5, confidence)  # the quantile of chi²

    def excess(log_ratio: float) -> float:
        drop = best - _gamma_profile(spread + log_ratio + np.expm1(-log_ratio))
        return float(2 * x.size * drop - threshold)

    low, high = (exp(_crossing(excess, side * sqrt(spread / x.size))) for side in (-1, 1))
    return Estimate(mean, mean * low, mean * high, "gamma profile likelihood")


def bca_mean(values: npt.ArrayLike, confidence: float = 0.95, seed: int = 0, resamples: int = 9999) -> Estimate:
    """Estimate the mean of any values, such as sparsity errors, with the bias-corrected and accelerated bootstrap.

    The resamples depend on the seed, not on the order of the values; 9999 take about 15 ms for 225 values. Of more than
    1000 values, those near the mean, all but 100, are not drawn one by one: their sum is drawn from its normal limit.

    References:
        Better bootstrap confidence intervals (Efron, 1987)
    """
    x = np.sort(checked_values(values))
    level = _two_sided(confidence)
    if x.size < 2:
        return normal_mean(x, inf, level)
    start, spread = x[0], np.ptp(x)
    if spread == 0:
        return Estimate(float(start), float(start), float(start), "equal values")
    # The interval shifts and scales with the data. On [0, 1] nothing underflows, however small the values.
    unit = (x - start) / spread
    if x.size > DRAWN_SINGLY:
        low, high = _large_bca(unit, level, seed, resamples)
    else:
        from scipy import stats

        batch = max(1, NUMBERS_AT_ONCE // x.size)
        found = stats.bootstrap(
            (unit,), np.mean, n_resamples=resamples, batch=batch, confidence_level=confidence, rng=seed
        )
        low, high = found.confidence_interval
    return Estimate(float(x.mean()), float(start + spread * low), float(start + spread * high), "bca bootstrap")


def _large_bca(values: Vector, level: float, seed: int, resamples: int) -> tuple[float, float]:
    """Return the interval of the mean of many values."""
    from scipy import special

    mean, rng = values.mean(), np.random.default_rng(seed)
    order = np.argsort(abs(values - mean), kind="stable")
    near, far = values[order[:-FAR]], values[order[-FAR:]]
    shares = np.full(FAR + 1, 1 / values.size)
    shares[0] = near.size / values.size
    counts = rng.multinomial(values.size, shares, size=resamples)
    sums = counts[:, 1:] @ far + counts[:, 0] * near.mean()
    means = (sums + np.sqrt(counts[:, 0]) * near.std() * rng.standard_normal(resamples)) / values.size
    bias = special.ndtri(((means < mean).mean() + (means <= mean).mean()) / 2)
    centred = values - mean
    acceleration = (centred**3).sum() / (6 * (centred**2).sum() ** 1.5)
    shifted = bias + special.ndtri([1 - level, level])
    low, high = np.quantile(means, special.ndtr(bias + shifted / (1 - acceleration * shifted)))
    return float(low), float(high)


def _two_sided(confidence: float) -> float:
    if not 0 < confidence < 1:
        raise NalmError(f"confidence must lie between 0 and 1, both excluded: found {confidence}")
    return (1 + confidence) / 2


def checked_values(values: npt.ArrayLike, smallest: float = -inf) -> Vector:
    """Return values as one array.

    Raises:
        NalmError: a value is not finite, or below the smallest one allowed.
    """
    x = np.asarray(values, dtype=np.float64).ravel()
    wrong = x[~(np.isfinite(x) & (x >= smallest))]
    if wrong.size:
        raise NalmError(f"values must be finite and at least {smallest}: found {wrong[0]}")
    return x


def normal_mean(x: Vector, largest: float, level: float) -> Estimate:
    """Return the mean with Student's interval, clipped to [0, largest], if there are enough values for one."""
    if x.size == 0:
        return Estimate(nan, nan, nan, "none")
    if x.size == 1:
        return Estimate(float(x[0]), nan, nan, "single value")
    from scipy import special

    half = special.stdtrit(x.size - 1, level) * x.std(ddof=1) / sqrt(x.size)
    low, high = np.clip([x.mean() - half, x.mean() + half], 0, largest)
    return Estimate(float(x.mean()), float(low), float(high), "normal")


def _gamma_profile(a: float) -> float:
    r"""Return the greatest log likelihood per value, :math:`\max_k k \ln k - k - \ln\Gamma(k) - k a`."""
    from scipy import optimize, special

    def slope(k: float) -> float:  # Stirling's series for large k, here and below, since large terms cancel
        return float(log(k) - special.psi(k) if k < 1e3 else 1 / (2 * k) + 1 / (12 * k**2) - 1 / (120 * k**4)) - a

    k = optimize.brentq(slope, 0.499 / a, 1.001 / a, xtol=1e-300, rtol=1e-14)  # as 1/2k < ln k − ψ(k) < 1/k
    gap = k * log(k) - k - special.gammaln(k) if k < 1e3 else log(k / (2 * pi)) / 2 - 1 / (12 * k) + 1 / (360 * k**3)
    return float(gap - k * a)


def _crossing(function: Callable[[float], float], step: float) -> float:
    """Return where a function crosses 0 that is negative at 0 and grows in the direction of ``step``."""
    from scipy import optimize

    while function(step) < 0:
        step *= 2
    return float(optimize.brentq(function, 0, step, xtol=1e-300, rtol=1e-13))
