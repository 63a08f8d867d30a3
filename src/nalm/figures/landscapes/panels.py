"""The panel of one loss landscape, as contours or as a surface, with gold weights and singularities marked."""

__all__ = ["VIEWS", "Grid", "View", "colours", "draw_absence", "draw_contour", "draw_surface", "legend"]

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from nalm.figures.landscapes.table import SLICES, TARGETS, Slice, has_gold

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable

Floats = npt.NDArray[np.float64]
View = Literal["contour", "surface"]
VIEWS: tuple[View, ...] = ("contour", "surface")

TICKS = (-1, 0, 1)
CUTS = {"product": 30.0, "quotient": 2.0}
"""Greatest loss that is shown, by target: higher peaks are cut, since they would flatten everything else."""

COLOUR_MAPS = {"contour": "viridis", "surface": "Spectral"}
"""A perceptually uniform map, safe for colour-blind readers, and the original's colours."""

LEVELS = 26
DECADES = 2
"""Powers of ten between the lowest contour and the cut."""

STRIDE = 2
"""Grid points per facet of a surface; even, so that facets have corners at weights of 0."""

ELEVATION, AZIMUTH = 45, -45
ABOVE, OUTSIDE = "0.85", "0.93"
LINES: dict[str, dict[str, Any]] = {
    "infinite": {"label": "result → ±∞ as w1, ε → 0", "linestyle": "-"},
    "steep": {"label": "result bounded, gradient → ±∞ as w1, ε → 0", "linestyle": (0, (2.5, 1.2))},
    "stationary": {"label": "gradient is 0", "linestyle": (0, (0.7, 1.0))},
}
LINE: dict[str, Any] = {"color": "black", "linewidth": 1.4}
STAR: dict[str, Any] = {
    "marker": "*",
    "markersize": 11,
    "color": "#D55E00",
    "markeredgecolor": "white",
    "linestyle": "none",
    "label": "gold weights",
}


@dataclass(frozen=True)
class Grid:
    """A landscape inside its module's domain.

    Arguments:
        module: name of the landscape.
        target: ``product`` or ``quotient``.
        loss: losses, with a row per w2 and a column per w1.
        result: results of the two layers, likewise.
    """

    module: str
    target: str
    loss: pd.DataFrame
    result: pd.DataFrame

    @classmethod
    def from_rows(cls, rows: pd.DataFrame) -> "Grid":
        """Make the grid of one module and target from rows of :func:`nalm.landscape`."""
        module, target = rows["module"].iloc[0], rows["target"].iloc[0]
        rows = rows[rows["w2"].between(*SLICES[module].domain)]
        loss, result = (rows.pivot(index="w2", columns="w1", values=value) for value in ("loss", "result"))
        return cls(module, target, loss, result)

    @property
    def slice(self) -> Slice:
        """The module as the second layer."""
        return SLICES[self.module]

    @property
    def points(self) -> tuple[Floats, Floats]:
        """Weights w1 and w2 of every point."""
        w1, w2 = np.meshgrid(self.loss.columns, self.loss.index)
        return w1, w2

    def gold(self) -> list[tuple[float, float]]:
        """Return the points (w1, w2) whose results are exact if epsilon is 0; the sign of w1 does not matter."""
        return [(-1.0, 1.0), (1.0, 1.0)] if has_gold(self.module, self.target) else []

    def marks(self) -> Iterator[tuple[str, Floats, Floats]]:
        """Yield the name of each singularity in ``LINES`` with the w1 and w2 of its line."""
        w1, w2 = np.asarray(self.loss.columns), np.asarray(self.loss.index)
        for name, intervals in (("infinite", self.slice.infinite), ("steep", self.slice.steep)):
            for low, high in intervals.get(self.target, ()):
                along = w2[(w2 >= low) & (w2 <= high)]
                yield name, np.zeros_like(along), along
        if self.slice.stationary:
            yield "stationary", w1, np.zeros_like(w1)

    def height(self, w1: Floats, w2: Floats) -> Floats:
        """Return the loss at the nearest points of the grid, cut like the surface."""
        rows, columns = (
            np.abs(np.asarray(axis) - weights[:, None]).argmin(1)
            for axis, weights in ((self.loss.index, w2), (self.loss.columns, w1))
        )
        heights: Floats = np.minimum(self.loss.to_numpy()[rows, columns], CUTS[self.target])
        return heights


def colours(target: str, view: View) -> "ScalarMappable":
    """Return the colour scale of losses up to the cut."""
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LogNorm, Normalize

    cut = CUTS[target]
    norm = Normalize(0, cut) if view == "surface" else LogNorm(cut / 10**DECADES, cut)
    return ScalarMappable(norm, colormaps[COLOUR_MAPS[view]].with_extremes(over=ABOVE))


def draw_contour(axes: "Axes", grid: Grid, scale: "ScalarMappable") -> None:
    """Draw contours of the loss in steps of equal ratio, the line where it is 0, and the singularities."""
    w1, w2 = grid.points
    loss, cut = grid.loss.to_numpy(), CUTS[grid.target]
    levels = np.geomspace(cut / 10**DECADES, cut, LEVELS)
    axes.contourf(w1, w2, loss, levels, norm=scale.norm, cmap=scale.cmap, extend="min")
    if loss.max() > cut:
        axes.contourf(w1, w2, loss, [cut, np.inf], colors=[ABOVE], hatches=["/////"])
    excess = grid.result.to_numpy() - TARGETS[grid.target]
    if excess.min() < 0 < excess.max():
        axes.contour(w1, w2, excess, [0.0], colors="white", linewidths=1.2)
    low, _ = grid.slice.domain
    axes.axhspan(-1, low, color=OUTSIDE)
    for name, *line in grid.marks():
        axes.plot(*line, **LINES[name], **LINE)
    for point in grid.gold():
        axes.plot(*point, **STAR, clip_on=False, zorder=3)
    axes.set(xlim=(-1, 1), ylim=(-1, 1), xlabel="w1", ylabel="w2", xticks=TICKS, yticks=TICKS)


def draw_surface(axes: Any, grid: Grid, scale: "ScalarMappable") -> None:
    """Draw the loss up to the cut as a surface, as the original does, and the singularities."""
    loss, cut = grid.loss.to_numpy(), CUTS[grid.target]
    axes.plot_surface(
        *grid.points,
        np.minimum(loss, cut),
        facecolors=scale.to_rgba(loss),
        rstride=STRIDE,
        cstride=STRIDE,
        linewidth=0,
        antialiased=False,
        shade=False,
        rasterized=True,  # as vectors, the facets of a page take many megabytes
    )
    for name, *line in grid.marks():
        axes.plot(*line, grid.height(*line), **LINES[name], **LINE, zorder=3)
    for w1, w2 in grid.gold():
        axes.plot(
            [w1], [w2], grid.height(np.array([w1]), np.array([w2])), **STAR, clip_on=False, in_layout=False, zorder=4
        )
    axes.view_init(ELEVATION, AZIMUTH)
    axes.set_box_aspect((1, 1, 0.75), zoom=0.9)
    axes.tick_params(labelsize=8, pad=-1)
    axes.set(xlim=(-1, 1), ylim=(-1, 1), zlim=(0, cut), xticks=TICKS, yticks=TICKS, zticks=[0, cut / 2, cut])
    axes.patch.set_visible(False)  # the background would hide the neighbour's label
    axes.set_xlabel("w1", labelpad=-4)
    axes.set_ylabel("w2", labelpad=-4)
    axes.set_zlabel("loss", labelpad=-2)


def draw_absence(axes: "Axes", target: str) -> None:
    """Write that the module cannot compute the target."""
    axes.set_axis_off()
    axes.text(0.5, 0.5, f"computes no {target}", ha="center", va="center", transform=axes.transAxes)


def legend(view: View) -> list["Artist"]:
    """Return handles for a legend that explains the marks."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch
    from matplotlib.patheffects import withStroke

    lines: list[Artist] = [Line2D([], [], **STAR), *(Line2D([], [], **LINE, **line) for line in LINES.values())]
    if view == "surface":
        return [*lines, Patch(facecolor=ABOVE, label="loss above the scale")]
    outlined = [withStroke(linewidth=2.6, foreground="black")]
    return [
        *lines,
        Patch(facecolor=ABOVE, hatch="/////", label="loss above the scale"),
        Line2D([], [], color="white", linewidth=1.2, path_effects=outlined, label="loss 0"),
        Patch(facecolor=OUTSIDE, label="outside the module's domain"),
    ]
