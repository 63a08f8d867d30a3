"""The papers' three panels: success rate, iteration solved and sparsity error by task."""

__all__ = ["three_panels"]

from typing import TYPE_CHECKING

import pandas as pd

from nalm.errors import NalmError
from nalm.figures.style import COLOURS, SHAPES, SIZE_INCHES, distinct, plotnine, task_axis, theme

if TYPE_CHECKING:
    from plotnine import ggplot

# Panel title to the columns of its point and interval.
PANELS = {
    "Success rate": ("success_rate", "success_low", "success_high"),
    "Solved at iteration step": ("iterations_mean", "iterations_low", "iterations_high"),
    "Sparsity error": ("sparsity_error", "sparsity_low", "sparsity_high"),
}
UPRIGHT = 12
"""With more tasks than that, their labels would cover one another aslant."""
COLUMNS = ["variant", "task", *(column for columns in PANELS.values() for column in columns)]


def three_panels(table: pd.DataFrame, title: str | None = None) -> "ggplot":
    """Draw one point with its interval per variant and task in each of three panels.

    Arguments:
        table: a row per variant and task, in the order in which they shall appear: ``variant``, ``task`` and, for each
            of ``success``, ``iterations`` and ``sparsity``, the value and its ``_low`` and ``_high`` end (see
            ``PANELS``). What is NaN is not drawn.
        title: above the panels, if any.
    """
    p9 = plotnine()
    points = _long(table)
    variants = len(points["variant"].cat.categories)
    tasks = list(points["task"].cat.categories)
    crowded = variants > len(COLOURS)
    # The paper's 0.3 lets the points of four variants hide each other.
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
    if len(tasks) > UPRIGHT:
        figure += p9.theme(axis_text_x=p9.element_text(rotation=90, ha="center", va="top", size=6))
    return figure


def _long(table: pd.DataFrame) -> pd.DataFrame:
    """One row per variant, task and panel: ``value``, ``low``, ``high``; categories in order of first appearance."""
    missing = [column for column in COLUMNS if column not in table]
    if missing:
        raise NalmError(f"the table of a figure lacks {', '.join(missing)}: found {', '.join(map(str, table.columns))}")
    if table.empty:
        raise NalmError("the table of a figure has no rows: found none, expected one per variant and task")
    panels = [
        table[["variant", "task", *columns]]
        .set_axis(["variant", "task", "value", "low", "high"], axis=1)
        .assign(panel=p)
        for p, columns in PANELS.items()
    ]
    points = pd.concat(panels, ignore_index=True)
    for column in ("variant", "task", "panel"):
        points[column] = pd.Categorical(points[column], categories=list(points[column].unique()))
    return points


def _edges(points: pd.DataFrame) -> pd.DataFrame:
    """What every panel must show: 0, and 1 for rates and where nothing is above 0."""
    greatest = points[["value", "high"]].max(axis=1).groupby(points["panel"], observed=True).max()
    full = [panel for panel in PANELS if panel == "Success rate" or not greatest[panel] > 0]
    panel = pd.Categorical([*PANELS, *full], categories=list(PANELS))
    return pd.DataFrame({"panel": panel, "edge": [0.0] * len(PANELS) + [1.0] * len(full)})
