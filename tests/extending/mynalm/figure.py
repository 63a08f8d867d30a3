"""A kind of figure of one's own: its table and its drawing."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from nalm.analysis.results import Results
from nalm.figures import FigureKind
from nalm.figures.style import plotnine

if TYPE_CHECKING:
    from plotnine import ggplot


def solved(results: Results, variants: Sequence[str] = (), tasks: Sequence[str] = ()) -> pd.DataFrame:
    return results.runs().groupby("variant")[["solved"]].sum().reset_index()


def bars(results: Results, variants: Sequence[str] = (), tasks: Sequence[str] = ()) -> "ggplot":
    p9 = plotnine()
    return p9.ggplot(solved(results), p9.aes("variant", "solved")) + p9.geom_col()  # type: ignore[no-any-return]


FIGURE = FigureKind("Solved runs of each variant.", bars, solved)
