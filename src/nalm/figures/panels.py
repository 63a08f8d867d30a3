"""The papers' three panels: success rate, iteration solved and sparsity error by task."""

__all__ = ["FIGURE", "summary_panels", "three_panels"]

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from nalm.analysis.results import Results
from nalm.analysis.selection import labels
from nalm.errors import NalmError
from nalm.figures.kind import FigureKind
from nalm.figures.style import (
    COLOURS,
    SHAPES,
    SIZE_INCHES,
    check_figures,
    distinct,
    ordered,
    plotnine,
    task_axis,
    theme,
)
from nalm.spec.task import Task

if TYPE_CHECKING:
    from plotnine import ggplot

PANELS = {
    "Success rate": ("success_rate", "success_low", "success_high"),
    "Solved at iteration step": ("iterations_mean", "iterations_low", "iterations_high"),
    "Sparsity error": ("sparsity_error", "sparsity_low", "sparsity_high"),
}
"""Title of each panel, and the columns of its point and interval."""

COLUMNS = ["variant", "task", *(column for columns in PANELS.values() for column in columns)]
MOST_SLANTED = 12
"""Greatest number of tasks with slanted labels: with more, slanted labels overlap and are turned upright."""


def summary_table(results: Results, variants: Sequence[str] = (), tasks: Sequence[str] = ()) -> pd.DataFrame:
    """Return the rows of ``results.summary()`` that belong to one task, for some variants and tasks.

    Raises:
        NalmError: a variant or task is unknown, or there are no runs.
    """
    known_variants, known_tasks = labels(results, variants, tasks)
    table = results.task_summary()
    return table[table["variant"].isin(known_variants) & table["task"].isin(known_tasks)]


def summary_panels(results: Results, variants: Sequence[str] = (), tasks: Sequence[str] = ()) -> "ggplot":
    """Draw the papers' three panels: success rate, iteration solved and sparsity error by task.

    Arguments:
        results: the results of an experiment.
        variants: labels of variants; by default all.
        tasks: labels of tasks; by default all, in the order of the experiment.

    Raises:
        NalmError: a variant or task is unknown, there are no runs, or plotnine is not installed.
    """
    check_figures()
    figure = three_panels(summary_table(results, variants, tasks))
    axes = [task.axis for task in results.experiment.tasks.values() if task.axis != Task.axis]
    return figure + plotnine().labs(x=axes[0], y="") if axes else figure


def three_panels(table: pd.DataFrame, title: str | None = None) -> "ggplot":
    """Draw a point with its interval per variant and task, in each of three panels.

    Arguments:
        table: a row per variant and task, in the order in which to draw them: ``variant``, ``task`` and the columns of
            ``PANELS``. NaN is not drawn.
        title: shown above the panels.

    Raises:
        NalmError: a column is missing, the table has no rows, or plotnine is not installed.
    """
    p9 = plotnine()
    points = _points(table)
    variants = len(points["variant"].cat.categories)
    tasks = list(points["task"].cat.categories)
    crowded = variants > len(COLOURS)
    # With the paper's 0.3, points of four variants overlap.
    dodge = p9.position_dodge(width=0.85 if crowded else 0.6)
    figure: ggplot = (
        p9.ggplot(points, p9.aes("task", "value", ymin="low", ymax="high", colour="variant", shape="variant"))
        + p9.geom_blank(p9.aes(y="edge"), data=_edges(points), inherit_aes=False)
        + p9.geom_errorbar(position=dodge, alpha=0.5, width=0.3, na_rm=True)
        + p9.geom_point(position=dodge, size=1.6, na_rm=True)
        + p9.facet_wrap("panel", ncol=1 if crowded else 3, scales="free_y")
        + p9.scale_y_continuous(labels=lambda ticks: [f"{tick:,g}" for tick in ticks])
        + p9.scale_colour_manual(values=distinct(COLOURS, variants))
        + p9.scale_shape_manual(values=distinct(SHAPES, variants))
        + p9.labs(x=task_axis(tasks), y="", title=title)
        + theme((SIZE_INCHES[0], 2.4 * SIZE_INCHES[1]) if crowded else SIZE_INCHES)
        + p9.theme(axis_title_y=p9.element_blank())
    )
    if len(tasks) > MOST_SLANTED:
        figure += p9.theme(axis_text_x=p9.element_text(rotation=90, ha="center", va="top", size=6))
    return figure


def _points(table: pd.DataFrame) -> pd.DataFrame:
    """Return a row per variant, task and panel: ``value``, ``low``, ``high``; categories in order of appearance."""
    missing = [column for column in COLUMNS if column not in table]
    if missing:
        raise NalmError(f"the table of a figure lacks {', '.join(missing)}: found {', '.join(map(str, table.columns))}")
    if table.empty:
        raise NalmError("the table of a figure has no rows: found none, expected one per variant and task")
    panels = [
        table[["variant", "task", *columns]]
        .set_axis(["variant", "task", "value", "low", "high"], axis=1)
        .assign(panel=panel)
        for panel, columns in PANELS.items()
    ]
    return ordered(pd.concat(panels, ignore_index=True), "variant", "task", "panel")


def _edges(points: pd.DataFrame) -> pd.DataFrame:
    """Return the values that every panel's axis must include: 0, and 1 for rates and where nothing is above 0."""
    greatest = points[["value", "high"]].max(axis=1).groupby(points["panel"], observed=True).max()
    full = [panel for panel in PANELS if panel == "Success rate" or not greatest[panel] > 0]
    panel = pd.Categorical([*PANELS, *full], categories=list(PANELS))
    return pd.DataFrame({"panel": panel, "edge": [0.0] * len(PANELS) + [1.0] * len(full)})


FIGURE = FigureKind(
    title="Success rate, iteration solved and sparsity error by task, as in the papers.",
    draw=summary_panels,
    table=summary_table,
)
