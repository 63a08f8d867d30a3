"""Draw and save figures of results, of any kind."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nalm.analysis.results import Results
from nalm.errors import NalmError
from nalm.figures import FIGURES
from nalm.figures.saving import save, write_table

if TYPE_CHECKING:
    from plotnine import ggplot

__all__ = ["draw", "plot", "write_figure"]


def plot(
    results: Results,
    output: Path | str,
    kind: str = "panels",
    *,
    variants: Sequence[str] = (),
    tasks: Sequence[str] = (),
) -> None:
    """Draw a figure of results into a PDF, PNG or SVG file.

    Arguments:
        results: the results of an experiment.
        output: the file.
        kind: as for :func:`draw`.
        variants: labels of variants; by default all.
        tasks: labels of tasks; by default all.

    Raises:
        NalmError: as :func:`draw`; or the file has another suffix or cannot be written.
    """
    save(draw(results, kind, variants=variants, tasks=tasks), Path(output))


def draw(
    results: Results, kind: str = "panels", *, variants: Sequence[str] = (), tasks: Sequence[str] = ()
) -> "ggplot":
    """Draw a figure of results as a plotnine figure, which can be changed like any other.

    Arguments:
        results: the results of an experiment.
        kind: a name in :data:`nalm.figures.FIGURES`, such as ``curves``, or the import path of a ``FigureKind``.
        variants: labels of variants; by default all.
        tasks: labels of tasks; by default all.

    Raises:
        NalmError: the kind, a variant or a task is unknown, there are no runs, the kind needs fewer variants or tasks,
            or plotnine is not installed.
    """
    try:
        figure = FIGURES[kind]
    except ValueError as error:
        raise NalmError(str(error)) from None
    return figure.draw(results, variants, tasks)


def write_figure(results: Results, directory: Path | str) -> list[Path]:
    """Write the summary (CSV) and the panels (PDF, PNG) of an experiment into a directory.

    Where tasks are on sequences of different lengths, the errors by length are drawn too.

    Returns:
        The files.

    Raises:
        NalmError: a file cannot be written, or plotnine is not installed.
    """
    path = Path(directory) / results.experiment.name
    written = [path.with_name(f"{path.name}.csv")]
    write_table(results.summary(), written[0])
    for kind, name in (("panels", path.name), ("lengths", f"{path.name}-lengths")):
        if FIGURES[kind].suits(results.experiment):
            figure = draw(results, kind)
            for suffix in ("pdf", "png"):
                written.append(path.with_name(f"{name}.{suffix}"))
                save(figure, written[-1])
    return written
