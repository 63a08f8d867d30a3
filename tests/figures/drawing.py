"""Draw figures, and find what is in the picture."""

from copy import deepcopy
from typing import TypeAlias

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.figure import Figure
from matplotlib.text import Text
from plotnine import ggplot

Points: TypeAlias = np.ndarray[tuple[int, ...], np.dtype[np.float64]]


def drawn(figure: ggplot) -> Figure:
    """Draw a figure; drawing changes a plot, so a copy is drawn."""
    picture = deepcopy(figure).draw()
    picture.canvas.draw()
    plt.close(picture)
    return picture


def texts(picture: Figure) -> list[str]:
    """Return every text that is not empty."""
    return [text.get_text() for text in picture.findobj(Text) if isinstance(text, Text) and text.get_text()]


def segments_of(axes: Axes) -> list[Points]:
    """Return the parts of every collection of lines, each with shape ``(points, 2)``."""
    collections = [lines for lines in axes.collections if isinstance(lines, LineCollection)]
    return [np.asarray(part) for lines in collections for part in lines.get_segments()]


def lines_of(axes: Axes) -> list[Points]:
    """Return every line with shape ``(points, 2)``, without the straight ones, which cross the whole panel."""
    found = [np.asarray(line.get_xydata()) for line in axes.lines]
    return [line for line in [*found, *segments_of(axes)] if len(line) > 2]


def dots_of(axes: Axes) -> list[list[float]]:
    """Return the x and y of every point."""
    dots = [group for group in axes.collections if isinstance(group, PathCollection)]
    return [list(map(float, point)) for group in dots for point in np.asarray(group.get_offsets())]
