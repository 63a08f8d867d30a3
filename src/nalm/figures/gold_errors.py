"""Figure 5: test errors of gold weights when dividing by small numbers, beside the published errors."""

import csv
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from nalm.figures.saving import save, write_table
from nalm.figures.style import COLOURS, SHAPES, check_figures, distinct, plotnine, theme
from nalm.modules import NMRU, NRU, ArithmeticModule, RealNPU
from nalm.tasks.subsets.task import SubsetTask
from nalm.tasks.subsets.thresholds import gold_error

if TYPE_CHECKING:
    from plotnine import ggplot

__all__ = ["gold_error_figure", "gold_errors", "reproduce_gold_errors"]

TASKS: dict[str, dict[str, Any]] = {
    "easy": {"operation": "reciprocal", "input_size": 1, "subset_ratio": 1, "subsets": 1},
    "medium": {"operation": "reciprocal"},
    "hard": {"operation": "div"},
}
"""Fields of each task: 1/a of one input, 1/a of two inputs, a/b."""

EXPONENTS = range(-8, 1)
"""Exponents of the upper ends of the ranges U[0, 10^exponent)."""

PANELS = {
    "easy": "Input: [a]; Output: 1/a",
    "medium": "Input: [a,b]; Output: 1/a",
    "hard": "Input: [a,b]; Output: a/b",
}
LIMITS = (1e-13, 1e21)


def gold_errors() -> pd.DataFrame:
    """Measure the test errors of the division modules with gold weights: the numbers of the paper's Figure 5.

    Everything is computed in float32. Training cannot reach smaller errors. Inputs are rounded to float32 after the
    targets are computed, so no error is 0. The Real NPU's errors are large because it adds a constant to every
    magnitude.

    References:
        Learning Division with Neural Arithmetic Logic Modules (Mistry, Farrahi & Hare, 2021),
        https://arxiv.org/abs/2110.05177

    Returns:
        A row per ``module``, ``task`` (``easy``: 1/a of one input, ``medium``: 1/a of two, ``hard``: a/b) and ``range``
        of the inputs, with the ``error``, the ``published`` error, and the ``relative_difference`` of the two.
    """
    published = _published_errors()
    rows = []
    for module in ("RealNPU", "RealNPU (eps=0)", "NRU", "NMRU"):
        for label, fields in TASKS.items():
            for exponent in EXPONENTS:
                high = float(f"1e{exponent}")
                task = SubsetTask.model_validate(fields | {"train": [0, high], "test": [0, high]})
                rows.append(
                    {
                        "module": module,
                        "task": label,
                        "range": f"U[0,1e{exponent:+d})",
                        "error": gold_error(task, _module(module, task.input_size)),
                        "published": published[module, label, high],
                    }
                )
    frame = pd.DataFrame(rows)
    return frame.assign(relative_difference=frame["error"] / frame["published"] - 1)


def _module(name: str, in_features: int) -> ArithmeticModule:
    match name:
        case "NRU":
            return NRU(in_features, 1)
        case "NMRU":
            return NMRU(in_features, 1)
        case "RealNPU":
            return RealNPU(in_features, 1)
        case _:
            return RealNPU(in_features, 1, eps=0.0)


def _published_errors() -> dict[tuple[str, str, float], float]:
    """Read the published errors, by module, task and upper end of the range."""
    file = resources.files("nalm.figures") / "reference" / "gold-errors.csv"
    with file.open(encoding="utf-8") as text:
        rows = csv.DictReader(line for line in text if not line.startswith("#"))
        return {(row["module"], row["task"], float(row["high"])): float(row["error"]) for row in rows}


def gold_error_figure(frame: pd.DataFrame) -> "ggplot":
    """Draw the test errors of gold weights: a panel per task, a line per module.

    Arguments:
        frame: a table as :func:`nalm.gold_errors` returns it.

    Raises:
        NalmError: plotnine is not installed.
    """
    p9 = plotnine()
    modules = list(frame["module"].unique())
    dodge = p9.position_dodge(width=0.5)  # otherwise the NMRU hides the NRU
    points = pd.DataFrame(
        {
            "module": pd.Categorical(frame["module"], categories=modules),
            "range": pd.Categorical(frame["range"], categories=list(frame["range"].unique())),
            "panel": pd.Categorical(frame["task"].map(PANELS), categories=list(PANELS.values())),
            "error": frame["error"],
        }
    )
    figure: ggplot = (
        p9.ggplot(points, p9.aes("range", "error", colour="module", shape="module", linetype="module", group="module"))
        + p9.geom_line(position=dodge, size=0.4)
        + p9.geom_point(position=dodge, size=1.6)
        + p9.facet_wrap("panel", ncol=3)
        + p9.scale_y_log10(limits=LIMITS, breaks=[10.0**power for power in range(-12, 21, 4)])
        + p9.scale_colour_manual(values=distinct(COLOURS, len(modules)))
        + p9.scale_shape_manual(values=distinct(SHAPES, len(modules)))
        + p9.labs(x="Data sample range", y="Test error (log scale)")
        + theme()
        + p9.theme(panel_grid_minor=p9.element_blank())
    )
    return figure


def reproduce_gold_errors(out: Path | str = "results") -> list[Path]:
    """Write Figure 5 (PDF, PNG) and its numbers (CSV) into a directory.

    Returns:
        The files.

    Raises:
        NalmError: a file cannot be written, or plotnine is not installed.
    """
    check_figures()
    table, *pictures = (Path(out) / f"figure-5.{suffix}" for suffix in ("csv", "pdf", "png"))
    frame = gold_errors()
    write_table(frame, table)
    figure = gold_error_figure(frame)
    for path in pictures:
        save(figure, path)
    return [table, *pictures]
