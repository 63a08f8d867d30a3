"""Figures of whole results."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from nalm.analysis.results import Results
from nalm.analysis.selection import labels
from nalm.errors import NalmError
from nalm.figures.curves import training_curves
from nalm.figures.lengths import error_lengths
from nalm.figures.panels import three_panels
from nalm.figures.style import check_figures, plotnine, save
from nalm.figures.success import paired_success, success_map
from nalm.figures.survival import survival_curves
from nalm.figures.weights import weight_map, weight_trajectories
from nalm.spec.task import Task

if TYPE_CHECKING:
    from plotnine import ggplot

__all__ = ["FIGURES", "draw", "plot", "summary_panels", "write_figure"]


def plot(
    results: Results,
    output: Path | str,
    kind: str = "panels",
    *,
    variants: Sequence[str] = (),
    tasks: Sequence[str] = (),
) -> None:
    """Draws a figure of results into a PDF, PNG or SVG file; the arguments are those of ``draw``.

    Raises:
        NalmError: as ``draw`` does, the file cannot be written, or its suffix is another.
    """
    save(draw(results, kind, variants=variants, tasks=tasks), Path(output))


def draw(
    results: Results, kind: str = "panels", *, variants: Sequence[str] = (), tasks: Sequence[str] = ()
) -> "ggplot":
    """Draws a figure of results, which can be changed as any of plotnine's.

    Arguments:
        results: of an experiment.
        kind: one of ``FIGURES``: ``panels``, ``curves``, ``weights``, ``weight-map``, ``heatmap``, ``survival``,
            ``pairs``, ``lengths``.
        variants: labels; by default all.
        tasks: labels; by default all.

    Raises:
        NalmError: there is no such kind, variant or task, or no runs, the kind needs fewer variants or tasks, or
            plotnine is not installed.
    """
    if kind not in FIGURES:
        raise NalmError(f"found unknown kind {kind!r}, expected one of: {', '.join(FIGURES)}")
    return FIGURES[kind](results, variants, tasks)


def summary_panels(results: Results, variants: Sequence[str] = (), tasks: Sequence[str] = ()) -> "ggplot":
    """Draw the paper's three panels: success rate, iteration solved and sparsity error by task.

    Arguments:
        results: of an experiment.
        variants: labels; by default all.
        tasks: labels; by default all.

    Raises:
        NalmError: there is no such variant or task, no runs, or plotnine is not installed.
    """
    check_figures()
    of, on = labels(results, variants, tasks)
    table = results.task_summary()
    return _panels(results, table[table["variant"].isin(of) & table["task"].isin(on)])


def _panels(results: Results, table: pd.DataFrame) -> "ggplot":
    figure = three_panels(table)
    axes = [task.axis for task in results.experiment.tasks.values() if task.axis != Task.axis]
    return figure + plotnine().labs(x=axes[0], y="") if axes else figure


FIGURES: dict[str, Callable[[Results, Sequence[str], Sequence[str]], "ggplot"]] = {
    "panels": summary_panels,
    "curves": training_curves,
    "weights": weight_trajectories,
    "weight-map": weight_map,
    "heatmap": success_map,
    "survival": survival_curves,
    "pairs": paired_success,
    "lengths": error_lengths,
}
"""What draws each kind of figure."""


def write_figure(results: Results, directory: Path | str) -> list[Path]:
    """Writes the summary (CSV) and the figure (PDF, PNG) of an experiment into a directory, and returns the files.

    Raises:
        NalmError: a file cannot be written, or plotnine is not installed.
    """
    table, *figures = (Path(directory) / f"{results.experiment.name}.{suffix}" for suffix in ("csv", "pdf", "png"))
    try:
        results.summary().to_csv(table, index=False)
    except OSError as error:
        raise NalmError(f"cannot write {table}: {error.strerror}") from None
    figure = _panels(results, results.task_summary())
    for path in figures:
        save(figure, path)
    if any(task.lengths for task in results.experiment.tasks.values()):
        lengths = [path.with_stem(f"{path.stem}-lengths") for path in figures]
        for path in lengths:
            save(error_lengths(results), path)
        figures += lengths
    return [table, *figures]
