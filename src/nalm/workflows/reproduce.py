"""Reproduce a figure: train, summarize and draw."""

import concurrent.futures
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from nalm.analysis.results import Results, load
from nalm.execution.progress import Progress
from nalm.execution.run import Experiments, run
from nalm.experiments.catalog import figures_called, load_experiment
from nalm.experiments.experiment import Experiment
from nalm.figures.draw import write_figure
from nalm.figures.gold_errors import reproduce_gold_errors
from nalm.figures.landscapes.pages import reproduce_landscapes
from nalm.figures.style import check_figures

__all__ = ["Reproduced", "reproduce"]


COMPUTED: dict[str, Callable[[Path | str], list[Path]]] = {
    "figure-5": reproduce_gold_errors,
    "figure-9": reproduce_landscapes,
}
"""Figures of the paper for which nothing is trained, and what writes them into a directory."""


@dataclass(frozen=True)
class Reproduced:
    """A figure that was reproduced: its name, its files, and the results it shows if anything was trained for it."""

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
    """Trains experiments, and writes the summary and the figure of each into the results directory.

    The arguments are those of :func:`nalm.run`; besides, names may be those of figures for which nothing is trained,
    and ``all``, every figure of the paper.

    Raises:
        NalmError: as `run` does, or because figures cannot be drawn, which is found out before training.
    """
    check_figures()
    several = [experiments] if isinstance(experiments, Experiment | str) else experiments
    chosen: dict[str, Experiment | None] = {}
    for item in several:
        if isinstance(item, str):
            chosen |= {name: None if name in COMPUTED else load_experiment(name) for name in figures_called(item)}
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
        files = COMPUTED[name](out) if results is None else write_figure(results, out)
        reproduced.append(Reproduced(name, files, results))
    return reproduced
