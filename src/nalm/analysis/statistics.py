"""Means and rates of a group of runs, with their confidence intervals."""

__all__ = ["Estimate", "bca_mean", "gamma_mean", "original_beta_mean", "original_gamma_mean", "wilson"]

from collections.abc import Callable
from dataclasses import dataclass
from math import exp, inf, isfinite, log, nan, pi, sqrt

import numpy as np
import numpy.typing as npt
from scipy import interpolate, optimize, special, stats

from nalm.errors import NalmError

Vector = npt.NDArray[np.float64]
Objective = Callable[[Vector], float]

PROFILED_DEVIANCE = stats.chi2.ppf(0.995, df=2)  # how far bbmle profiles two parameters, in five steps a side


@dataclass(frozen=True)
class Estimate:
    """A value, its confidence interval in the same unit, and the method's name; what does not exist is NaN."""

    value: float
    low: float
    high: float
    method: str


def wilson(successes: int, trials: int, confidence: float = 0.95) -> Estimate:
    r"""Success rate, a fraction of the runs, with the score interval.

    .. math:: \frac{p + z^2/2n \pm z \sqrt{p(1-p)/n + z^2/4n^2}}{1 + z^2/n}

    References: Probable inference, the law of succession, and statistical inference (Wilson, 1927)
    """
    if not 0 <= successes <= trials:
        raise NalmError(f"successes must lie between 0 and the number of trials: found {successes} of {trials}")
    if trials == 0:
        return Estimate(nan, nan, nan, "none")
    z = stats.norm.ppf(_two_sided(confidence))
    rate = successes / trials
    centre, scale = rate + z**2 / (2 * trials), 1 + z**2 / trials
    half = z * sqrt(rate * (1 - rate) / trials + z**2 / (4 * trials**2))
    # Rounding must not keep the ends from 0 and 1.
    low = 0.0 if successes == 0 else float((centre - half) / scale)
    high = 1.0 if successes == trials else float((centre + half) / scale)
    return Estimate(rate, low, high, "wilson")


def gamma_mean(values: npt.ArrayLike, confidence: float = 0.95) -> Estimate:
    r"""Mean of positive values, such as the iterations at which runs were solved, under a gamma distribution.

    .. math:: \ell(\mu, k) = \sum_i \ln \mathrm{Gamma}(x_i \mid \text{mean } \mu, \text{shape } k), \qquad
        2 \left(\ell(\bar x, \hat k) - \max_k \ell(\mu, k)\right) \le \chi^2_{1}

    The mean's maximum likelihood estimate is the sample mean; the interval is its profile likelihood.
    Where there is no such density (values equal to 9 digits; a zero: a run that was solved before its first
    update) the interval is Student's, clipped at 0, and ``method`` is ``"normal"``.

    References: A method for computing profile-likelihood-based confidence intervals (Venzon & Moolgavkar, 1988)
    """
    x = _checked(values, smallest=0)
    level = _two_sided(confidence)
    if x.size < 2 or x.min() == 0 or np.ptp(x) <= 1e-9 * x.max():
        return _normal(x, inf, level)
    mean = float(x.mean())
    spread = float((x / mean - 1 - np.log(x / mean)).mean())  # log of arithmetic over geometric mean
    best, threshold = _gamma_profile(spread), stats.chi2.ppf(confidence, df=1)

    def excess(log_ratio: float) -> float:
        drop = best - _gamma_profile(spread + log_ratio + np.expm1(-log_ratio))
        return float(2 * x.size * drop - threshold)

    low, high = (exp(_crossing(excess, side * sqrt(spread / x.size))) for side in (-1, 1))
    return Estimate(mean, mean * low, mean * high, "gamma profile likelihood")


def bca_mean(values: npt.ArrayLike, confidence: float = 0.95, seed: int = 0, resamples: int = 9999) -> Estimate:
    """Mean of any values, such as sparsity errors (0 to 0.5), with the bias-corrected and accelerated bootstrap.

    The resamples (9999: some 15 ms for 225 values) are drawn from the seed, whatever the order of the values.

    References: Better bootstrap confidence intervals (Efron, 1987)
    """
    x = np.sort(_checked(values))
    level = _two_sided(confidence)
    if x.size < 2:
        return _normal(x, inf, level)
    start, spread = x[0], np.ptp(x)
    if spread == 0:
        return Estimate(float(start), float(start), float(start), "equal values")
    # The interval moves and stretches with the data; on [0, 1] nothing underflows, however small the errors.
    unit = (x - start) / spread
    found = stats.bootstrap((unit,), np.mean, n_resamples=resamples, confidence_level=confidence, rng=seed)
    low, high = (float(start + spread * end) for end in found.confidence_interval)
    return Estimate(float(x.mean()), low, high, "bca bootstrap")


def original_gamma_mean(values: npt.ArrayLike) -> Estimate:
    """Mean iteration as the original's R summary finds it: a gamma fit over mean and variance that stops too early.

    Its variance is scaled so badly that it mostly stays at the sample's: the profile interval is too narrow above.
    Where profiling meets a better mean, the fit restarts there: the value is not always the sample mean. With fewer
    than 2 values or a deviation up to 1e-5: Student's interval (here also at a zero, where nobody measured it).
    """
    x = _checked(values, smallest=0)
    if x.size < 2 or x.std(ddof=1) <= 1e-5 or x.min() == 0:
        return _normal(x, inf, 0.975)

    def objective(at: Vector) -> float:
        return -float(stats.gamma.logpdf(x, at[0] ** 2 / at[1], scale=at[1] / at[0]).sum())

    start = np.array([x.mean(), x.var(ddof=1)])
    return _original_fit(objective, start, np.array([[0, inf], [1e-5, inf]])) or _normal(x, inf, 0.975)


def original_beta_mean(values: npt.ArrayLike) -> Estimate:
    r"""Mean sparsity error as the original's R summary finds it: about half, the density's mean being 2μ and x not 2x.

    .. math:: x \sim \mathrm{Beta}(2 \mu \nu, (1 - 2 \mu) \nu), \qquad x \in [0, 0.5]

    With fewer than 2 values, a deviation up to 1e-10 or a fitted mean too small for numerical second
    derivatives: the whole sample mean, with Student's interval.
    """
    x = np.clip(_checked(values, smallest=0), 1e-16, 0.5 - 1e-16)
    if x.size < 2 or x.std(ddof=1) <= 1e-10:
        return _normal(x, 0.5, 0.975)

    def objective(at: Vector) -> float:
        first, second = 2 * at[0] * at[1], (1 - 2 * at[0]) * at[1]
        density = (first - 1) * np.log(x) + (second - 1) * np.log1p(-x) - special.betaln(first, second)
        return -float(np.clip(density, -1e6, 1e6).sum())

    start = np.array([x.mean(), x.mean() * (0.5 - x.mean()) / x.var(ddof=1) - 1])
    return _original_fit(objective, start, np.array([[0, 0.5], [1e-5, inf]])) or _normal(x, 0.5, 0.975)


def _two_sided(confidence: float) -> float:
    if not 0 < confidence < 1:
        raise NalmError(f"confidence must lie between 0 and 1, both excluded: found {confidence}")
    return (1 + confidence) / 2


def _checked(values: npt.ArrayLike, smallest: float = -inf) -> Vector:
    x = np.asarray(values, dtype=np.float64).ravel()
    wrong = x[~(np.isfinite(x) & (x >= smallest))]
    if wrong.size:
        raise NalmError(f"values must be finite and at least {smallest}: found {wrong[0]}")
    return x


def _normal(x: Vector, largest: float, level: float) -> Estimate:
    """Student's interval of the mean, clipped to [0, largest], if there are values enough for one."""
    if x.size == 0:
        return Estimate(nan, nan, nan, "none")
    if x.size == 1:
        return Estimate(float(x[0]), nan, nan, "single value")
    half = stats.t.ppf(level, x.size - 1) * x.std(ddof=1) / sqrt(x.size)
    low, high = np.clip([x.mean() - half, x.mean() + half], 0, largest)
    return Estimate(float(x.mean()), float(low), float(high), "normal")


def _gamma_profile(a: float) -> float:
    r"""Greatest log likelihood per value, max over k of :math:`k \ln k - k - \ln\Gamma(k) - k a`."""

    def slope(k: float) -> float:  # for large k Stirling's series, here and below: large terms cancel
        return float(log(k) - special.psi(k) if k < 1e3 else 1 / (2 * k) + 1 / (12 * k**2) - 1 / (120 * k**4)) - a

    k = optimize.brentq(slope, 0.499 / a, 1.001 / a, xtol=1e-300, rtol=1e-14)  # as 1/2k < ln k − ψ(k) < 1/k
    gap = k * log(k) - k - special.gammaln(k) if k < 1e3 else log(k / (2 * pi)) / 2 - 1 / (12 * k) + 1 / (360 * k**3)
    return float(gap - k * a)


def _crossing(function: Callable[[float], float], step: float) -> float:
    """Where a function that is negative at 0 and grows in the direction of ``step`` crosses 0."""
    while function(step) < 0:
        step *= 2
    return float(optimize.brentq(function, 0, step, xtol=1e-300, rtol=1e-13))


def _original_fit(objective: Objective, start: Vector, bounds: Vector) -> Estimate | None:
    """The fit of R's bbmle as the original calls it: from every better point that profiling meets, fit again."""
    with np.errstate(all="ignore"):
        for _ in range(100):
            fit = _r_optim(objective, start, bounds)
            step = sqrt(PROFILED_DEVIANCE) / 5 * _standard_error(objective, fit)
            if not isfinite(step):
                return None
            profile = _walk_profile(objective, fit, bounds, step)
            if isinstance(profile, dict):
                ends = _spline_crossings(profile) if len(profile) > 1 else (nan, nan)
                return Estimate(float(fit[0]), *ends, "original profile")
            start = profile
    return None


def _r_optim(objective: Objective, start: Vector, bounds: Vector) -> Vector:
    """R's L-BFGS-B with its settings: central differences of 0.001 that do not cross the bounds."""

    def gradient(at: Vector) -> Vector:
        ends = [np.clip([at + h, at - h], *bounds.T) for h in 1e-3 * np.eye(at.size)]
        return np.array([(objective(up) - objective(down)) / np.sum(up - down) for up, down in ends])

    fit = optimize.fmin_l_bfgs_b(objective, start, gradient, bounds=list(bounds), m=5, factr=1e7, pgtol=0, maxiter=100)
    return np.asarray(fit[0], dtype=np.float64)


def _standard_error(objective: Objective, at: Vector) -> float:
    """Of the mean, from a generalized inverse that drops the nuisance parameter where it is badly scaled."""
    signs, steps = [(1, 1), (1, -1), (-1, 1), (-1, -1)], np.diag(1e-3 * at)
    corners = [[[objective(at + a * p + b * q) for a, b in signs] for p in steps] for q in steps]
    hessian = np.array(corners) @ np.prod(signs, axis=1) / (4e-6 * np.outer(at, at))
    # Below this mean R's numerical second derivatives step by 1e-4, past 0.
    if at[0] < 1.781029e-5 or not np.isfinite(hessian).all():
        return nan
    variance = np.linalg.pinv(hessian, rcond=sqrt(np.finfo(float).eps))[0, 0]
    return float(np.sqrt(variance if variance > 0 else 1 / hessian[0, 0]))


def _walk_profile(objective: Objective, fit: Vector, bounds: Vector, step: float) -> dict[float, float] | Vector:
    """Signed root of the deviance by mean, in steps to both sides; or the first point that is better than the fit."""

    def refit(mean: float) -> Vector:
        return np.array([mean, *_r_optim(lambda rest: objective(np.array([mean, *rest])), fit[1:], bounds[1:])])

    profile = {float(fit[0]): 0.0}
    for side in (-1, 1):
        deviance = 0.0
        for mean in fit[0] + side * step * np.arange(1, 100):
            if not (deviance < PROFILED_DEVIANCE and bounds[0, 0] < mean < bounds[0, 1]):
                break
            point = refit(mean)
            deviance = 2 * (objective(point) - objective(fit))
            if deviance < -1e-3:
                return point
            if isfinite(deviance):
                profile[mean] = side * sqrt(max(deviance, 0))
    return profile


def _spline_crossings(profile: dict[float, float]) -> tuple[float, float]:
    """Where the roots reach ±1.96 (NaN: they do not), read as R's confint does: between 3 n points of a spline."""
    means, roots = np.array(sorted(profile.items())).T
    grid = np.linspace(means[0], means[-1], 3 * means.size)
    spline, z = interpolate.CubicSpline(means, roots)(grid), stats.norm.ppf(0.975)
    low, high = np.interp([-z, z], spline, grid, left=nan, right=nan)
    return float(low), float(high)
