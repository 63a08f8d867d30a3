"""Look of all figures: colours, shapes, page sizes, labels and the theme."""

__all__ = [
    "ALL",
    "COLOURS",
    "LINES",
    "SHAPES",
    "SIZE_INCHES",
    "check_figures",
    "colourbar",
    "columns_of_panels",
    "count",
    "distinct",
    "ordered",
    "page",
    "plotnine",
    "task_axis",
    "theme",
    "wrapped",
]

import textwrap
from collections.abc import Sequence
from itertools import cycle, islice
from math import ceil
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from nalm.errors import NalmError

T = TypeVar("T")

# Okabe & Ito (2008), "Color Universal Design": safe for colour-blind readers. The shapes also work in greyscale.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
SHAPES = ("o", "^", "s", "D", "v", "P", "X", "<", ">")

LINES: tuple[str | tuple[int, tuple[float, ...]], ...] = (
    "solid",
    (0, (5, 1.5)),
    (0, (1, 1.2)),
    (0, (6, 1.5, 1, 1.5)),
    (0, (2.5, 1)),
)
"""Dash patterns, for lines that cross: they can be told apart in greyscale."""

ALL = "all of these"
"""Label of all tasks of a figure together."""

SIZE_INCHES = (13.968 * 1.4 / 2.54, 5.7 * 1.4 / 2.54)
CHARACTERS_PER_INCH = 13
"""Width of the text in the labels of panels."""


def theme(size: tuple[float, float] = SIZE_INCHES) -> list[Any]:
    """Return the look of every figure; a figure adds its own theme after it.

    Arguments:
        size: width and height of the page in inches.
    """
    p9 = plotnine()
    base = p9.theme_bw(base_size=9)
    base._rcParams["text.parse_math"] = False  # text is text: a label may hold dollar signs and backslashes
    return [
        base,
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
    """Return the look of a colour bar: wide and flat."""
    return plotnine().theme(legend_key_width=90, legend_key_height=8)


def columns_of_panels(panels: int, most: int) -> int:
    """Return how many panels to put in a row, at most ``most``, so that rows are as equal as possible.

    >>> columns_of_panels(6, 5)
    3
    """
    return ceil(panels / ceil(panels / most))


def page(rows: int, columns: int) -> tuple[float, float]:
    """Return the width and height in inches of a page of panels; fewer columns make larger panels."""
    width = _panel_width(columns)
    return width * columns + 1.2, min(width, 2.6) * rows + 1.2


def wrapped(columns: int) -> Any:
    """Return a labeller that wraps the labels of panels to the panels' width, for this many columns of panels."""
    characters = int(CHARACTERS_PER_INCH * _panel_width(columns))
    return plotnine().as_labeller(lambda label: "\n".join(textwrap.wrap(label, characters)))


def _panel_width(columns: int) -> float:
    return float(np.clip(8.5 / columns, 1.25, 4.5))


def task_axis(tasks: Sequence[str]) -> str:
    """Return the title of the axis of tasks: labels with a range name the training range."""
    return "Interpolation range" if any("[" in task for task in tasks) else "Task"


def ordered(frame: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """Make columns categorical, with categories in order of first appearance."""
    return frame.assign(**{name: pd.Categorical(frame[name], list(frame[name].unique())) for name in columns})


def count(ticks: Sequence[float]) -> list[str]:
    """Format numbers of iterations briefly.

    >>> count([500, 20_000])
    ['500', '20k']
    """
    return [f"{tick / 1000:g}k" if tick >= 1000 else f"{tick:g}" for tick in ticks]


def distinct(values: Sequence[T], number: int) -> list[T]:
    """Return ``number`` colours, shapes or lines, starting again from the first when they run out."""
    return list(islice(cycle(values), number))


def check_figures() -> None:
    """Check that figures can be drawn.

    Raises:
        NalmError: plotnine is not installed.
    """
    plotnine()


def plotnine() -> Any:
    """Import plotnine, which has no types.

    Raises:
        NalmError: plotnine is not installed.
    """
    try:
        import plotnine
        import plotnine.exceptions
    except ImportError as error:
        raise NalmError("figures need plotnine: pip install 'nalm[figures]'") from error
    return plotnine
