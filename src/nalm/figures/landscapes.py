"""Figures of loss landscapes: a panel for each module."""

__all__ = ["draw_landscapes", "plot_landscapes", "reproduce_landscapes"]

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from nalm.analysis.landscapes import EPSILON, SLICES, TARGETS, landscapes
from nalm.errors import NalmError
from nalm.figures.landscape_panels import KINDS, Grid, Kind, colours, draw_absence, draw_contour, draw_surface, legend
from nalm.figures.style import check_figures, save

if TYPE_CHECKING:
    from matplotlib.figure import Figure, SubFigure
    from matplotlib.gridspec import GridSpec

WIDEST = 4
ALONE_INCHES = (10, 6)
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
    """Draws loss landscapes, a panel for each module, into a PDF, PNG or SVG file.

    Arguments:
        output: the file.
        modules: some of ``landscape_names(target)``; all of them if none is given.
        target: ``product`` or ``quotient``.
        kind: ``contour`` or ``surface``.
        epsilon: as in :func:`nalm.landscape`.

    Raises:
        NalmError: there is no such landscape or kind, the file cannot be written, its suffix is another, or plotnine is
            not installed.
    """
    save(draw_landscapes(landscapes(modules, target, epsilon=epsilon), kind), Path(output))


def reproduce_landscapes(out: Path | str = "results") -> list[Path]:
    """Writes Figure 9, all modules and both targets, into a directory, and returns the files.

    ``figure-9.csv`` has every tenth point of the grid in each direction; :func:`nalm.landscape` gives all.

    Raises:
        NalmError: a file cannot be written, or plotnine is not installed.
    """
    check_figures()
    table = pd.concat([landscapes(target=target) for target in TARGETS])
    path = Path(out) / "figure-9.csv"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        table[_is_tenth(table["w1"]) & _is_tenth(table["w2"])].to_csv(path, index=False)
    except OSError as error:
        raise NalmError(f"cannot write {path}: {error.strerror}") from None
    written = [path]
    for kind in KINDS:
        figure = draw_landscapes(table, kind)
        for suffix in ("pdf", "png"):
            written.append(path.with_name(f"figure-9-{kind}.{suffix}"))
            save(figure, written[-1])
    return written


def _is_tenth(weights: pd.Series) -> pd.Series:
    return (weights * 100).round() % 10 == 0


def draw_landscapes(table: pd.DataFrame, kind: str = "contour") -> "Figure":
    """Draws a panel for each module, target by target, in the order of the rows.

    Arguments:
        table: rows as :func:`nalm.landscape` gives them.
        kind: ``contour`` or ``surface``.

    Raises:
        NalmError: there is no such kind, or plotnine is not installed.
    """
    check_figures()
    from matplotlib.figure import Figure

    if kind not in KINDS:
        raise NalmError(f"found unknown kind {kind!r}, expected one of: {', '.join(KINDS)}")
    modules, targets = ([str(name) for name in table[column].unique()] for column in ("module", "target"))
    grids = {key: Grid.of(rows) for key, rows in table.groupby(["module", "target"], sort=False)}
    columns = min(len(modules), WIDEST)
    rows = math.ceil(len(modules) / columns)
    width, height = PANEL_INCHES[kind]
    page = (width * columns + 1, height * rows * len(targets) + LEGEND_INCHES)
    figure = Figure(ALONE_INCHES if len(grids) == 1 else page, layout="constrained")
    for part, target in zip(figure.subfigures(len(targets), squeeze=False).flat, targets, strict=True):
        places = part.add_gridspec(rows, columns)
        _draw_target(part, target, [(module, grids.get((module, target))) for module in modules], places, kind)
    in_a_row = int(figure.get_figwidth() // LEGEND_COLUMN_INCHES)
    figure.legend(handles=legend(kind), loc="outside lower center", ncols=in_a_row, frameon=False, fontsize=9)
    return figure


def _draw_target(
    part: "SubFigure", target: str, panels: Sequence[tuple[str, Grid | None]], places: "GridSpec", kind: Kind
) -> None:
    """Draws a panel for each module, in the same place for all targets, and the scale of the losses."""
    from matplotlib.ticker import LogLocator

    scale = colours(target, kind)
    drawn = []
    for position, (module, grid) in enumerate(panels):
        if grid is None:
            axes = part.add_subplot(places[position])
            draw_absence(axes, target)
        elif kind == "surface":
            axes = part.add_subplot(places[position], projection="3d", computed_zorder=False)
            draw_surface(axes, grid, scale)
        else:
            axes = part.add_subplot(places[position])
            draw_contour(axes, grid, scale)
        axes.set_title(SLICES[module].title, fontsize=10)
        drawn.append(axes)
    part.suptitle(f"{target.capitalize()} of 2.2 and 6: target {TARGETS[target]:.4g}", fontsize=11)
    extend, ticks = ("both", LogLocator(subs=(1, 2, 5))) if kind == "contour" else ("max", None)
    # By its default, panchor would move the panels to the bar.
    part.colorbar(scale, ax=drawn, label="loss", shrink=0.9, panchor=False, extend=extend, ticks=ticks, format="%g")
