"""Figures of whole results."""

from collections.abc import Callable
from pathlib import Path

from nalm.analysis.results import Results, load
from nalm.errors import NalmError
from nalm.experiments.catalog import load_experiment
from nalm.experiments.experiment import Experiment
from nalm.figures.panels import check_figures, save, three_panels
from nalm.sweeps.run import Progress, run

__all__ = ["plot", "reproduce", "write_figure"]


def reproduce(
    experiment: Experiment | str,
    out: Path | str = "results",
    *,
    workers: int | None = None,
    device: str = "cpu",
    compiled: bool = True,
    replace: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
) -> Results:
    """Trains an experiment, writes its summary and its figure into the results directory, and returns the results.

    The arguments are those of :func:`nalm.run`.

    Raises:
        NalmError: as `run` does, or because figures cannot be drawn, which is found out before training.
    """
    check_figures()
    if isinstance(experiment, str):
        experiment = load_experiment(experiment)
    run(
        experiment,
        out,
        workers=workers,
        device=device,
        compiled=compiled,
        replace=replace,
        on_progress=on_progress,
    )
    results = load(out, experiment.name)
    write_figure(results, out)
    return results


def plot(results: Results, output: Path | str) -> None:
    """Draws the paper's three panels into a PDF, PNG or SVG file.

    Raises:
        NalmError: the file cannot be written, its suffix is another, or plotnine is not installed.
    """
    save(three_panels(results.task_summary()), Path(output))


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
    figure = three_panels(results.task_summary())
    for path in figures:
        save(figure, path)
    return [table, *figures]
