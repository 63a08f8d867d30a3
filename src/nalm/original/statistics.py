"""Means with confidence intervals as the R script of the original research code computes them."""

from collections.abc import Callable
from math import inf, isfinite, nan, sqrt

import numpy as np
import numpy.typing as npt
from scipy import interpolate, optimize, special, stats

from nalm.analysis.statistics import Estimate, checked_values, normal_mean

__all__ = ["original_beta_mean", "original_gamma_mean"]

Vector = npt.NDArray[np.float64]
Objective = Callable[[Vector], float]

PROFILED_DEVIANCE = stats.chi2.ppf(0.995, df=2)
"""How far bbmle profiles two parameters, in five steps to each side."""


def original_gamma_mean(values: npt.ArrayLike) -> Estimate:
    """Return the mean iteration as the original's R summary computes it: a gamma fit that stops too early.

    The fit is over mean and variance. The variance is scaled so badly that it mostly stays at the sample's, so the
    profile interval ends too low on the upper side. Where profiling finds a better mean, the fit restarts there, so the
    value is not always the sample mean. With fewer than 2 values, or a standard deviation up to 1e-5, the interval is
    Student's. It is Student's also if a value is 0, a case in which the original's behaviour was not measured.
    """
    x = checked_values(values, smallest=0)
    if x.size < 2 or x.std(ddof=1) <= 1e-5 or x.min() == 0:
        return normal_mean(x, inf, 0.975)

    def objective(at: Vector) -> float:
        return -float(stats.gamma.logpdf(x, at[0] ** 2 / at[1], scale=at[1] / at[0]).sum())

    start = np.array([x.mean(), x.var(ddof=1)])
    return _fit(objective, start, np.array([[0, inf], [1e-5, inf]])) or normal_mean(x, inf, 0.975)


def original_beta_mean(values: npt.ArrayLike) -> Estimate:
    r"""Return the mean sparsity error as the original's R summary computes it: about half the sample mean.

    .. math:: x \sim \mathrm{Beta}(2 \mu \nu, (1 - 2 \mu) \nu), \qquad x \in [0, 0.5]

    The mean of this density is :math:`2 \mu`, but :math:`x` is not doubled. With fewer than 2 values, a standard
    deviation up to 1e-10, or a fitted mean too small for numerical second derivatives, the estimate is the whole sample
    mean with Student's interval.
    """
    x = np.clip(checked_values(values, smallest=0), 1e-16, 0.5 - 1e-16)
    if x.size < 2 or x.std(ddof=1) <= 1e-10:
        return normal_mean(x, 0.5, 0.975)

    def objective(at: Vector) -> float:
        first, second = 2 * at[0] * at[1], (1 - 2 * at[0]) * at[1]
        density = (first - 1) * np.log(x) + (second - 1) * np.log1p(-x) - special.betaln(first, second)
        return -float(np.clip(density, -1e6, 1e6).sum())

    start = np.array([x.mean(), x.mean() * (0.5 - x.mean()) / x.var(ddof=1) - 1])
    return _fit(objective, start, np.array([[0, 0.5], [1e-5, inf]])) or normal_mean(x, 0.5, 0.975)


def _fit(objective: Objective, start: Vector, bounds: Vector) -> Estimate | None:
    """Fit as R's bbmle does when the original calls it: again from every better point that profiling finds."""
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
    """Minimize as R's L-BFGS-B does: with central differences of 0.001 that do not cross the bounds."""

    def gradient(at: Vector) -> Vector:
        ends = [np.clip([at + h, at - h], *bounds.T) for h in 1e-3 * np.eye(at.size)]
        return np.array([(objective(up) - objective(down)) / np.sum(up - down) for up, down in ends])

    fit = optimize.fmin_l_bfgs_b(objective, start, gradient, bounds=list(bounds), m=5, factr=1e7, pgtol=0, maxiter=100)
    return np.asarray(fit[0], dtype=np.float64)


def _standard_error(objective: Objective, at: Vector) -> float:
    """Return the mean's, from a generalized inverse that drops the nuisance parameter where it is badly scaled."""
    signs, steps = [(1, 1), (1, -1), (-1, 1), (-1, -1)], np.diag(1e-3 * at)
    corners = [[[objective(at + a * p + b * q) for a, b in signs] for p in steps] for q in steps]
    hessian = np.array(corners) @ np.prod(signs, axis=1) / (4e-6 * np.outer(at, at))
    # Below this mean, R's numerical second derivatives step by 1e-4 and cross 0.
    if at[0] < 1.781029e-5 or not np.isfinite(hessian).all():
        return nan
    variance = np.linalg.pinv(hessian, rcond=sqrt(np.finfo(float).eps))[0, 0]
    return float(np.sqrt(variance if variance > 0 else 1 / hessian[0, 0]))


def _walk_profile(objective: Objective, fit: Vector, bounds: Vector, step: float) -> dict[float, float] | Vector:
    """Profile the mean in steps to both sides.

    Returns:
        The signed root of the deviance by mean; or the first point that is better than the fit.
    """

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
    """Return the means at which the roots reach ±1.96, or NaN: interpolated between 3 n points of a spline, as in R."""
    means, roots = np.array(sorted(profile.items())).T
    grid = np.linspace(means[0], means[-1], 3 * means.size)
    spline, z = interpolate.CubicSpline(means, roots)(grid), stats.norm.ppf(0.975)
    low, high = np.interp([-z, z], spline, grid, left=nan, right=nan)
    return float(low), float(high)
