"""Errors by the length of sequences: how far training extrapolates to longer ones."""

__all__ = ["FIGURE", "error_lengths", "length_errors"]

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from nalm.analysis.results import Results
from nalm.analysis.selection import selected
from nalm.errors import NalmError
from nalm.experiments.experiment import Experiment
from nalm.figures.kind import FigureKind
from nalm.figures.style import COLOURS, SHAPES, SIZE_INCHES, distinct, ordered, plotnine, theme
from nalm.modules.cells import Accumulator

if TYPE_CHECKING:
    from plotnine import ggplot

PANELS = {
    "Test error": ("median", "low", "high"),
    "Test error, as a multiple of the accumulator's": ("ratio", "low_ratio", "high_ratio"),
}
"""Title of each panel, and the columns of its point and bar."""

SMALLEST, LARGEST = 1e-6, 1e60
"""Errors outside this range are drawn at the edge."""

WIDE = 50
"""Ratio of the longest to the shortest length above which the axis of lengths is logarithmic."""

TICKS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
"""Ticks of a logarithmic axis of lengths."""


def length_errors(results: Results, variants: Sequence[str] = (), tasks: Sequence[str] = ()) -> pd.DataFrame:
    """Compute test errors over seeds by length of sequences, beside those of the accumulator.

    The accumulator computes the operation exactly, so that its networks only learn to read the digits.

    Arguments:
        results: the results of an experiment on sequences of images.
        variants: labels of variants; by default all.
        tasks: labels of tasks; by default all.

    Returns:
        A row per ``variant`` and ``task``, with ``trained`` and ``tested`` (lengths), the number of ``runs``, the
        ``median``, lowest (``low``) and highest (``high``) test error at the best validation row, where NaN counts as
        infinite. ``reference`` is the median test error of the runs of an ``Accumulator`` on the same task, and
        ``ratio`` the ratio of the two medians; both are NaN where there are no such runs.

    Raises:
        NalmError: no task is on sequences of images, a variant or task is unknown, or there are no runs.
    """
    errors: dict[tuple[str, str], list[float]] = {}
    lengths: dict[str, tuple[int, int]] = {}
    for run in selected(results, variants, tasks):
        if (task_lengths := run.run.task.lengths) is not None:
            lengths[run.task] = task_lengths
            error = run.outcome()["test_error"]
            errors.setdefault((run.variant, run.task), []).append(np.inf if error is None or np.isnan(error) else error)
    if not errors:
        raise NalmError(f"found no sequences of images in {results.experiment.name}, expected an experiment on them")
    references = _references(results)
    table = pd.DataFrame(
        [
            {
                "variant": variant,
                "task": task,
                "trained": lengths[task][0],
                "tested": lengths[task][1],
                "runs": len(found),
                "median": float(np.median(found)),
                "low": min(found),
                "high": max(found),
                "reference": references.get(task, np.nan),
            }
            for (variant, task), found in errors.items()
        ]
    )
    return table.assign(ratio=table["median"] / table["reference"])


def _references(results: Results) -> dict[str, float]:
    """Return the median test error of the accumulator's runs, by label of the task."""
    errors: dict[str, list[float]] = {}
    for run in results.trained:
        if run.run.recipe.module.name == Accumulator.__name__:
            errors.setdefault(run.task, []).append(run.outcome()["test_error"])
    return {task: float(np.median(found)) for task, found in errors.items()}


def error_lengths(results: Results, variants: Sequence[str] = (), tasks: Sequence[str] = ()) -> "ggplot":
    """Draw test errors over the length of sequences, and as multiples of the accumulator's errors.

    Points are medians over seeds; bars go from the lowest to the highest error; a dotted line is the length in
    training.

    Arguments:
        results: the results of an experiment on sequences of images.
        variants: labels of variants; by default all.
        tasks: labels of tasks; by default all.

    Raises:
        NalmError: no task is on sequences of images, a variant or task is unknown, there are no runs, or plotnine is
            not installed.
    """
    p9 = plotnine()
    table = length_errors(results, variants, tasks)
    points = _points(table)
    labels = list(points["variant"].cat.categories)
    trained = points[["panel"]].drop_duplicates().merge(table[["trained"]].drop_duplicates(), how="cross")
    one = pd.DataFrame({"panel": pd.Categorical([list(PANELS)[1]], categories=list(PANELS)), "one": [1.0]})
    lengths = sorted(table["tested"].unique())
    wide = lengths[-1] > WIDE * lengths[0]
    shown = [length for length in lengths if not wide or length in TICKS or length == lengths[-1]]
    dodge = p9.position_dodge(width=0.02 * (np.log10(lengths[-1] / lengths[0]) if wide else lengths[-1] - lengths[0]))
    figure: ggplot = (
        p9.ggplot(points, p9.aes("tested", "value", ymin="low", ymax="high", colour="variant", shape="variant"))
        + p9.geom_hline(p9.aes(yintercept="one"), data=one, colour="#999999", size=0.4)
        + p9.geom_vline(p9.aes(xintercept="trained"), data=trained, linetype="dotted")
        + p9.geom_line(position=dodge, size=0.5, na_rm=True)
        + p9.geom_linerange(position=dodge, alpha=0.5, na_rm=True)
        + p9.geom_point(position=dodge, size=1.8, na_rm=True)
        + p9.facet_wrap("panel", ncol=2, scales="free_y")
        + p9.scale_y_log10()
        + (p9.scale_x_log10(breaks=shown) if wide else p9.scale_x_continuous(breaks=shown))
        + p9.scale_colour_manual(values=distinct(COLOURS, len(labels)))
        + p9.scale_shape_manual(values=distinct(SHAPES, len(labels)))
        + p9.labs(x="Length of sequences", y="")
        + theme(SIZE_INCHES)
        + p9.theme(axis_title_y=p9.element_blank(), axis_text_x=p9.element_text(rotation=0, ha="center"))
    )
    return figure


def _points(table: pd.DataFrame) -> pd.DataFrame:
    """Return a row per variant, task and panel, without panels that have nothing to show."""
    table = table.assign(low_ratio=table["low"] / table["reference"], high_ratio=table["high"] / table["reference"])
    columns = ["variant", "tested", "value", "low", "high"]
    panels = [
        table[["variant", "tested", *names]].set_axis(columns, axis=1).assign(panel=panel)
        for panel, names in PANELS.items()
        if table[names[0]].notna().any()
    ]
    points = pd.concat(panels, ignore_index=True)
    points[["value", "low", "high"]] = points[["value", "low", "high"]].clip(SMALLEST, LARGEST)
    return ordered(points, "variant").assign(panel=pd.Categorical(points["panel"], categories=list(PANELS)))


def _has_lengths(experiment: Experiment) -> bool:
    return any(task.lengths is not None for task in experiment.tasks.values())


FIGURE = FigureKind(
    title="Test errors by length of sequences, also as multiples of the accumulator's.",
    draw=error_lengths,
    table=length_errors,
    suits=_has_lengths,
)
