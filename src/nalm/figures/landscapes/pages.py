"""Pages of loss landscapes, with a panel per module; Figure 9."""

__all__ = ["draw_landscapes", "plot_landscapes", "reproduce_landscapes"]

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from nalm.errors import NalmError
from nalm.figures.landscapes import EPSILON
from nalm.figures.landscapes.panels import (
    VIEWS,
    Grid,
    View,
    colours,
    draw_absence,
    draw_contour,
    draw_surface,
    legend,
)
from nalm.figures.landscapes.table import SLICES, TARGETS, landscapes
from nalm.figures.saving import save, write_table
from nalm.figures.style import check_figures

if TYPE_CHECKING:
    from matplotlib.figure import Figure, SubFigure
    from matplotlib.gridspec import GridSpec

MOST_COLUMNS = 4
SINGLE_PANEL_INCHES = (10, 6)
PANEL_INCHES = {"contour": (3.0, 2.9), "surface": (3.4, 3.2)}
LEGEND_INCHES = 0.9
LEGEND_COLUMN_INCHES = 2.4


def plot_landscapes(
    output: Path | str,
    modules: Sequence[str] = (),
    *,
    target: str = "product",
    kind: str = "contour",
    epsilon: float = EPSILON,
) -> None:
    """Draw loss landscapes into a PDF, PNG or SVG file, a panel per module.

    Arguments:
        output: the file.
        modules: some of ``landscape_names(target)``; by default all.
        target: ``product`` or ``quotient``.
        kind: ``contour`` or ``surface``.
        epsilon: as in :func:`nalm.landscape`.

    Raises:
        NalmError: a landscape or the kind is unknown, the file has another suffix or cannot be written, or plotnine
            is not installed.
    """
    save(draw_landscapes(landscapes(modules, target, epsilon=epsilon), kind), Path(output))


def reproduce_landscapes(out: Path | str = "results") -> list[Path]:
    """Write Figure 9, with all modules and both targets, into a directory.

    ``figure-9.csv`` has every tenth grid point in each direction; :func:`nalm.landscape` returns all points.

    Returns:
        The files.

    Raises:
        NalmError: a file cannot be written, or plotnine is not installed.
    """
    check_figures()
    table = pd.concat([landscapes(target=target) for target in TARGETS])
    path = Path(out) / "figure-9.csv"
    write_table(table[_is_tenth(table["w1"]) & _is_tenth(table["w2"])], path)
    written = [path]
    for view in VIEWS:
        figure = draw_landscapes(table, view)
        for suffix in ("pdf", "png"):
            written.append(path.with_name(f"figure-9-{view}.{suffix}"))
            save(figure, written[-1])
    return written


def _is_tenth(weights: pd.Series) -> pd.Series:
    return (weights * 100).round() % 10 == 0


def draw_landscapes(table: pd.DataFrame, view: str = "contour") -> "Figure":
    """Draw a panel per module, target by target, in the order of the rows.

    Arguments:
        table: rows of :func:`nalm.landscape`.
        view: ``contour`` or ``surface``.

    Raises:
        NalmError: the view is unknown, or plotnine is not installed.
    """
    check_figures()
    from matplotlib.figure import Figure

    if view not in VIEWS:
        raise NalmError(f"found unknown kind {view!r}, expected one of: {', '.join(VIEWS)}")
    modules, targets = ([str(name) for name in table[column].unique()] for column in ("module", "target"))
    grids = {key: Grid.from_rows(rows) for key, rows in table.groupby(["module", "target"], sort=False)}
    columns = min(len(modules), MOST_COLUMNS)
    rows = math.ceil(len(modules) / columns)
    width, height = PANEL_INCHES[view]
    page = (width * columns + 1, height * rows * len(targets) + LEGEND_INCHES)
    figure = Figure(SINGLE_PANEL_INCHES if len(grids) == 1 else page, layout="constrained")
    for part, target in zip(figure.subfigures(len(targets), squeeze=False).flat, targets, strict=True):
        cells = part.add_gridspec(rows, columns)
        _draw_target(part, target, [(module, grids.get((module, target))) for module in modules], cells, view)
    legend_columns = int(figure.get_figwidth() // LEGEND_COLUMN_INCHES)
    figure.legend(handles=legend(view), loc="outside lower center", ncols=legend_columns, frameon=False, fontsize=9)
    return figure


def _draw_target(
    part: "SubFigure", target: str, panels: Sequence[tuple[str, Grid | None]], cells: "GridSpec", view: View
) -> None:
    """Draw a panel per module, in the same cell for all targets, and the colour bar of the losses."""
    from matplotlib.ticker import LogLocator

    scale = colours(target, view)
    drawn = []
    for position, (module, grid) in enumerate(panels):
        if grid is None:
            axes = part.add_subplot(cells[position])
            draw_absence(axes, target)
        elif view == "surface":
            axes = part.add_subplot(cells[position], projection="3d", computed_zorder=False)
            draw_surface(axes, grid, scale)
        else:
            axes = part.add_subplot(cells[position])
            draw_contour(axes, grid, scale)
        axes.set_title(SLICES[module].title, fontsize=10)
        drawn.append(axes)
    part.suptitle(f"{target.capitalize()} of 2.2 and 6: target {TARGETS[target]:.4g}", fontsize=11)
    extend, ticks = ("both", LogLocator(subs=(1, 2, 5))) if view == "contour" else ("max", None)
    # The default panchor would move the panels towards the bar.
    part.colorbar(scale, ax=drawn, label="loss", shrink=0.9, panchor=False, extend=extend, ticks=ticks, format="%g")
