"""Format numbers of results for the terminal and for pages."""

import math
import numbers
from collections.abc import Hashable, Mapping
from typing import Any

__all__ = ["estimate_texts", "interval_text", "is_missing", "number_text", "task_text"]


def task_text(task: Any) -> str:
    """Return the label of a task; ``all`` for all tasks together, whose label is not a string."""
    return task if isinstance(task, str) else "all"


def is_missing(value: Any) -> bool:
    """Tell whether a number is missing: None, NaN, or what pandas puts in its place."""
    return not isinstance(value, numbers.Real) or math.isnan(value)


def number_text(value: Any, form: str) -> str:
    """Format a number, with a format such as ``{:,.0f}``; a missing number is a dash."""
    return "–" if is_missing(value) else form.format(value)


def interval_text(value: float, low: float, high: float, form: str) -> str:
    """Format a number with its interval, if it has one; a missing number is a dash."""
    if math.isnan(value):
        return "–"
    bounds = "" if math.isnan(low) else f" [{form.format(low)}, {form.format(high)}]"
    return form.format(value) + bounds


def estimate_texts(row: Mapping[Hashable, Any]) -> list[str]:
    """Format the estimates of a summary's row: runs solved, success, median and mean iteration, sparsity error."""
    return [
        f"{row['solved']}/{row['runs']}",
        interval_text(row["success_rate"], row["success_low"], row["success_high"], "{:.1%}"),
        number_text(row["iterations_median"], "{:,.0f}"),
        interval_text(row["iterations_mean"], row["iterations_low"], row["iterations_high"], "{:,.0f}"),
        interval_text(row["sparsity_error"], row["sparsity_low"], row["sparsity_high"], "{:.1e}"),
    ]
