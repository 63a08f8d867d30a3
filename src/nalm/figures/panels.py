"""The papers' three panels: success rate, iteration solved and sparsity error by task."""

__all__ = ["check_figures", "save", "three_panels"]

import contextlib
import os
import warnings
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from nalm.errors import NalmError

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from plotnine import ggplot

# Panel title to the columns of its point and interval.
PANELS = {
    "Success rate": ("success_rate", "success_low", "success_high"),
    "Solved at iteration step": ("iterations_mean", "iterations_low", "iterations_high"),
    "Sparsity error": ("sparsity_error", "sparsity_low", "sparsity_high"),
}
COLUMNS = ["variant", "task", *(column for columns in PANELS.values() for column in columns)]

# Okabe & Ito (2008), "Color Universal Design": told apart by the colour-blind; the shapes tell them apart in grey.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
SHAPES = ("o", "^", "s", "D", "v", "P", "X", "<", ">")

SIZE_INCHES = (13.968 * 1.4 / 2.54, 5.7 * 1.4 / 2.54)
SUFFIXES = (".pdf", ".png", ".svg")


def three_panels(table: pd.DataFrame, title: str | None = None) -> "ggplot":
    """Draw one point with its interval per variant and task in each of three panels.

    Arguments:
        table: a row per variant and task, in the order in which they shall appear: ``variant``, ``task`` and, for each
            of ``success``, ``iterations`` and ``sparsity``, the value and its ``_low`` and ``_high`` end (see
            ``PANELS``). What is NaN is not drawn.
        title: above the panels, if any.
    """
    p9 = _plotnine()
    points = _long(table)
    variants = len(points["variant"].cat.categories)
    crowded = variants > len(COLOURS)
    # The paper's 0.3 lets the points of four variants hide each other.
    dodge = p9.position_dodge(width=0.85 if crowded else 0.6)
    figure: ggplot = (
        p9.ggplot(points, p9.aes("task", "value", ymin="low", ymax="high", colour="variant", shape="variant"))
        + p9.geom_blank(p9.aes(y="edge"), data=_edges(points), inherit_aes=False)
        + p9.geom_errorbar(position=dodge, alpha=0.5, width=0.3, na_rm=True)
        + p9.geom_point(position=dodge, size=1.6, na_rm=True)
        + p9.facet_wrap("panel", ncol=1 if crowded else 3, scales="free_y")
        + p9.scale_y_continuous(labels=lambda ticks: [f"{tick:,g}" for tick in ticks])
        + p9.scale_colour_manual(values=list(islice(cycle(COLOURS), variants)))
        + p9.scale_shape_manual(values=list(islice(cycle(SHAPES), variants)))
        + p9.labs(x="Interpolation range", y="", title=title)
        + p9.theme_bw(base_size=9)
        + p9.theme(
            figure_size=(SIZE_INCHES[0], 2.4 * SIZE_INCHES[1]) if crowded else SIZE_INCHES,
            axis_text_x=p9.element_text(rotation=45, ha="right"),
            axis_title_y=p9.element_blank(),
            axis_title_x=p9.element_text(size=9),
            legend_position="bottom",
            legend_title=p9.element_blank(),
            legend_box_spacing=0.01,
            legend_margin=0,
            plot_margin=0.01,
        )
    )
    return figure


def save(figure: "ggplot | Figure", path: Path) -> None:
    """Write a figure of plotnine or matplotlib as PDF, PNG or SVG, by the suffix of its path; whole or not at all."""
    if path.suffix.lower() not in SUFFIXES:
        raise NalmError(f"figures are saved as {', '.join(SUFFIXES)}: found {path.suffix or 'no suffix'!r} in {path}")
    check_figures()
    unfinished = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", _plotnine().exceptions.PlotnineWarning)
            if hasattr(figure, "savefig"):  # matplotlib's, which are whole pages of panels
                figure.savefig(unfinished, dpi=140)
            else:
                figure.save(unfinished, dpi=200, verbose=False)
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
    _plotnine()


def _plotnine() -> Any:
    try:
        import plotnine
        import plotnine.exceptions
    except ImportError as error:
        raise NalmError("figures need plotnine: pip install 'nalm[figures]'") from error
    return plotnine


def _long(table: pd.DataFrame) -> pd.DataFrame:
    """One row per variant, task and panel: ``value``, ``low``, ``high``; categories in order of first appearance."""
    missing = [column for column in COLUMNS if column not in table]
    if missing:
        raise NalmError(f"the table of a figure lacks {', '.join(missing)}: found {', '.join(map(str, table.columns))}")
    if table.empty:
        raise NalmError("the table of a figure has no rows: found none, expected one per variant and task")
    panels = [
        table[["variant", "task", *columns]]
        .set_axis(["variant", "task", "value", "low", "high"], axis=1)
        .assign(panel=p)
        for p, columns in PANELS.items()
    ]
    points = pd.concat(panels, ignore_index=True)
    for column in ("variant", "task", "panel"):
        points[column] = pd.Categorical(points[column], categories=list(points[column].unique()))
    return points


def _edges(points: pd.DataFrame) -> pd.DataFrame:
    """What every panel must show: 0, and 1 for rates and where nothing is above 0."""
    greatest = points[["value", "high"]].max(axis=1).groupby(points["panel"], observed=True).max()
    full = [panel for panel in PANELS if panel == "Success rate" or not greatest[panel] > 0]
    panel = pd.Categorical([*PANELS, *full], categories=list(PANELS))
    return pd.DataFrame({"panel": panel, "edge": [0.0] * len(PANELS) + [1.0] * len(full)})
