"""Tables of results for people to read."""

import math
from typing import Any

import pandas as pd

from nalm.cli.console import write_table

__all__ = ["show_runs", "show_summary"]


def show_summary(summary: pd.DataFrame, title: str) -> None:
    """Prints a summary, a line per variant and task and one for all tasks together."""
    headers = ["variant", "task", "solved", "success [95 %]", "iteration: median", "mean [95 %]", "sparsity [95 %]"]
    rows, last = [], None
    for row in summary.to_dict(orient="records"):
        total = not isinstance(row["task"], str)
        rows.append(
            [
                row["variant"] if row["variant"] != last else "",
                "all" if total else row["task"],
                f"{row['solved']}/{row['runs']}",
                _interval(row["success_rate"], row["success_low"], row["success_high"], "{:.1%}"),
                _number(row["iterations_median"], "{:,.0f}"),
                _interval(row["iterations_mean"], row["iterations_low"], row["iterations_high"], "{:,.0f}"),
                _interval(row["sparsity_error"], row["sparsity_low"], row["sparsity_high"], "{:.1e}"),
            ]
        )
        last = row["variant"]
    write_table(headers, rows, title)


def show_runs(runs: pd.DataFrame) -> None:
    """Prints a line per run."""
    errors = ("validation_error", "test_error", "sparsity_error")
    rows = [
        [
            row["variant"],
            row["task"],
            str(row["seed"]),
            "yes" if row["solved"] else "no",
            _number(row["iteration_solved"], "{:,}"),
            *(_number(row[name], "{:.3g}") for name in errors),
            _number(row["diverged_at"], "{:,}"),
        ]
        for row in runs.to_dict(orient="records")
    ]
    write_table(["variant", "task", "seed", "solved", "at iteration", *errors, "diverged at"], rows)


def _number(value: Any, form: str) -> str:
    return "–" if value is None or value is pd.NA or math.isnan(value) else form.format(value)


def _interval(value: float, low: float, high: float, form: str) -> str:
    if math.isnan(value):
        return "–"
    bounds = "" if math.isnan(low) else f" [{form.format(low)}, {form.format(high)}]"
    return form.format(value) + bounds
