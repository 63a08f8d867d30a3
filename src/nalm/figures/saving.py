"""Save figures and tables as files."""

__all__ = ["save", "write_table"]

import contextlib
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from nalm.errors import NalmError
from nalm.figures.style import check_figures, plotnine
from nalm.paths import write_atomically

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
            if hasattr(figure, "savefig"):  # a page of matplotlib's
                figure.savefig(unfinished, dpi=140)
            else:
                figure.save(unfinished, dpi=200, limitsize=False, verbose=False)
        unfinished.replace(path)
    except OSError as error:
        raise NalmError(f"cannot write {path}: {error.strerror or error}") from None
    finally:
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write a table as CSV, and make its directory if there is none.

    Raises:
        NalmError: the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, table.to_csv(index=False).encode())  # never through a link
    except OSError as error:
        raise NalmError(f"cannot write {path}: {error.strerror}") from None
