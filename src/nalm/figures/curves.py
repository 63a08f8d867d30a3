"""Training curves: errors of many runs over their iterations."""

__all__ = ["training_curves"]

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from nalm.analysis.curves import QUANTILES, error_quantiles
from nalm.analysis.results import Results
from nalm.figures.style import COLOURS, count, ordered, page, plotnine, theme, wrapped

if TYPE_CHECKING:
    from plotnine import ggplot

LEAST, MOST = 1e-18, 1e12
"""Errors beyond are drawn at the edge; 0 and infinite ones are among them."""
ERRORS = {"validation": "validation error (training range)", "test": "test error (extrapolation)"}


def training_curves(results: Results, variants: Sequence[str] = (), tasks: Sequence[str] = ()) -> "ggplot":
    """Draw both errors over iterations, a panel per variant and task: medians over seeds, and bands about them.

    The bands go from the 10 % to the 90 % and from the 25 % to the 75 % quantile (see ``error_quantiles``), and a
    dotted line is the threshold that test errors must reach. Errors that are not finite, as of runs that diverged, are
    drawn at the upper edge, those that are 0 at the lower.

    Arguments:
        results: of an experiment.
        variants: labels; by default all.
        tasks: labels; by default all.

    Raises:
        NalmError: there is no such variant or task, no runs, or plotnine is not installed.
    """
    p9 = plotnine()
    table = error_quantiles(results, variants, tasks)
    thresholds = _thresholds(results, table)
    low, high = _limits(np.append(table[list(QUANTILES)].to_numpy(), thresholds["threshold"]))
    table[list(QUANTILES)] = table[list(QUANTILES)].clip(low, high)
    table["error"] = pd.Categorical(table["error"].map(ERRORS), list(ERRORS.values()))
    at = p9.aes(y="median", linetype="error")
    medians = p9.geom_line(at, size=0.7) if table["iteration"].nunique() > 1 else p9.geom_point(at, size=1.6)
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
    """Powers of ten around what is positive and finite."""
    inside = values[(values > 0) & np.isfinite(values)]
    if not inside.size:
        return 1e-1, 1e1
    low, high = np.clip([inside.min(), inside.max()], LEAST, MOST)
    return 10.0 ** np.floor(np.log10(low)), 10.0 ** (np.floor(np.log10(high)) + 1)


def _thresholds(results: Results, table: pd.DataFrame) -> pd.DataFrame:
    places = table[["variant", "task"]].drop_duplicates()
    known = {(run.variant, run.task): run.threshold.value for run in results.trained}
    return places.assign(threshold=[known[place] for place in places.itertuples(index=False, name=None)])
