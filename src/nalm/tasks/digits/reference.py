"""Thresholds from reference runs, whose networks compute the operation exactly and only learn to read digits."""

import math
from collections.abc import Iterable, Sequence

import numpy as np

from nalm.log import warn_once
from nalm.spec.task import Judged
from nalm.spec.thresholds import Threshold, best_row

__all__ = ["LEVEL", "reference_thresholds", "upper_limit"]

LEVEL = 0.99
"""Level of confidence of the reference thresholds."""


def reference_thresholds(runs: Iterable[Judged]) -> dict[str, Threshold]:
    """Return the thresholds of tasks with ``threshold: reference``, by the labels of these tasks.

    The threshold of a task is the upper limit of the mean test error of its runs with the ``Accumulator`` (see
    ``upper_limit``). If there are fewer than two such runs, it is NaN: no run counts as solved, and a warning says so.

    Arguments:
        runs: runs on tasks of digits.
    """
    errors: dict[str, list[float]] = {}
    rows: dict[str, int] = {}
    for label, task, recipe, validation, test in runs:
        if task.threshold == "reference":
            measured, rows[label] = errors.setdefault(label, []), task.judged_rows
            if recipe.module.name == "Accumulator" and len(test):
                measured.append(test[best_row(validation, task.judged_rows)])
    if any(len(measured) < 2 for measured in errors.values()):
        warn_once("no run counts as solved: thresholds take at least 2 seeds of the variant with the Accumulator")
    limits = {label: upper_limit(measured) for label, measured in errors.items()}
    if lost := [label for label, limit in limits.items() if len(errors[label]) > 1 and not math.isfinite(limit)]:
        warn_once(f"no run of {', '.join(lost)} counts as solved: the Accumulator's error is not finite")
    return {label: Threshold(limit, False, rows=rows[label]) for label, limit in limits.items()}


def upper_limit(errors: Sequence[float]) -> float:
    r"""Return the upper end of Student's one-sided 99 % confidence interval of the mean error.

    Fewer than two errors give NaN.

    .. math:: \bar e + t_{0.99, n - 1} \frac{s}{\sqrt n}

    References:
        Neural Arithmetic Units (Madsen & Johansen, ICLR 2020), https://arxiv.org/abs/2001.05016
    """
    from scipy.special import stdtrit

    count = len(errors)
    if count < 2:
        return math.nan
    quantile = float(stdtrit(count - 1, LEVEL))
    return float(np.mean(errors) + quantile * np.std(errors, ddof=1) / math.sqrt(count))
