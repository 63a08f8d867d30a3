"""Survival curves: the share of runs that are not yet solved, over iterations."""

__all__ = ["FIGURE", "survival_curves", "survival_medians", "survival_steps"]

from collections.abc import Iterator, Sequence
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from nalm.analysis.results import Results, TrainedRun
from nalm.analysis.selection import labels, selected
from nalm.analysis.survival import kaplan_meier
from nalm.figures.kind import FigureKind
from nalm.figures.style import (
    ALL,
    COLOURS,
    LINES,
    SHAPES,
    columns_of_panels,
    count,
    distinct,
    ordered,
    page,
    plotnine,
    theme,
)

if TYPE_CHECKING:
    from plotnine import ggplot

MOST_COLUMNS, MOST_COLUMNS_CROWDED = 5, 3
"""Panels in a row; fewer where variants outnumber the colours, since the legend needs the width."""

OFFSET = 0.05
"""Vertical distance between the medians of variants, all of which belong at one half."""


def survival_steps(results: Results, variants: Sequence[str] = (), tasks: Sequence[str] = ()) -> pd.DataFrame:
    """Estimate the share of runs that are not yet solved over iterations, with its 95 % interval.

    A solved run counts as solved from the first evaluation whose test error crosses the threshold. Any other run is
    censored at its last evaluation; a diverged run, which can no longer be solved, at the end of its planned training.

    Arguments:
        results: the results of an experiment.
        variants: labels of variants; by default all.
        tasks: labels of tasks; by default all.

    Returns:
        A row per ``variant``, ``task`` (None for all tasks together, if there are several) and ``iteration`` from
        which on the ``share`` (with ``low`` and ``high``) holds; the first is at 0, the last at the end.

    Raises:
        NalmError: a variant or task is unknown, or there are no runs.
    """
    rows = []
    for variant, task, times, happened in _groups(results, variants, tasks):
        curve = kaplan_meier(times, happened)
        starts = np.concatenate([[0.0], curve.times])
        columns = {
            name: np.concatenate([[1.0], values])
            for name, values in (("share", curve.share), ("low", curve.low), ("high", curve.high))
        }
        steps = pd.DataFrame({"variant": variant, "task": task, "iteration": starts, **columns})
        rows.append(steps.drop_duplicates("iteration", keep="last"))  # some are solved before the first update
    return pd.concat(rows, ignore_index=True)


def survival_medians(results: Results, variants: Sequence[str] = (), tasks: Sequence[str] = ()) -> pd.DataFrame:
    """Estimate median iterations until runs are solved, counting unsolved runs too, with their 95 % intervals.

    Arguments:
        results: the results of an experiment.
        variants: labels of variants; by default all.
        tasks: labels of tasks; by default all.

    Returns:
        A row per ``variant`` and ``task`` as in :func:`survival_steps`, with ``runs``, ``solved``, ``median``, ``low``
        and ``high``, which are infinite where they are never reached.

    Raises:
        NalmError: as :func:`survival_steps`.
    """
    rows: list[dict[str, Any]] = []
    for variant, task, times, happened in _groups(results, variants, tasks):
        median = kaplan_meier(times, happened).median()
        counts = {"runs": len(times), "solved": sum(happened)}
        found = {"median": median.value, "low": median.low, "high": median.high}
        rows.append({"variant": variant, "task": task, **counts, **found})
    return pd.DataFrame(rows)


def _groups(
    results: Results, variants: Sequence[str], tasks: Sequence[str]
) -> Iterator[tuple[str, str | None, list[float], list[bool]]]:
    """Yield each variant and task with its runs' times, then each variant over all tasks if there are several."""
    known_variants, known_tasks = labels(results, variants, tasks)
    ends = [(run.variant, run.task, *_end(run)) for run in selected(results, variants, tasks)]
    for variant in known_variants:
        for task in [*known_tasks, *([None] if len(known_tasks) > 1 else [])]:
            group = [end[2:] for end in ends if end[0] == variant and task in (None, end[1])]
            if group:
                times, happened = zip(*group, strict=True)
                yield variant, task, list(times), list(happened)


def _end(run: TrainedRun) -> tuple[float, bool]:
    """Return when a run was solved or censored, and whether it was solved."""
    outcome = run.outcome()
    if outcome["solved"]:
        return float(outcome["iteration_solved"]), True
    if outcome["diverged_at"] is not None or not len(run.iterations):
        return float(run.run.recipe.iterations), False
    return float(run.iterations[-1]), False


def survival_curves(results: Results, variants: Sequence[str] = (), tasks: Sequence[str] = ()) -> "ggplot":
    """Draw the share of runs that are not yet solved: a panel per task, a step function per variant.

    The curve is Kaplan and Meier's estimate and the band its 95 % interval (see :func:`survival_steps`). Near the
    height of one half, a point marks each variant's median iteration and a line its interval, one variant above
    another so that none is hidden. An interval without an upper end reaches the edge; a variant of which fewer than
    half the runs were solved has no point. The axis of iterations is logarithmic; runs that were solved before their
    first update are drawn at its left end.

    Arguments:
        results: the results of an experiment.
        variants: labels of variants; by default all.
        tasks: labels of tasks; by default all, and one more panel for all of them together.

    Raises:
        NalmError: a variant or task is unknown, there are no runs, or plotnine is not installed.
    """
    p9 = plotnine()
    steps, medians = (
        table(results, variants, tasks).fillna({"task": ALL}) for table in (survival_steps, survival_medians)
    )
    end = max(float(steps["iteration"].max()), 1.0)
    start = float(steps["iteration"].where(steps["iteration"] > 0, end).min()) / 2
    areas = ordered(_areas(steps, start, end), "variant", "task")
    names = list(areas["variant"].cat.categories)
    marks = ordered(_marks(medians, names, start, end), "variant", "task")
    panels = areas["task"].nunique()
    columns = columns_of_panels(panels, MOST_COLUMNS if len(names) <= len(COLOURS) else MOST_COLUMNS_CROWDED)
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
        + p9.scale_colour_manual(values=distinct(COLOURS, len(names)))
        + p9.scale_fill_manual(values=distinct(COLOURS, len(names)))
        + p9.scale_shape_manual(values=distinct(SHAPES, len(names)))
        + p9.scale_linetype_manual(values=distinct(LINES, len(names)))
        + p9.labs(x="Iteration (log scale)", y="Share of runs not yet solved", title=results.experiment.title)
        + theme(page(ceil(panels / columns), columns))
        + p9.theme(panel_grid_minor=p9.element_blank())
    )
    return figure


def _areas(steps: pd.DataFrame, start: float, end: float) -> pd.DataFrame:
    """Return the corners of the step functions, beginning at the left end of the axis."""
    parts = []
    for (variant, task), curve in steps.groupby(["variant", "task"], sort=False):
        if len(curve) == 1:  # all runs were solved before the first update, or were evaluated only then
            curve = pd.concat([curve, curve.assign(iteration=end)])
        turns = np.repeat(np.maximum(curve["iteration"].to_numpy(dtype=np.float64), start), 2)[1:]
        levels = {name: np.repeat(curve[name].to_numpy(), 2)[:-1] for name in ("share", "low", "high")}
        parts.append(pd.DataFrame({"variant": variant, "task": task, "iteration": turns, **levels}))
    return pd.concat(parts, ignore_index=True)


def _marks(medians: pd.DataFrame, variants: Sequence[str], start: float, end: float) -> pd.DataFrame:
    """Return the medians and intervals that can be drawn, each variant at its own height."""
    rank = medians["variant"].map(variants.index) - (len(variants) - 1) / 2
    drawn = {
        "median": medians["median"].where(np.isfinite(medians["median"])).clip(lower=start),
        "low": medians["low"].where(np.isfinite(medians["low"])).clip(lower=start),
        "high": medians["high"].where(np.isfinite(medians["low"])).clip(start, end),
    }
    return medians.assign(height=0.5 - rank * min(OFFSET, 0.4 / len(variants)), **drawn)


FIGURE = FigureKind(
    title="Share of runs that are not yet solved, over iterations.",
    draw=survival_curves,
    table=survival_steps,
)
