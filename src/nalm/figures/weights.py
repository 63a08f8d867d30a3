"""Weights over iterations, and after training, beside gold weights."""

__all__ = ["weight_map", "weight_trajectories"]

from collections.abc import Sequence
from math import ceil
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from nalm.analysis.results import Results
from nalm.analysis.selection import labels, only
from nalm.analysis.weights import final_weights, weight_histories
from nalm.figures.style import COLOURS, LINES, colourbar, count, in_a_row, ordered, page, plotnine, theme

if TYPE_CHECKING:
    from plotnine import ggplot

MOST_PANELS = 12
IN_A_ROW = 4
REACH = 3.0
"""How far from 0 weights are shown, unless gold weights or the middle half of all values are farther."""
GAP = 0.5
"""Between seeds and gold values."""
NOTHING = 0.01
"""Up to which magnitude a negative weight needs no colours of its own."""
READABLE = 8
"""Columns up to which numbers fit into the cells of a map."""


def weight_trajectories(results: Results, variants: Sequence[str] = (), tasks: Sequence[str] = ()) -> "ggplot":
    """Draw the weights of one variant on one task over iterations, a line per seed, with gold values marked.

    Effective weights, and parameters on which they do not depend, such as gates; of a module that is not an arithmetic
    one, its parameters. A panel is one of them; where they are many, or each seed has its own operands, it is all those
    of one name and gold value. Weights that are far away are cut off.

    Arguments:
        results: of an experiment.
        variants: the label of one; needed if there are several.
        tasks: the label of one; needed if there are several.

    Raises:
        NalmError: there are several variants or tasks, or no such, their weights were not kept, or plotnine is not
            installed.
    """
    p9 = plotnine()
    of, on = labels(results, variants, tasks)
    variant, task = only("variant", of), only("task", on)
    table = _in_order(weight_histories(results, [variant], [task]))
    table, edges = _cut(ordered(table.assign(panel=_parts(table), line=_lines(table)), "panel"))
    outcome = table["solved"].map({True: "solved", False: "not solved"})
    seeds = table.assign(outcome=outcome).groupby("outcome")["seed"].nunique()
    names = {name: f"{name}: {seeds[name]} of {seeds.sum()} runs" for name in ("solved", "not solved") if name in seeds}
    looks = {"solved": (COLOURS[0], "solid"), "not solved": (COLOURS[1], LINES[1])}
    table["outcome"] = pd.Categorical(outcome.map(names), list(names.values()))
    gold = table[["panel", "gold"]].drop_duplicates().dropna()
    panels = table["panel"].nunique()
    columns = in_a_row(panels, IN_A_ROW)
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


def weight_map(results: Results, variants: Sequence[str] = (), tasks: Sequence[str] = ()) -> "ggplot":
    """Draw the weights of one variant after training, a row per seed and a panel per task, with gold values on top.

    The weights are those of ``weight_trajectories``. Where each seed has its own operands, the weights of the operands
    come first. Colours end at the range of gold values; runs that were not solved have a cross, and cells without a
    colour are NaN: their runs diverged.

    Arguments:
        results: of an experiment.
        variants: the label of one; needed if there are several.
        tasks: labels; by default all.

    Raises:
        NalmError: there are several variants, or no such, their weights were not kept, or plotnine is not installed.
    """
    p9 = plotnine()
    from mizani.bounds import squish  # it comes with plotnine

    of, _ = labels(results, variants, tasks)
    variant = only("variant", of)
    table = _in_order(final_weights(results, [variant], tasks))
    columns, breaks, names = _columns(table)
    seeds = sorted(table["seed"].unique(), reverse=True)
    cells = _cells(table, columns, seeds)
    least, most = _range(table)
    panels = table["task"].nunique()
    across = in_a_row(panels, 5 if len(columns) <= READABLE else 3)
    end, margin = len(columns) - 0.5, max(0.5, 0.03 * len(columns))
    numbered = cells if len(columns) <= READABLE and panels == 1 else cells.head(0)
    dark = numbered["value"] < least + 0.55 * (most - least)
    figure: ggplot = (
        p9.ggplot(cells, p9.aes("x", "y"))
        + p9.geom_tile(p9.aes(fill="value"))
        + p9.geom_text(p9.aes(label="text"), data=numbered[dark], size=6, colour="white")
        + p9.geom_text(p9.aes(label="text"), data=numbered[~dark], size=6, colour="black")
        + p9.geom_text(data=_unsolved(cells, end + margin), label="×", size=7, colour=COLOURS[1])
        + p9.facet_wrap("task", ncol=across)
        + p9.scale_fill_cmap("cividis", limits=(least, most), oob=squish, na_value="#FFFFFF")
        + p9.scale_x_continuous(
            breaks=breaks, labels=names, limits=(-0.6, len(columns) - 0.5 + 2 * margin), expand=(0, 0)
        )
        + p9.scale_y_continuous(
            breaks=[*range(len(seeds)), len(seeds) + GAP], labels=[*map(str, seeds), "gold"], expand=(0, 0.2)
        )
        + p9.labs(x="", y="Seed", title=f"{variant}: weights after training; × not solved")
        + theme(_map_size(len(columns), len(seeds), across, ceil(panels / across)))
        + colourbar()
        + p9.theme(
            panel_grid=p9.element_blank(),
            axis_title_x=p9.element_blank(),
            axis_text_x=p9.element_text(rotation=90, ha="center", va="top", size=7),
            axis_text_y=p9.element_text(size=5),
            axis_ticks_major_y=p9.element_blank(),
        )
    )
    return figure


# Both


def _in_order(table: pd.DataFrame) -> pd.DataFrame:
    """Rows by parameter, in the module's order, and place."""
    parameters = pd.Categorical(table["parameter"], list(table["parameter"].unique()))
    return table.assign(order=parameters.codes).sort_values(["order", "place"], kind="stable", ignore_index=True)


def _parts(table: pd.DataFrame) -> pd.Series:
    """What each weight is called: by its index, or, where they are many or change places, by its gold value."""
    single = table["parameter"] + "." + table["index"].astype(str)
    if single.nunique() <= MOST_PANELS and (table["place"] == table["index"]).all():
        return single
    gold = [f", gold {value:g}" for value in table["gold"]]
    return table["parameter"].where(table["gold"].isna(), table["parameter"] + gold)


# Trajectories


def _lines(table: pd.DataFrame) -> pd.Series:
    return table["seed"].astype(str) + " " + table["parameter"] + " " + table["index"].astype(str)


def _cut(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The table without what is too far away, and the edges of every panel, alike for all of a parameter."""
    limits: dict[str, tuple[float, float]] = {}
    for parameter, of in table.groupby("parameter", sort=False):
        values = of["value"][np.isfinite(of["value"])]
        known = pd.concat([of["gold"].dropna(), values.quantile([0.25, 0.75]), pd.Series([0.0])]).dropna()
        low, high = min(known.min(), -REACH), max(known.max(), REACH)
        limits[str(parameter)] = (max(low, values.min()), min(high, values.max())) if len(values) else (low, high)
    low, high = (table["parameter"].map({name: ends[side] for name, ends in limits.items()}) for side in (0, 1))
    panels = table[["panel", "parameter"]].drop_duplicates()
    edges = pd.concat([panels.assign(edge=panels["parameter"].map(limits).str[side]) for side in (0, 1)])
    return table.assign(value=table["value"].where(table["value"].between(low, high))), edges


# The map


def _columns(table: pd.DataFrame) -> tuple[dict[tuple[str, int], int], list[float], list[str]]:
    """Positions of the weights, and where which names stand below them."""
    weights = table.assign(part=_parts(table))[["parameter", "place", "part"]].drop_duplicates(["parameter", "place"])
    columns = {
        (name, place): x for x, (name, place) in enumerate(zip(weights["parameter"], weights["place"], strict=True))
    }
    middles = pd.Series(range(len(weights)), dtype=float).groupby(list(weights["part"]), sort=False).mean()
    return columns, list(middles), [str(name) for name in middles.index]


def _cells(table: pd.DataFrame, columns: dict[tuple[str, int], int], seeds: Sequence[int]) -> pd.DataFrame:
    """A cell for every weight of every run, and one for its gold value above them."""
    x = [columns[key] for key in zip(table["parameter"], table["place"], strict=True)]
    runs = table.assign(x=x, y=table["seed"].map({seed: y for y, seed in enumerate(seeds)}))
    gold = runs.drop_duplicates(["task", "x"]).assign(y=len(seeds) + GAP, solved=True)
    cells = pd.concat([runs, gold.assign(value=gold["gold"]).dropna(subset="gold")], ignore_index=True)
    return ordered(cells.assign(text=cells["value"].map("{:.2g}".format)), "task")


def _unsolved(cells: pd.DataFrame, x: float) -> pd.DataFrame:
    return cells[~cells["solved"]].drop_duplicates(["task", "seed"]).assign(x=x)


def _range(table: pd.DataFrame) -> tuple[float, float]:
    """Values at which colours begin and end: 0 or -1 to 1, or as far as gold values go."""
    values = table[["gold", "value"]].to_numpy(dtype=np.float64)
    reach = float(np.nanmax(np.abs(values[:, 0]), initial=1.0))
    return (-reach if np.nanmin(values, initial=0.0) < -NOTHING else 0.0), reach


def _map_size(columns: int, seeds: int, across: int, rows: int) -> tuple[float, float]:
    least, most = (1.3, 3.2) if across > 1 else (3.6, 7.0)
    return min(max(least, 0.32 * columns), most) * across + 1.2, (0.105 * seeds + 0.7) * rows + 1.0
