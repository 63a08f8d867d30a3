"""Figure 5: test errors of gold weights when dividing by small numbers."""

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from nalm.analysis.gold import gold_errors
from nalm.errors import NalmError
from nalm.figures.style import COLOURS, SHAPES, check_figures, distinct, plotnine, save, theme

if TYPE_CHECKING:
    from plotnine import ggplot

__all__ = ["gold_error_figure", "reproduce_gold_errors"]

PANELS = {
    "easy": "Input: [a]; Output: 1/a",
    "medium": "Input: [a,b]; Output: 1/a",
    "hard": "Input: [a,b]; Output: a/b",
}
LIMITS = (1e-13, 1e21)


def gold_error_figure(frame: pd.DataFrame) -> "ggplot":
    """Draw the test errors of gold weights, a panel per task and a line per module.

    Arguments:
        frame: what :func:`nalm.gold_errors` returns.

    Raises:
        NalmError: plotnine is not installed.
    """
    p9 = plotnine()
    modules = list(frame["module"].unique())
    beside = p9.position_dodge(width=0.5)  # the NRU and the NMRU would hide each other
    points = pd.DataFrame(
        {
            "module": pd.Categorical(frame["module"], categories=modules),
            "range": pd.Categorical(frame["range"], categories=list(frame["range"].unique())),
            "panel": pd.Categorical(frame["task"].map(PANELS), categories=list(PANELS.values())),
            "error": frame["error"],
        }
    )
    figure: ggplot = (
        p9.ggplot(points, p9.aes("range", "error", colour="module", shape="module", linetype="module", group="module"))
        + p9.geom_line(position=beside, size=0.4)
        + p9.geom_point(position=beside, size=1.6)
        + p9.facet_wrap("panel", ncol=3)
        + p9.scale_y_log10(limits=LIMITS, breaks=[10.0**power for power in range(-12, 21, 4)])
        + p9.scale_colour_manual(values=distinct(COLOURS, len(modules)))
        + p9.scale_shape_manual(values=distinct(SHAPES, len(modules)))
        + p9.labs(x="Data sample range", y="Test error (log scale)")
        + theme()
        + p9.theme(panel_grid_minor=p9.element_blank())
    )
    return figure


def reproduce_gold_errors(out: Path | str = "results") -> list[Path]:
    """Writes Figure 5 (PDF, PNG) and its numbers (CSV) into a directory, and returns the files.

    Raises:
        NalmError: a file cannot be written, or plotnine is not installed.
    """
    check_figures()
    directory = Path(out)
    table, *figures = (directory / f"figure-5.{suffix}" for suffix in ("csv", "pdf", "png"))
    frame = gold_errors()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        frame.to_csv(table, index=False)
    except OSError as error:
        raise NalmError(f"cannot write {table}: {error.strerror}") from None
    figure = gold_error_figure(frame)
    for path in figures:
        save(figure, path)
    return [table, *figures]
