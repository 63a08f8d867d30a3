"""Kaplan and Meier's estimate of how long runs remain unsolved."""

__all__ = ["Survival", "kaplan_meier"]

import warnings
from dataclasses import dataclass
from math import inf, nan
from typing import Any

import numpy as np
import numpy.typing as npt

from nalm.analysis.statistics import Estimate
from nalm.errors import NalmError

Vector = npt.NDArray[np.float64]
ROUNDING = 1e-12
"""Relative tolerance within which a share, a rounded product, still counts as one half."""


@dataclass(frozen=True)
class Survival:
    """Estimated share of survivors with its confidence interval, as step functions of time.

    Arguments:
        times: when the step functions change; before the first, the share is 1.
        share: the share from each time on.
        low: the lower end of its interval.
        high: the upper end of its interval.
    """

    times: Vector
    share: Vector
    low: Vector
    high: Vector

    def median(self) -> Estimate:
        """Return the first time at which at most half survive, with its interval; infinite where never reached.

        References:
            A confidence interval for the median survival time (Brookmeyer & Crowley, 1982)
        """
        value, low, high = (self._first(curve) for curve in (self.share, self.low, self.high))
        return Estimate(value, low, high, "kaplan-meier" if self.times.size else "none")

    def _first(self, curve: Vector) -> float:
        if not curve.size:
            return nan
        reached = np.flatnonzero(curve <= 0.5 * (1 + ROUNDING))
        return float(self.times[reached[0]]) if reached.size else inf


def kaplan_meier(times: npt.ArrayLike, happened: npt.ArrayLike, confidence: float = 0.95) -> Survival:
    r"""Estimate the share of survivors over time from event times, some of which are censored.

    .. math:: \hat S(t) = \prod_{t_i \le t} \Big(1 - \frac{d_i}{n_i}\Big)

    with :math:`d_i` events among the :math:`n_i` still at risk at time :math:`t_i`. The interval is Greenwood's on the
    scale :math:`\ln(-\ln S)`; where the share is 0 or 1, it has no width.

    References:
        Nonparametric estimation from incomplete observations (Kaplan & Meier, 1958)

    Arguments:
        times: time of each event or of its censoring, at least 0.
        happened: whether the event happened at that time; if not, it is censored.
        confidence: level of the interval.

    Raises:
        NalmError: a time is negative or not finite, the two lengths differ, or the level is not between 0 and 1.
    """
    t, event = np.asarray(times, dtype=np.float64).ravel(), np.asarray(happened, dtype=bool).ravel()
    if t.shape != event.shape:
        raise NalmError(f"found {t.size} times and {event.size} events, expected equally many")
    if (wrong := t[~(np.isfinite(t) & (t >= 0))]).size:
        raise NalmError(f"times must be finite and at least 0: found {wrong[0]}")
    if not 0 < confidence < 1:
        raise NalmError(f"confidence must lie between 0 and 1, both excluded: found {confidence}")
    if not t.size:
        return Survival(t, t, t, t)
    from scipy import stats

    survivors = stats.ecdf(stats.CensoredData(uncensored=t[event], right=t[~event])).sf
    share = survivors.probabilities
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The confidence interval is undefined", RuntimeWarning)
        interval = survivors.confidence_interval(confidence, method="log-log")
    certain = (share == 0) | (share == 1)
    ends: list[Any] = [interval.low, interval.high]  # scipy declares wrong types for these
    low, high = (np.where(certain, share, end.probabilities) for end in ends)
    return Survival(survivors.quantiles, share, low, high)
