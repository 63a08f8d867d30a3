"""Training curves: errors of many runs over their iterations."""

__all__ = ["FIGURE", "QUANTILES", "error_quantiles", "training_curves"]

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from nalm.analysis.results import Results, TrainedRun
from nalm.analysis.selection import selected
from nalm.figures.kind import FigureKind
from nalm.figures.style import COLOURS, count, ordered, page, plotnine, theme, wrapped

if TYPE_CHECKING:
    from plotnine import ggplot

QUANTILES = {"low": 0.1, "lower": 0.25, "median": 0.5, "upper": 0.75, "high": 0.9}
FIELDS = {"validation": "validation_errors", "test": "test_errors"}
"""Fields of a run, by the name of the error."""

LEGEND = {"validation": "validation error (training range)", "test": "test error (extrapolation)"}
SMALLEST, LARGEST = 1e-18, 1e12
"""Errors outside this range, such as 0 and infinity, are drawn at the edge."""


def error_quantiles(results: Results, variants: Sequence[str] = (), tasks: Sequence[str] = ()) -> pd.DataFrame:
    """Compute quantiles over seeds of the validation and test errors at every evaluation.

    A quantile is always the error of one run, without interpolation, so it can be infinite. NaN errors count as
    infinite, and so do all errors of a run after it diverged.

    Arguments:
        results: the results of an experiment.
        variants: labels of variants; by default all.
        tasks: labels of tasks; by default all.

    Returns:
        A row per ``variant``, ``task``, ``error`` (``validation``, ``test``) and ``iteration``, with the number of
        ``runs`` and the quantiles ``low`` (10 %), ``lower`` (25 %), ``median``, ``upper`` (75 %) and ``high`` (90 %).

    Raises:
        NalmError: a variant or task is unknown, or there are no runs.
    """
    groups: dict[tuple[str, str], list[TrainedRun]] = {}
    for run in selected(results, variants, tasks):
        groups.setdefault((run.variant, run.task), []).append(run)
    tables = [
        _quantiles(runs, field).assign(variant=variant, task=task, error=error)
        for (variant, task), runs in groups.items()
        for error, field in FIELDS.items()
    ]
    return pd.concat(tables, ignore_index=True)[["variant", "task", "error", "iteration", "runs", *QUANTILES]]


def _quantiles(runs: Sequence[TrainedRun], field: str) -> pd.DataFrame:
    iterations = sorted({iteration for run in runs for iteration in _iterations(run)})
    table = np.full((len(runs), len(iterations)), np.nan)
    for values, run in zip(table, runs, strict=True):
        errors = getattr(run, field)
        values[np.searchsorted(iterations, run.iterations)] = np.where(np.isnan(errors), np.inf, errors)
        if run.diverged_at is not None:
            values[np.asarray(iterations) >= run.diverged_at] = np.inf
    known = [column[~np.isnan(column)] for column in table.T]
    rows = [np.quantile(column, list(QUANTILES.values()), method="inverted_cdf") for column in known]
    columns = {"iteration": iterations, "runs": [len(column) for column in known]}
    return pd.DataFrame(columns).join(pd.DataFrame(rows, columns=list(QUANTILES)))


def _iterations(run: TrainedRun) -> Iterable[int]:
    """Return the iterations of a run's evaluations; for a diverged run, of all evaluations that were planned."""
    if run.diverged_at is None:
        return list(map(int, run.iterations))
    return range(0, run.run.recipe.iterations + 1, run.run.recipe.evaluate_every)


def training_curves(results: Results, variants: Sequence[str] = (), tasks: Sequence[str] = ()) -> "ggplot":
    """Draw validation and test errors over iterations: medians over seeds with bands, a panel per variant and task.

    The bands go from the 10 % to the 90 % and from the 25 % to the 75 % quantile (see :func:`error_quantiles`). A
    dotted line is the threshold that test errors must reach. Infinite errors, such as those of diverged runs, are drawn
    at the upper edge, and errors of 0 at the lower edge.

    Arguments:
        results: the results of an experiment.
        variants: labels of variants; by default all.
        tasks: labels of tasks; by default all.

    Raises:
        NalmError: a variant or task is unknown, there are no runs, or plotnine is not installed.
    """
    p9 = plotnine()
    table = error_quantiles(results, variants, tasks)
    thresholds = _thresholds(results, table)
    low, high = _limits(np.append(table[list(QUANTILES)].to_numpy(), thresholds["threshold"]))
    table[list(QUANTILES)] = table[list(QUANTILES)].clip(low, high)
    table["error"] = pd.Categorical(table["error"].map(LEGEND), list(LEGEND.values()))
    median = p9.aes(y="median", linetype="error")
    medians = p9.geom_line(median, size=0.7) if table["iteration"].nunique() > 1 else p9.geom_point(median, size=1.6)
    rows, columns = (table[column].nunique() for column in ("variant", "task"))
    figure: ggplot = (
        p9.ggplot(ordered(table, "variant", "task"), p9.aes("iteration", colour="error", fill="error"))
        + p9.geom_ribbon(p9.aes(ymin="low", ymax="high"), alpha=0.16, size=0, colour="none")
        + p9.geom_ribbon(p9.aes(ymin="lower", ymax="upper"), alpha=0.3, size=0, colour="none")
        + p9.geom_hline(p9.aes(yintercept="threshold"), data=ordered(thresholds, "variant", "task"), linetype="dotted")
        + medians
        + p9.facet_grid("variant", "task", labeller=wrapped(columns))
        + p9.scale_y_log10(limits=(low / 2, high * 2), expand=(0, 0))
        + p9.scale_x_continuous(labels=count)
        + p9.scale_colour_manual(values=list(COLOURS[:2]))
        + p9.scale_fill_manual(values=list(COLOURS[:2]))
        + p9.scale_linetype_manual(values=["solid", "dashed"])
        + p9.labs(x="Iteration", y="Error (log scale)", title=results.experiment.title)
        + theme(page(rows, columns))
        + p9.theme(panel_grid_minor=p9.element_blank())
    )
    return figure


def _limits(values: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Return the powers of ten that enclose the positive finite values."""
    inside = values[(values > 0) & np.isfinite(values)]
    if not inside.size:
        return 1e-1, 1e1
    low, high = np.clip([inside.min(), inside.max()], SMALLEST, LARGEST)
    return 10.0 ** np.floor(np.log10(low)), 10.0 ** (np.floor(np.log10(high)) + 1)


def _thresholds(results: Results, table: pd.DataFrame) -> pd.DataFrame:
    pairs = table[["variant", "task"]].drop_duplicates()
    known = results.thresholds()
    return pairs.assign(threshold=[known[pair].value for pair in pairs.itertuples(index=False, name=None)])


FIGURE = FigureKind(
    title="Validation and test errors over iterations, with quantiles over seeds.",
    draw=training_curves,
    table=error_quantiles,
)
