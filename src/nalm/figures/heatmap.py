"""Heat map of the runs that were solved, by variant and task."""

__all__ = ["FIGURE", "success_map"]

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from nalm.analysis.results import Results
from nalm.analysis.selection import labels
from nalm.figures.kind import FigureKind
from nalm.figures.style import ALL, colourbar, plotnine, task_axis, theme

if TYPE_CHECKING:
    from plotnine import ggplot

DARK = 0.55
"""Success rate below which a cell is too dark for black text."""


def success_counts(results: Results, variants: Sequence[str] = (), tasks: Sequence[str] = ()) -> pd.DataFrame:
    """Count solved runs.

    Returns:
        A row per ``variant`` and ``task``, and per variant over all tasks if there are several, with ``solved``,
        ``runs``, ``rate`` and ``text``. Variants are categorical in reverse order, as an axis counts from below.

    Raises:
        NalmError: a variant or task is unknown, or there are no runs.
    """
    known_variants, known_tasks = labels(results, variants, tasks)
    runs = results.runs()
    runs = runs[runs["variant"].isin(known_variants) & runs["task"].isin(known_tasks)]
    several = len(known_tasks) > 1
    groups = pd.concat([runs, runs.assign(task=ALL)]) if several else runs
    cells = groups.groupby(["variant", "task"])["solved"].agg(solved="sum", runs="count").reset_index()
    return cells.assign(
        rate=cells["solved"] / cells["runs"],
        text=cells["solved"].astype(str) + "/" + cells["runs"].astype(str),
        variant=pd.Categorical(cells["variant"], known_variants[::-1]),
        task=pd.Categorical(cells["task"], [*known_tasks, *([ALL] if several else [])]),
    )


def success_map(results: Results, variants: Sequence[str] = (), tasks: Sequence[str] = ()) -> "ggplot":
    """Draw how many runs were solved: a row per variant, a column per task, the counts in the cells.

    Arguments:
        results: the results of an experiment.
        variants: labels of variants; by default all.
        tasks: labels of tasks; by default all, and one more column for all of them together.

    Raises:
        NalmError: a variant or task is unknown, there are no runs, or plotnine is not installed.
    """
    p9 = plotnine()
    cells = success_counts(results, variants, tasks)
    rows, columns = (list(cells[column].cat.categories) for column in ("variant", "task"))
    dark = cells["rate"] < DARK
    figure: ggplot = (
        p9.ggplot(cells, p9.aes("task", "variant"))
        + p9.geom_tile(p9.aes(fill="rate"), colour="white", size=0.8)
        + p9.geom_text(p9.aes(label="text"), data=cells[dark], colour="white", size=7)
        + p9.geom_text(p9.aes(label="text"), data=cells[~dark], colour="black", size=7)
        + p9.scale_fill_cmap("cividis", limits=(0, 1), labels=lambda ticks: [f"{tick:.0%}" for tick in ticks])
        + p9.scale_x_discrete(expand=(0, 0))
        + p9.scale_y_discrete(expand=(0, 0))
        + p9.labs(x=task_axis(columns), y="", title=f"{results.experiment.title}: runs solved", fill="solved")
        + theme((max(5.5, 0.62 * len(columns) + 2.2), max(2.2, 0.3 * len(rows) + 1.7)))
        + colourbar()
        + p9.theme(legend_title=p9.element_text(size=8))
        + p9.theme(panel_grid=p9.element_blank(), axis_title_y=p9.element_blank(), axis_ticks=p9.element_blank())
    )
    return figure


FIGURE = FigureKind(title="Runs solved, by variant and task.", draw=success_map, table=success_counts)
