"""The declaration that every kind of figure makes."""

__all__ = ["FigureKind"]

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd
    from plotnine import ggplot

    from nalm.analysis.results import Results
    from nalm.experiments.experiment import Experiment


@dataclass(frozen=True)
class FigureKind:
    """A kind of figure of one experiment's results.

    ``draw`` and ``table`` take the results, the labels of variants and the labels of tasks; no labels means all.

    Arguments:
        title: what it shows, in one sentence.
        draw: draws the figure.
        table: computes the numbers behind the figure.
        suits: tells whether it can show an experiment; by default any.
    """

    title: str
    draw: "Callable[[Results, Sequence[str], Sequence[str]], ggplot]"
    table: "Callable[[Results, Sequence[str], Sequence[str]], pd.DataFrame]"
    suits: "Callable[[Experiment], bool]" = lambda experiment: True
