"""Weights of one variant on one task over iterations."""

__all__ = ["FIGURE", "weight_trajectories"]

from collections.abc import Sequence
from math import ceil
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from nalm.analysis.results import Results
from nalm.analysis.selection import labels, only
from nalm.figures.kind import FigureKind
from nalm.figures.style import COLOURS, LINES, columns_of_panels, count, ordered, page, plotnine, theme
from nalm.figures.weight_tables import in_module_order, panel_names, weight_histories

if TYPE_CHECKING:
    from plotnine import ggplot

MOST_COLUMNS = 4
REACH = 3.0
"""Weights up to this magnitude are shown; larger ones only within gold values or the middle half of all values."""


def weight_trajectories(results: Results, variants: Sequence[str] = (), tasks: Sequence[str] = ()) -> "ggplot":
    """Draw the weights of one variant on one task over iterations: a line per seed, with gold values marked.

    For an arithmetic module, these are its effective weights and the parameters that do not enter them, such as gates;
    for any other module, its parameters. Each has its own panel. Where they are many, or each seed has its own
    operands, a panel shows all weights with one name and gold value. Weights that are far away are cut off.

    Arguments:
        results: the results of an experiment.
        variants: label of one variant; needed if there are several.
        tasks: label of one task; needed if there are several.

    Raises:
        NalmError: there are several variants or tasks, one is unknown, their weights were not kept, or plotnine is not
            installed.
    """
    p9 = plotnine()
    known_variants, known_tasks = labels(results, variants, tasks)
    variant, task = only("variant", known_variants), only("task", known_tasks)
    table = in_module_order(weight_histories(results, [variant], [task]))
    table, edges = _cut_off(ordered(table.assign(panel=panel_names(table), line=_line_names(table)), "panel"))
    outcome = table["solved"].map({True: "solved", False: "not solved"})
    seeds = table.assign(outcome=outcome).groupby("outcome")["seed"].nunique()
    names = {name: f"{name}: {seeds[name]} of {seeds.sum()} runs" for name in ("solved", "not solved") if name in seeds}
    looks = {"solved": (COLOURS[0], "solid"), "not solved": (COLOURS[1], LINES[1])}
    table["outcome"] = pd.Categorical(outcome.map(names), list(names.values()))
    gold = table[["panel", "gold"]].drop_duplicates().dropna()
    panels = table["panel"].nunique()
    columns = columns_of_panels(panels, MOST_COLUMNS)
    several = table.groupby("panel", observed=True)["line"].nunique().max() > seeds.sum()
    alpha = 0.25 if several else 0.6
    lines = (p9.geom_line if table["iteration"].nunique() > 1 else p9.geom_point)(size=0.4, alpha=alpha, na_rm=True)
    figure: ggplot = (
        p9.ggplot(table, p9.aes("iteration", "value", group="line", colour="outcome", linetype="outcome"))
        + p9.geom_blank(p9.aes(y="edge"), data=edges, inherit_aes=False)
        + p9.geom_hline(p9.aes(yintercept="gold"), data=gold, colour="#000000", size=1.6, alpha=0.25)
        + lines
        + p9.facet_wrap("panel", ncol=columns, scales="free_y")
        + p9.scale_x_continuous(labels=count)
        + p9.scale_colour_manual(values=[looks[name][0] for name in names])
        + p9.scale_linetype_manual(values=[looks[name][1] for name in names])
        + p9.labs(x="Iteration", y="Weight", title=f"{variant} on {task}; gold values grey")
        + theme(page(ceil(panels / columns), columns))
        + p9.theme(panel_grid_minor=p9.element_blank())
    )
    return figure


def _line_names(table: pd.DataFrame) -> pd.Series:
    """Name the line that each row belongs to: one per seed and weight."""
    return table["seed"].astype(str) + " " + table["parameter"] + " " + table["index"].astype(str)


def _cut_off(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Remove values that are too far away; also return the edges of every panel, the same for all of a parameter."""
    limits: dict[str, tuple[float, float]] = {}
    for parameter, rows in table.groupby("parameter", sort=False):
        values = rows["value"][np.isfinite(rows["value"])]
        known = pd.concat([rows["gold"].dropna(), values.quantile([0.25, 0.75]), pd.Series([0.0])]).dropna()
        low, high = min(known.min(), -REACH), max(known.max(), REACH)
        limits[str(parameter)] = (max(low, values.min()), min(high, values.max())) if len(values) else (low, high)
    low, high = (table["parameter"].map({name: ends[side] for name, ends in limits.items()}) for side in (0, 1))
    panels = table[["panel", "parameter"]].drop_duplicates()
    edges = pd.concat([panels.assign(edge=panels["parameter"].map(limits).str[side]) for side in (0, 1)])
    return table.assign(value=table["value"].where(table["value"].between(low, high))), edges


FIGURE = FigureKind(
    title="Weights of one variant on one task over iterations, with gold values.",
    draw=weight_trajectories,
    table=weight_histories,
)
