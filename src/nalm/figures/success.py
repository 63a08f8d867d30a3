"""Success by variant and task, and of two variants beside each other."""

__all__ = ["paired_success", "success_map"]

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from nalm.analysis.comparison import compare_variants
from nalm.analysis.results import Results
from nalm.analysis.selection import labels
from nalm.errors import NalmError
from nalm.figures.style import ALL, COLOURS, colourbar, plotnine, task_axis, theme

if TYPE_CHECKING:
    from plotnine import ggplot

DARK = 0.55
"""Success rate below which the colours of a map are too dark for black numbers."""
OUTCOMES = {"both": "#333333", "first_only": COLOURS[0], "second_only": COLOURS[4], "neither": "#EEEEEE"}
"""Grey where a pair agrees; from dark to light, so that they differ in print, too."""
COUNTS, DIFFERENCE = (
    "Pairs of runs on the same seed, solved by",
    "Difference of success rates, first − second; McNemar's p",
)
P_VALUES = 1.1
"""Where they begin, on the axis of differences."""


def success_map(results: Results, variants: Sequence[str] = (), tasks: Sequence[str] = ()) -> "ggplot":
    """Draw how many runs were solved, a row per variant and a column per task, with the numbers in the cells.

    Arguments:
        results: of an experiment.
        variants: labels; by default all.
        tasks: labels; by default all, and one column more for all together.

    Raises:
        NalmError: there is no such variant or task, no runs, or plotnine is not installed.
    """
    p9 = plotnine()
    of, on = labels(results, variants, tasks)
    runs = results.runs()
    runs = runs[runs["variant"].isin(of) & runs["task"].isin(on)]
    both = pd.concat([runs, runs.assign(task=ALL)]) if len(on) > 1 else runs
    cells = both.groupby(["variant", "task"])["solved"].agg(solved="sum", runs="count").reset_index()
    cells["rate"] = cells["solved"] / cells["runs"]
    cells["text"] = cells["solved"].astype(str) + "/" + cells["runs"].astype(str)
    columns = [*on, *([ALL] if len(on) > 1 else [])]
    cells["variant"], cells["task"] = pd.Categorical(cells["variant"], of[::-1]), pd.Categorical(cells["task"], columns)
    dark = cells["rate"] < DARK
    figure: ggplot = (
        p9.ggplot(cells, p9.aes("task", "variant"))
        + p9.geom_tile(p9.aes(fill="rate"), colour="white", size=0.8)
        + p9.geom_text(p9.aes(label="text"), data=cells[dark], colour="white", size=7)
        + p9.geom_text(p9.aes(label="text"), data=cells[~dark], colour="black", size=7)
        + p9.scale_fill_cmap("cividis", limits=(0, 1), labels=lambda ticks: [f"{tick:.0%}" for tick in ticks])
        + p9.scale_x_discrete(expand=(0, 0))
        + p9.scale_y_discrete(expand=(0, 0))
        + p9.labs(x=task_axis(on), y="", title=f"{results.experiment.title}: runs solved", fill="solved")
        + theme((max(5.5, 0.62 * len(columns) + 2.2), max(2.2, 0.3 * len(of) + 1.7)))
        + colourbar()
        + p9.theme(legend_title=p9.element_text(size=8))
        + p9.theme(panel_grid=p9.element_blank(), axis_title_y=p9.element_blank(), axis_ticks=p9.element_blank())
    )
    return figure


def paired_success(results: Results, variants: Sequence[str] = (), tasks: Sequence[str] = ()) -> "ggplot":
    """Draw two variants beside each other, on the same seeds: a row per task.

    On the left, how many pairs of runs both solved, only one of them, or neither; on the right, the difference of the
    success rates (first − second) with Newcombe's paired interval (95 %) and the p-value of McNemar's exact test (see
    ``compare_variants``).

    Arguments:
        results: of an experiment.
        variants: the labels of two, the first one first; needed unless there are two.
        tasks: labels; by default all, and one row more for all together.

    Raises:
        NalmError: there are not two variants, no such variant or task, nothing that both have, or plotnine is not
            installed.
    """
    p9 = plotnine()
    known, _ = labels(results, variants, tasks)
    pair = list(variants) or known
    if len(pair) != 2:
        raise NalmError(
            f"a pair is two variants: found {len(pair)}, name two of: {', '.join(results.experiment.variants)}"
        )
    first, second = pair
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
    """A rectangle for each outcome of each task, in shares of its pairs, with the number of pairs."""
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
    """Of the axis of differences, or of that of shares, which begins at 0."""
    return [-1, -0.5, 0, 0.5, 1] if limits[0] < -0.5 else [0, 0.25, 0.5, 0.75, 1]
