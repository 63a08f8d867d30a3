"""Two variants compared on the same seeds."""

__all__ = ["FIGURE", "paired_success"]

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from nalm.analysis.comparison import compare_variants
from nalm.analysis.results import Results
from nalm.analysis.selection import labels
from nalm.errors import NalmError
from nalm.figures.kind import FigureKind
from nalm.figures.style import ALL, COLOURS, plotnine, theme

if TYPE_CHECKING:
    from plotnine import ggplot

OUTCOMES = {"both": "#333333", "first_only": COLOURS[0], "second_only": COLOURS[4], "neither": "#EEEEEE"}
"""Colours from dark to light, so that they differ in greyscale too; grey where both variants agree."""

COUNTS, DIFFERENCE = (
    "Pairs of runs on the same seed, solved by",
    "Difference of success rates, first − second; McNemar's p",
)
"""Titles of the two panels."""

P_VALUES = 1.1
"""Position of the p-values on the axis of differences."""


def paired_counts(results: Results, variants: Sequence[str] = (), tasks: Sequence[str] = ()) -> pd.DataFrame:
    """Compare two variants on the same seeds, as :func:`nalm.compare_variants` does.

    Raises:
        NalmError: there are not two variants, a variant or task is unknown, or they share no task and seed.
    """
    first, second = _pair(results, variants, tasks)
    return compare_variants(results, first, second, tasks)


def _pair(results: Results, variants: Sequence[str], tasks: Sequence[str]) -> list[str]:
    known, _ = labels(results, variants, tasks)
    pair = list(variants) or known
    if len(pair) != 2:
        raise NalmError(
            f"a pair is two variants: found {len(pair)}, name two of: {', '.join(results.experiment.variants)}"
        )
    return pair


def paired_success(results: Results, variants: Sequence[str] = (), tasks: Sequence[str] = ()) -> "ggplot":
    """Draw two variants compared on the same seeds: a row per task.

    On the left, how many pairs of runs both variants solved, only one, or neither; on the right, the difference of the
    success rates (first − second) with Newcombe's paired 95 % interval and the p-value of McNemar's exact test (see
    :func:`nalm.compare_variants`).

    Arguments:
        results: the results of an experiment.
        variants: labels of two variants, the first one first; needed unless the experiment has exactly two.
        tasks: labels of tasks; by default all, and one more row for all of them together.

    Raises:
        NalmError: there are not two variants, a variant or task is unknown, they share no task and seed, or plotnine
            is not installed.
    """
    p9 = plotnine()
    first, second = _pair(results, variants, tasks)
    table = compare_variants(results, first, second, tasks)
    table = table.assign(task=table["task"].fillna(ALL), y=np.arange(len(table), 0, -1))
    names = {"both": "both", "first_only": f"{first} only", "second_only": f"{second} only", "neither": "neither"}
    bars, differences = _bars(table, names), table.assign(panel=DIFFERENCE)
    differences["text"] = differences["p_value"].map(lambda p: f"p = {p:.2g}" if p >= 1e-4 else "p < 0.0001")
    for frame in (bars, differences):
        frame["panel"] = pd.Categorical(frame["panel"], [COUNTS, DIFFERENCE])
    counted, dark = bars["count"] > 0, bars["outcome"].isin([names["both"], names["first_only"]])
    zero = differences.head(1)[["panel"]].assign(x=0.0, start=-1.0, end=P_VALUES + 0.65)
    figure: ggplot = (
        p9.ggplot(differences, p9.aes(y="y"))
        + p9.geom_rect(p9.aes(xmin="start", xmax="end", ymin="y - 0.4", ymax="y + 0.4", fill="outcome"), data=bars)
        + p9.geom_text(p9.aes("middle", label="count"), data=bars[counted & ~dark], size=7)
        + p9.geom_text(p9.aes("middle", label="count"), data=bars[counted & dark], size=7, colour="white")
        + p9.geom_blank(p9.aes("start"), data=zero, inherit_aes=False)
        + p9.geom_blank(p9.aes("end"), data=zero, inherit_aes=False)
        + p9.geom_vline(p9.aes(xintercept="x"), data=zero, colour="#999999", size=0.4)
        + p9.geom_segment(p9.aes(x="difference_low", xend="difference_high", yend="y"), size=0.6)
        + p9.geom_point(p9.aes(x="difference"), size=1.8)
        + p9.geom_text(p9.aes(x=P_VALUES, label="text"), size=7, ha="left")
        + p9.facet_wrap("panel", scales="free_x")
        + p9.scale_x_continuous(breaks=_breaks, labels=lambda ticks: [f"{tick:.0%}" for tick in ticks])
        + p9.scale_y_continuous(breaks=list(table["y"]), labels=list(table["task"]), expand=(0.02, 0.1))
        + p9.scale_fill_manual(values=list(OUTCOMES.values()))
        + p9.labs(x="", y="", title=f"{first} (first) and {second} (second)")
        + theme((8.0, 0.3 * len(table) + 1.6))
        + p9.theme(
            panel_grid_minor=p9.element_blank(),
            panel_grid_major_y=p9.element_blank(),
            axis_title=p9.element_blank(),
            axis_text_x=p9.element_text(rotation=0, ha="center"),
        )
    )
    return figure


def _bars(table: pd.DataFrame, names: dict[str, str]) -> pd.DataFrame:
    """Return a rectangle for each outcome of each task, in shares of its pairs, with the number of pairs."""
    ends = table[list(names)].cumsum(axis=1)
    parts = [
        pd.DataFrame(
            {
                "panel": COUNTS,
                "y": table["y"],
                "outcome": name,
                "count": table[column],
                "start": (ends[column] - table[column]) / table["pairs"],
                "middle": (ends[column] - table[column] / 2) / table["pairs"],
                "end": ends[column] / table["pairs"],
            }
        )
        for column, name in names.items()
    ]
    bars = pd.concat(parts, ignore_index=True)
    return bars.assign(outcome=pd.Categorical(bars["outcome"], list(names.values())))


def _breaks(limits: tuple[float, float]) -> list[float]:
    """Return the ticks of the axis of differences, or of the axis of shares, which begins at 0."""
    return [-1, -0.5, 0, 0.5, 1] if limits[0] < -0.5 else [0, 0.25, 0.5, 0.75, 1]


FIGURE = FigureKind(title="Two variants on the same seeds.", draw=paired_success, table=paired_counts)
