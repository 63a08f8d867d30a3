"""Figures and the tables behind them.

Each kind of figure of an experiment's results is one file here, which declares a :class:`FigureKind`, and one line in
:data:`FIGURES`. Another package adds kinds by entry points in the group ``nalm.figures``.
"""

from typing import Any

from nalm.figures.kind import FigureKind
from nalm.registry import Registry

__all__ = ["FIGURES", "FigureKind"]


def _check(path: str, thing: Any) -> None:
    if not isinstance(thing, FigureKind):
        raise ValueError(f"found {type(thing).__name__} at {path}, expected a nalm.figures.FigureKind")


FIGURES: Registry[FigureKind] = Registry(
    "kind of figure",
    "figures",
    {
        "panels": "nalm.figures.panels:FIGURE",
        "curves": "nalm.figures.curves:FIGURE",
        "weights": "nalm.figures.weights:FIGURE",
        "weight-map": "nalm.figures.weight_map:FIGURE",
        "heatmap": "nalm.figures.heatmap:FIGURE",
        "survival": "nalm.figures.survival:FIGURE",
        "pairs": "nalm.figures.pairs:FIGURE",
        "lengths": "nalm.figures.lengths:FIGURE",
    },
    check=_check,
    example="mypackage.figures:HISTOGRAM",
)
"""Kinds of figures of an experiment's results, by name."""
