"""Weights of one variant after training, as colours."""

__all__ = ["FIGURE", "weight_map"]

from collections.abc import Sequence
from math import ceil
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from nalm.analysis.results import Results
from nalm.analysis.selection import labels, only
from nalm.figures.kind import FigureKind
from nalm.figures.style import COLOURS, colourbar, columns_of_panels, ordered, plotnine, theme
from nalm.figures.weight_tables import final_weights, in_module_order, panel_names

if TYPE_CHECKING:
    from plotnine import ggplot

GOLD_GAP = 0.5
"""Distance between the rows of seeds and the row of gold values."""

NEGLIGIBLE = 0.01
"""Magnitude up to which negative weights do not extend the colours below 0."""

MOST_NUMBERED = 8
"""Greatest number of columns with numbers in the cells."""


def weight_map(results: Results, variants: Sequence[str] = (), tasks: Sequence[str] = ()) -> "ggplot":
    """Draw the weights of one variant after training: a row per seed, a panel per task, with gold values on top.

    The weights are those of :func:`weight_trajectories`. Where each seed has its own operands, the operands' weights
    come first. Colours end at the range of gold values. Runs that were not solved have a cross; cells without a colour
    are NaN, from diverged runs.

    Arguments:
        results: the results of an experiment.
        variants: label of one variant; needed if there are several.
        tasks: labels of tasks; by default all.

    Raises:
        NalmError: there are several variants, a variant or task is unknown, their weights were not kept, or plotnine
            is not installed.
    """
    p9 = plotnine()
    from mizani.bounds import squish  # plotnine depends on mizani

    known_variants, _ = labels(results, variants, tasks)
    variant = only("variant", known_variants)
    table = in_module_order(final_weights(results, [variant], tasks))
    columns, breaks, names = _columns(table)
    seeds = sorted(table["seed"].unique(), reverse=True)
    cells = _cells(table, columns, seeds)
    least, most = _colour_range(table)
    panels = table["task"].nunique()
    across = columns_of_panels(panels, 5 if len(columns) <= MOST_NUMBERED else 3)
    end, margin = len(columns) - 0.5, max(0.5, 0.03 * len(columns))
    numbered = cells if len(columns) <= MOST_NUMBERED and panels == 1 else cells.head(0)
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
            breaks=[*range(len(seeds)), len(seeds) + GOLD_GAP], labels=[*map(str, seeds), "gold"], expand=(0, 0.2)
        )
        + p9.labs(x="", y="Seed", title=f"{variant}: weights after training; × not solved")
        + theme(_size(len(columns), len(seeds), across, ceil(panels / across)))
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


def _columns(table: pd.DataFrame) -> tuple[dict[tuple[str, int], int], list[float], list[str]]:
    """Return the position of every weight, and the positions and texts of the names below them."""
    named = table.assign(name=panel_names(table))[["parameter", "place", "name"]]
    weights = named.drop_duplicates(["parameter", "place"])
    columns = {key: x for x, key in enumerate(zip(weights["parameter"], weights["place"], strict=True))}
    middles = pd.Series(range(len(weights)), dtype=float).groupby(list(weights["name"]), sort=False).mean()
    return columns, list(middles), [str(name) for name in middles.index]


def _cells(table: pd.DataFrame, columns: dict[tuple[str, int], int], seeds: Sequence[int]) -> pd.DataFrame:
    """Return a cell for every weight of every run, and one above them for its gold value."""
    x = [columns[key] for key in zip(table["parameter"], table["place"], strict=True)]
    runs = table.assign(x=x, y=table["seed"].map({seed: y for y, seed in enumerate(seeds)}))
    gold = runs.drop_duplicates(["task", "x"]).assign(y=len(seeds) + GOLD_GAP, solved=True)
    cells = pd.concat([runs, gold.assign(value=gold["gold"]).dropna(subset="gold")], ignore_index=True)
    return ordered(cells.assign(text=cells["value"].map("{:.2g}".format)), "task")


def _unsolved(cells: pd.DataFrame, x: float) -> pd.DataFrame:
    """Return a cell at a position for every run that was not solved."""
    return cells[~cells["solved"]].drop_duplicates(["task", "seed"]).assign(x=x)


def _colour_range(table: pd.DataFrame) -> tuple[float, float]:
    """Return the values at which colours begin and end: from 0 or -1 to 1, or farther if gold values are."""
    values = table[["gold", "value"]].to_numpy(dtype=np.float64)
    reach = float(np.nanmax(np.abs(values[:, 0]), initial=1.0))
    return (-reach if np.nanmin(values, initial=0.0) < -NEGLIGIBLE else 0.0), reach


def _size(columns: int, seeds: int, across: int, rows: int) -> tuple[float, float]:
    """Return the width and height of the page in inches."""
    least, most = (1.3, 3.2) if across > 1 else (3.6, 7.0)
    return min(max(least, 0.32 * columns), most) * across + 1.2, (0.105 * seeds + 0.7) * rows + 1.0


FIGURE = FigureKind(
    title="Weights of one variant after training, with gold values.",
    draw=weight_map,
    table=final_weights,
)
