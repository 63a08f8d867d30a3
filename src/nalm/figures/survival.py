"""Survival curves: the share of runs that are not yet solved."""

__all__ = ["survival_curves"]

from collections.abc import Sequence
from math import ceil
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from nalm.analysis.results import Results
from nalm.analysis.survival import survival_medians, survival_steps
from nalm.figures.style import ALL, COLOURS, LINES, SHAPES, count, distinct, in_a_row, ordered, page, plotnine, theme

if TYPE_CHECKING:
    from plotnine import ggplot

IN_A_ROW, CROWDED_IN_A_ROW = 5, 3
APART = 0.05
"""Between the intervals of medians, which all belong to the height of one half."""


def survival_curves(results: Results, variants: Sequence[str] = (), tasks: Sequence[str] = ()) -> "ggplot":
    """Draw the share of runs that are not yet solved, a panel per task and a step function per variant.

    Kaplan and Meier's estimate with its 95 % interval as a band (see ``survival_steps``). At the height of one half, a
    point is the median iteration at which runs are solved, and a line its interval, beside each other for the variants;
    an interval without end goes to the edge, and without a point most runs were not solved. The axis of iterations is
    logarithmic; what was solved before the first update is drawn at its left end.

    Arguments:
        results: of an experiment.
        variants: labels; by default all.
        tasks: labels; by default all, and one panel more for all together.

    Raises:
        NalmError: there is no such variant or task, no runs, or plotnine is not installed.
    """
    p9 = plotnine()
    steps, medians = (of(results, variants, tasks).fillna({"task": ALL}) for of in (survival_steps, survival_medians))
    end = max(float(steps["iteration"].max()), 1.0)
    start = float(steps["iteration"].where(steps["iteration"] > 0, end).min()) / 2
    areas = ordered(_areas(steps, start, end), "variant", "task")
    labels = list(areas["variant"].cat.categories)
    marks = ordered(_marks(medians, labels, start, end), "variant", "task")
    panels = areas["task"].nunique()
    columns = in_a_row(panels, IN_A_ROW if len(labels) <= len(COLOURS) else CROWDED_IN_A_ROW)
    figure: ggplot = (
        p9.ggplot(areas, p9.aes("iteration", colour="variant", fill="variant", linetype="variant"))
        + p9.geom_hline(yintercept=0.5, colour="#999999", size=0.3)
        + p9.geom_ribbon(p9.aes(ymin="low", ymax="high"), alpha=0.13, size=0, colour="none")
        + p9.geom_line(p9.aes(y="share"), size=0.7)
        + p9.geom_segment(
            p9.aes(x="low", xend="high", y="height", yend="height"), data=marks, size=0.5, linetype="solid", na_rm=True
        )
        + p9.geom_point(p9.aes("median", "height", shape="variant"), data=marks, size=1.7, na_rm=True)
        + p9.facet_wrap("task", ncol=columns)
        + p9.scale_x_log10(limits=(start, end), labels=count, expand=(0.02, 0))
        + p9.scale_y_continuous(limits=(0, 1), expand=(0.02, 0), breaks=[0, 0.25, 0.5, 0.75, 1])
        + p9.scale_colour_manual(values=distinct(COLOURS, len(labels)))
        + p9.scale_fill_manual(values=distinct(COLOURS, len(labels)))
        + p9.scale_shape_manual(values=distinct(SHAPES, len(labels)))
        + p9.scale_linetype_manual(values=distinct(LINES, len(labels)))
        + p9.labs(x="Iteration (log scale)", y="Share of runs not yet solved", title=results.experiment.title)
        + theme(page(ceil(panels / columns), columns))
        + p9.theme(panel_grid_minor=p9.element_blank())
    )
    return figure


def _areas(steps: pd.DataFrame, start: float, end: float) -> pd.DataFrame:
    """The corners of the step functions, from the left end of the axis on."""
    parts = []
    for (variant, task), of in steps.groupby(["variant", "task"], sort=False):
        if len(of) == 1:  # all solved before the first update, or looked at only then
            of = pd.concat([of, of.assign(iteration=end)])
        turns = np.repeat(np.maximum(of["iteration"].to_numpy(dtype=np.float64), start), 2)[1:]
        levels = {name: np.repeat(of[name].to_numpy(), 2)[:-1] for name in ("share", "low", "high")}
        parts.append(pd.DataFrame({"variant": variant, "task": task, "iteration": turns, **levels}))
    return pd.concat(parts, ignore_index=True)


def _marks(medians: pd.DataFrame, labels: Sequence[str], start: float, end: float) -> pd.DataFrame:
    """Medians and the ends of their intervals where they can be drawn, each variant at its own height."""
    beside = medians["variant"].map(labels.index) - (len(labels) - 1) / 2
    drawn = {
        "median": medians["median"].where(np.isfinite(medians["median"])).clip(lower=start),
        "low": medians["low"].where(np.isfinite(medians["low"])).clip(lower=start),
        "high": medians["high"].where(np.isfinite(medians["low"])).clip(start, end),
    }
    return medians.assign(height=0.5 - beside * min(APART, 0.4 / len(labels)), **drawn)
