"""Errors of many runs over their iterations."""

__all__ = ["QUANTILES", "error_quantiles"]

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from nalm.analysis.results import Results, TrainedRun
from nalm.analysis.selection import selected

QUANTILES = {"low": 0.1, "lower": 0.25, "median": 0.5, "upper": 0.75, "high": 0.9}
ERRORS = {"validation": "validation_errors", "test": "test_errors"}


def error_quantiles(results: Results, variants: Sequence[str] = (), tasks: Sequence[str] = ()) -> pd.DataFrame:
    """Quantiles over seeds of both errors at every evaluation.

    Each is the error of a run, the first of which enough others are not above it: nothing is interpolated, so that some
    errors may be infinite. Errors that are no numbers count as infinite, and so do those of a run after it diverged.

    Arguments:
        results: of an experiment.
        variants: labels; by default all.
        tasks: labels; by default all.

    Returns:
        A row per ``variant``, ``task``, ``error`` (``validation``, ``test``) and ``iteration``, with the number of
        ``runs`` and the quantiles ``low`` (10 %), ``lower`` (25 %), ``median``, ``upper`` (75 %) and ``high`` (90 %).

    Raises:
        NalmError: there is no such variant or task, or no runs.
    """
    groups: dict[tuple[str, str], list[TrainedRun]] = {}
    for run in selected(results, variants, tasks):
        groups.setdefault((run.variant, run.task), []).append(run)
    tables = [
        _quantiles(runs, field).assign(variant=variant, task=task, error=error)
        for (variant, task), runs in groups.items()
        for error, field in ERRORS.items()
    ]
    return pd.concat(tables, ignore_index=True)[["variant", "task", "error", "iteration", "runs", *QUANTILES]]


def _quantiles(runs: Sequence[TrainedRun], field: str) -> pd.DataFrame:
    iterations = sorted({iteration for run in runs for iteration in _looked_at(run)})
    table = np.full((len(runs), len(iterations)), np.nan)
    for values, run in zip(table, runs, strict=True):
        errors = getattr(run, field)
        values[np.searchsorted(iterations, run.iterations)] = np.where(np.isnan(errors), np.inf, errors)
        if run.diverged_at is not None:
            values[np.asarray(iterations) >= run.diverged_at] = np.inf
    there = [column[~np.isnan(column)] for column in table.T]
    rows = [np.quantile(column, list(QUANTILES.values()), method="inverted_cdf") for column in there]
    columns = {"iteration": iterations, "runs": [len(column) for column in there]}
    return pd.DataFrame(columns).join(pd.DataFrame(rows, columns=list(QUANTILES)))


def _looked_at(run: TrainedRun) -> Iterable[int]:
    """Iterations of its evaluations; of a run that diverged, also those that there would have been."""
    if run.diverged_at is None:
        return list(map(int, run.iterations))
    return range(0, run.run.recipe.iterations + 1, run.run.recipe.evaluate_every)
