"""How long runs remain unsolved."""

__all__ = ["Survival", "kaplan_meier", "survival_medians", "survival_steps"]

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf, nan
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from nalm.analysis.results import Results, TrainedRun
from nalm.analysis.selection import labels, selected
from nalm.analysis.statistics import Estimate
from nalm.errors import NalmError

Vector = npt.NDArray[np.float64]
ROUNDING = 1e-12
"""How far a share that is a product may lie above one half, relative, and still be one half."""


@dataclass(frozen=True)
class Survival:
    """The share that is left, as a step function with its interval: values from each time on; before the first, 1."""

    times: Vector
    share: Vector
    low: Vector
    high: Vector

    def median(self) -> Estimate:
        """First time at which at most half are left, with the times at which the interval's ends are there; ∞: never.

        References: A confidence interval for the median survival time (Brookmeyer & Crowley, 1982)
        """
        value, low, high = (self._first(ends) for ends in (self.share, self.low, self.high))
        return Estimate(value, low, high, "kaplan-meier" if self.times.size else "none")

    def _first(self, ends: Vector) -> float:
        if not ends.size:
            return nan
        reached = np.flatnonzero(ends <= 0.5 * (1 + ROUNDING))
        return float(self.times[reached[0]]) if reached.size else inf


def kaplan_meier(times: npt.ArrayLike, happened: npt.ArrayLike, confidence: float = 0.95) -> Survival:
    r"""Estimates which share is left at a time, from times of which some only say that nothing had happened until then.

    .. math:: \hat S(t) = \prod_{t_i \le t} \Big(1 - \frac{d_i}{n_i}\Big)

    with :math:`d_i` events among the :math:`n_i` that are left at the time :math:`t_i`. The interval is Greenwood's on
    the scale :math:`\ln(-\ln S)`; where all are left, or none, it has no width.

    References: Nonparametric estimation from incomplete observations (Kaplan & Meier, 1958)

    Arguments:
        times: of each, at least 0.
        happened: whether it happened then; otherwise it had not happened until then.
        confidence: of the interval.

    Raises:
        NalmError: times are negative or not finite, or there are not as many of both.
    """
    t, event = np.asarray(times, dtype=np.float64).ravel(), np.asarray(happened, dtype=bool).ravel()
    if t.shape != event.shape:
        raise NalmError(f"found {t.size} times and {event.size} events, expected as many")
    if (wrong := t[~(np.isfinite(t) & (t >= 0))]).size:
        raise NalmError(f"times must be finite and at least 0: found {wrong[0]}")
    if not 0 < confidence < 1:
        raise NalmError(f"confidence must lie between 0 and 1, both excluded: found {confidence}")
    if not t.size:
        return Survival(t, t, t, t)
    left = stats.ecdf(stats.CensoredData(uncensored=t[event], right=t[~event])).sf
    share = left.probabilities
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The confidence interval is undefined", RuntimeWarning)
        interval = left.confidence_interval(confidence, method="log-log")
    certain = (share == 0) | (share == 1)
    ends: list[Any] = [interval.low, interval.high]  # the types that scipy declares are wrong
    low, high = (np.where(certain, share, end.probabilities) for end in ends)
    return Survival(left.quantiles, share, low, high)


def survival_steps(results: Results, variants: Sequence[str] = (), tasks: Sequence[str] = ()) -> pd.DataFrame:
    """The share of runs that are not yet solved, with its 95 % interval.

    A solved run counts as such from the first evaluation at which its test error crosses the threshold; any other is
    censored at its last evaluation, or, if it diverged, when its training would have ended: it could not be solved any
    more.

    Arguments:
        results: of an experiment.
        variants: labels; by default all.
        tasks: labels; by default all.

    Returns:
        A row per ``variant``, ``task`` (None for all tasks together, if there are several) and ``iteration`` from
        which on ``share`` (with ``low`` and ``high``) is left, the first at 0, the last at the end.

    Raises:
        NalmError: there is no such variant or task, or no runs.
    """
    rows = []
    for variant, task, times, happened in _groups(results, variants, tasks):
        curve = kaplan_meier(times, happened)
        starts = np.concatenate([[0.0], curve.times])
        columns = {
            name: np.concatenate([[1.0], values])
            for name, values in (("share", curve.share), ("low", curve.low), ("high", curve.high))
        }
        steps = pd.DataFrame({"variant": variant, "task": task, "iteration": starts, **columns})
        rows.append(steps.drop_duplicates("iteration", keep="last"))  # solved before its first update
    return pd.concat(rows, ignore_index=True)


def survival_medians(results: Results, variants: Sequence[str] = (), tasks: Sequence[str] = ()) -> pd.DataFrame:
    """Median iterations until runs are solved, those that never are included, with their 95 % intervals.

    Returns:
        A row per ``variant`` and ``task`` as in ``survival_steps``, with ``runs``, ``solved``, ``median``, ``low`` and
        ``high``; infinite is what was not reached.

    Raises:
        NalmError: as ``survival_steps`` does.
    """
    rows: list[dict[str, Any]] = []
    for variant, task, times, happened in _groups(results, variants, tasks):
        median = kaplan_meier(times, happened).median()
        counts = {"runs": len(times), "solved": sum(happened)}
        found = {"median": median.value, "low": median.low, "high": median.high}
        rows.append({"variant": variant, "task": task, **counts, **found})
    return pd.DataFrame(rows)


def _groups(
    results: Results, variants: Sequence[str], tasks: Sequence[str]
) -> Iterator[tuple[str, str | None, list[float], list[bool]]]:
    """Times of a variant's runs on every task, and on all of them if there are several."""
    of, on = labels(results, variants, tasks)
    ends = [(run.variant, run.task, *_end(run)) for run in selected(results, variants, tasks)]
    for variant in of:
        for task in [*on, *([None] if len(on) > 1 else [])]:
            group = [end[2:] for end in ends if end[0] == variant and task in (None, end[1])]
            if group:
                times, happened = zip(*group, strict=True)
                yield variant, task, list(times), list(happened)


def _end(run: TrainedRun) -> tuple[float, bool]:
    outcome = run.outcome()
    if outcome["solved"]:
        return float(outcome["iteration_solved"]), True
    if outcome["diverged_at"] is not None or not len(run.iterations):
        return float(run.run.recipe.iterations), False
    return float(run.iterations[-1]), False
