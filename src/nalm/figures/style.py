"""What all figures share: colours, shapes, the theme, and how they are saved."""

__all__ = [
    "ALL",
    "COLOURS",
    "LINES",
    "SHAPES",
    "SIZE_INCHES",
    "check_figures",
    "colourbar",
    "count",
    "distinct",
    "in_a_row",
    "ordered",
    "page",
    "plotnine",
    "save",
    "task_axis",
    "theme",
    "wrapped",
]

import contextlib
import os
import textwrap
import warnings
from collections.abc import Sequence
from itertools import cycle, islice
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pandas as pd

from nalm.errors import NalmError

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from plotnine import ggplot

T = TypeVar("T")

# Okabe & Ito (2008), "Color Universal Design": told apart by the colour-blind; the shapes tell them apart in grey.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
SHAPES = ("o", "^", "s", "D", "v", "P", "X", "<", ">")

LINES: tuple[str | tuple[int, tuple[float, ...]], ...] = (
    "solid",
    (0, (5, 1.5)),
    (0, (1, 1.2)),
    (0, (6, 1.5, 1, 1.5)),
    (0, (2.5, 1)),
)
"""For lines that cross: kinds of dashes tell them apart in grey."""

ALL = "all of these"
"""What all tasks of a figure together are called."""

SIZE_INCHES = (13.968 * 1.4 / 2.54, 5.7 * 1.4 / 2.54)
CHARACTERS_PER_INCH = 13
"""In labels of panels."""
SUFFIXES = (".pdf", ".png", ".svg")


def theme(size: tuple[float, float] = SIZE_INCHES) -> list[Any]:
    """The look of every figure, to be added to it; a figure's own wishes come after it.

    Arguments:
        size: width and height of the page in inches.
    """
    p9 = plotnine()
    return [
        p9.theme_bw(base_size=9),
        p9.theme(
            figure_size=size,
            axis_text_x=p9.element_text(rotation=45, ha="right"),
            axis_title=p9.element_text(size=9),
            legend_position="bottom",
            legend_title=p9.element_blank(),
            legend_box_spacing=0.01,
            legend_margin=0,
            plot_margin=0.01,
        ),
    ]


def colourbar() -> Any:
    """The look of a scale of colours: a flat bar."""
    return plotnine().theme(legend_key_width=90, legend_key_height=8)


def in_a_row(panels: int, most: int) -> int:
    """How many panels stand beside each other, so that rows are as full as can be.

    >>> in_a_row(6, 5)
    3
    """
    return ceil(panels / ceil(panels / most))


def page(rows: int, columns: int) -> tuple[float, float]:
    """Width and height in inches of a page with so many panels: the fewer, the larger."""
    width = _panel_width(columns)
    return width * columns + 1.2, min(width, 2.6) * rows + 1.2


def wrapped(columns: int) -> Any:
    """Labels of so many panels beside each other, in lines that are not longer than a panel is wide or high."""
    characters = int(CHARACTERS_PER_INCH * _panel_width(columns))
    return plotnine().as_labeller(lambda label: "\n".join(textwrap.wrap(label, characters)))


def _panel_width(columns: int) -> float:
    return float(np.clip(8.5 / columns, 1.25, 4.5))


def task_axis(tasks: Sequence[str]) -> str:
    """What the axis of tasks is called: tasks with a range in their label are named by what is trained on."""
    return "Interpolation range" if any("[" in task for task in tasks) else "Task"


def ordered(frame: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """The frame with categories in place of labels, in the order in which they appear."""
    return frame.assign(**{name: pd.Categorical(frame[name], list(frame[name].unique())) for name in columns})


def count(ticks: Sequence[float]) -> list[str]:
    """Numbers of iterations, as short as can be.

    >>> count([500, 20_000])
    ['500', '20k']
    """
    return [f"{tick / 1000:g}k" if tick >= 1000 else f"{tick:g}" for tick in ticks]


def distinct(values: Sequence[T], number: int) -> list[T]:
    """So many colours, shapes or lines; from the first again after the last."""
    return list(islice(cycle(values), number))


def save(figure: "ggplot | Figure", path: Path) -> None:
    """Write a figure of plotnine or matplotlib as PDF, PNG or SVG, by the suffix of its path; whole or not at all."""
    if path.suffix.lower() not in SUFFIXES:
        raise NalmError(f"figures are saved as {', '.join(SUFFIXES)}: found {path.suffix or 'no suffix'!r} in {path}")
    check_figures()
    unfinished = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", plotnine().exceptions.PlotnineWarning)
            if hasattr(figure, "savefig"):  # matplotlib's, which are whole pages of panels
                figure.savefig(unfinished, dpi=140)
            else:
                figure.save(unfinished, dpi=200, limitsize=False, verbose=False)
        unfinished.replace(path)
    except OSError as error:
        raise NalmError(f"cannot write {path}: {error.strerror or error}") from None
    finally:
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)


def check_figures() -> None:
    """Checks that figures can be drawn.

    Raises:
        NalmError: plotnine is not installed.
    """
    plotnine()


def plotnine() -> Any:
    """The library, which has no types.

    Raises:
        NalmError: it is not installed.
    """
    try:
        import plotnine
        import plotnine.exceptions
    except ImportError as error:
        raise NalmError("figures need plotnine: pip install 'nalm[figures]'") from error
    return plotnine
