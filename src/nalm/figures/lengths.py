"""Errors by the length of sequences: how far what was learnt extrapolates."""

__all__ = ["error_lengths"]

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from nalm.analysis.lengths import length_errors
from nalm.analysis.results import Results
from nalm.figures.style import COLOURS, SHAPES, SIZE_INCHES, distinct, plotnine, theme

if TYPE_CHECKING:
    from plotnine import ggplot

PANELS = {
    "Test error": ("median", "low", "high"),
    "Test error, as a multiple of the accumulator's": ("ratio", "low_ratio", "high_ratio"),
}
LEAST, MOST = 1e-6, 1e60
"""Errors beyond are drawn at the edge."""


def error_lengths(results: Results, variants: Sequence[str] = (), tasks: Sequence[str] = ()) -> "ggplot":
    """Draw test errors over the length of sequences, and as multiples of the error of networks that only read digits.

    Points are medians over seeds, bars go from the lowest to the highest; a dotted line is the length of training.

    Arguments:
        results: of an experiment on sequences of images.
        variants: labels; by default all.
        tasks: labels; by default all.

    Raises:
        NalmError: no task is on sequences of images, there is no such variant or task, no runs, or plotnine is not
            installed.
    """
    p9 = plotnine()
    table = length_errors(results, variants, tasks)
    points = _long(table)
    labels = list(points["variant"].cat.categories)
    trained = points[["panel"]].drop_duplicates().merge(table[["trained"]].drop_duplicates(), how="cross")
    one = pd.DataFrame({"panel": pd.Categorical([list(PANELS)[1]], categories=list(PANELS)), "one": [1.0]})
    lengths = sorted(table["tested"].unique())
    wide = lengths[-1] > 50 * lengths[0]
    shown = [length for length in lengths if not wide or length in _RULED or length == lengths[-1]]
    dodge = p9.position_dodge(width=0.02 * (np.log10(lengths[-1] / lengths[0]) if wide else lengths[-1] - lengths[0]))
    figure: ggplot = (
        p9.ggplot(points, p9.aes("tested", "value", ymin="low", ymax="high", colour="variant", shape="variant"))
        + p9.geom_hline(p9.aes(yintercept="one"), data=one, colour="#999999", size=0.4)
        + p9.geom_vline(p9.aes(xintercept="trained"), data=trained, linetype="dotted")
        + p9.geom_line(position=dodge, size=0.5, na_rm=True)
        + p9.geom_linerange(position=dodge, alpha=0.5, na_rm=True)
        + p9.geom_point(position=dodge, size=1.8, na_rm=True)
        + p9.facet_wrap("panel", ncol=2, scales="free_y")
        + p9.scale_y_log10()
        + (p9.scale_x_log10(breaks=shown) if wide else p9.scale_x_continuous(breaks=shown))
        + p9.scale_colour_manual(values=distinct(COLOURS, len(labels)))
        + p9.scale_shape_manual(values=distinct(SHAPES, len(labels)))
        + p9.labs(x="Length of sequences", y="")
        + theme(SIZE_INCHES)
        + p9.theme(axis_title_y=p9.element_blank(), axis_text_x=p9.element_text(rotation=0, ha="center"))
    )
    return figure


_RULED = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


def _long(table: pd.DataFrame) -> pd.DataFrame:
    """One row per variant, task and panel."""
    table = table.assign(low_ratio=table["low"] / table["reference"], high_ratio=table["high"] / table["reference"])
    columns = ["variant", "tested", "value", "low", "high"]
    panels = [
        table[["variant", "tested", *names]].set_axis(columns, axis=1).assign(panel=panel)
        for panel, names in PANELS.items()
        if table[names[0]].notna().any()
    ]
    points = pd.concat(panels, ignore_index=True)
    points[["value", "low", "high"]] = points[["value", "low", "high"]].clip(LEAST, MOST)
    for column in ("variant", "panel"):
        categories = list(points[column].unique()) if column == "variant" else list(PANELS)
        points[column] = pd.Categorical(points[column], categories=categories)
    return points
