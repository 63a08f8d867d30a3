"""Reproduce a figure: train, summarize and draw."""

import concurrent.futures
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from nalm.analysis.results import Results, load
from nalm.execution.progress import Progress
from nalm.execution.run import Experiments, run
from nalm.experiments.catalog import load_experiment
from nalm.experiments.experiment import Experiment
from nalm.experiments.index import COMPUTED_FIGURES, figures_called
from nalm.figures.draw import write_figure
from nalm.figures.style import check_figures

__all__ = ["Reproduced", "reproduce"]


@dataclass(frozen=True)
class Reproduced:
    """A reproduced figure: its name, its files, and its results. A computed figure has no results."""

    name: str
    files: list[Path]
    results: Results | None


def reproduce(
    experiments: Experiments,
    out: Path | str = "results",
    *,
    workers: int | None = None,
    device: str = "cpu",
    compiled: bool = True,
    replace: bool = False,
    executor: concurrent.futures.Executor | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> list[Reproduced]:
    """Train experiments, and write the summary and the figure of each into the results directory.

    The arguments are those of :func:`nalm.run`. Names may also be those of computed figures, for which nothing is
    trained, and ``all``, which stands for every figure of the paper.

    Raises:
        NalmError: as for `run`; or figures cannot be drawn, which is checked before training.
    """
    check_figures()
    several = [experiments] if isinstance(experiments, Experiment | str) else experiments
    chosen: dict[str, Experiment | None] = {}
    for item in several:
        if isinstance(item, str):
            chosen |= {
                name: None if name in COMPUTED_FIGURES else load_experiment(name) for name in figures_called(item)
            }
        else:
            chosen[item.name] = item
    trained = [experiment for experiment in chosen.values() if experiment is not None]
    if trained:
        run(
            trained,
            out,
            workers=workers,
            device=device,
            compiled=compiled,
            replace=replace,
            executor=executor,
            on_progress=on_progress,
        )
    reproduced = []
    for name, experiment in chosen.items():
        results = None if experiment is None else load(out, experiment.name)
        files = _write_computed(name, out) if results is None else write_figure(results, out)
        reproduced.append(Reproduced(name, files, results))
    return reproduced


def _write_computed(name: str, out: Path | str) -> list[Path]:
    write: Callable[[Path | str], list[Path]] = pkgutil.resolve_name(COMPUTED_FIGURES[name].writer)
    return write(out)
