"""Save figures and tables as files."""

__all__ = ["save", "write_table"]

import contextlib
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from nalm.errors import NalmError
from nalm.figures.style import check_figures, plotnine
from nalm.paths import write_atomically
from nalm.text import csv_table, visible

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from plotnine import ggplot

SUFFIXES = (".pdf", ".png", ".svg")


def save(figure: "ggplot | Figure", path: Path) -> None:
    """Save a figure of plotnine or matplotlib as PDF, PNG or SVG, by the suffix of its path.

    The file is written under another name and renamed, so that a failure leaves no half-written file.

    Raises:
        NalmError: the suffix is another, the file cannot be written, or plotnine is not installed.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise NalmError(f"figures are saved as {', '.join(SUFFIXES)}: found {path.suffix or 'no suffix'!r} in {path}")
    check_figures()
    unfinished = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", plotnine().exceptions.PlotnineWarning)
            save_as: Any = _save_page if hasattr(figure, "savefig") else _save_plot
            save_as(figure, unfinished)
        unfinished.replace(path)
    except OSError as error:
        raise NalmError(f"cannot write {path}: {error.strerror or error}") from None
    finally:
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)


def _save_page(page: "Figure", path: Path) -> None:
    """Save a page of matplotlib's."""
    _show_texts(page)
    page.savefig(path, dpi=140)


def _save_plot(figure: "ggplot", path: Path) -> None:
    """Save a figure of plotnine as its own ``save`` does. Labels between dollars are no formulas."""
    import matplotlib

    drawn = figure.save_helper(path, dpi=200, limitsize=False, verbose=False)
    _show_texts(drawn.figure, parse_math=False)
    with matplotlib.rc_context(figure.theme.rcParams):
        drawn.figure.savefig(**drawn.kwargs)


def _show_texts(figure: "Figure", parse_math: bool = True) -> None:
    """Show the control characters of all texts: fonts don't have them, and SVG with them is no XML."""
    from matplotlib.text import Text
    from matplotlib.ticker import FixedFormatter

    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            ticks = axis.get_major_formatter()
            if isinstance(ticks, FixedFormatter):
                ticks.seq = [visible(label) for label in ticks.seq]
    for text in figure.findobj(Text):
        text.set_text(visible(text.get_text()))
        text.set_parse_math(parse_math and text.get_parse_math())


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write a table as CSV, and make its directory if there is none.

    Raises:
        NalmError: the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, csv_table(table).to_csv(index=False).encode())  # never through a link
    except OSError as error:
        raise NalmError(f"cannot write {path}: {error.strerror}") from None
