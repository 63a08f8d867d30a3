"""Tables of results for people to read."""

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

import nalm
from nalm.analysis.comparison import published_text
from nalm.cli.console import say, write_table

__all__ = ["say_missing", "show_comparison", "show_pairs", "show_runs", "show_summary"]

Row = Mapping[Hashable, Any]


def say_missing(results: nalm.Results, directory: Path) -> None:
    """Says how many runs of an experiment are not there, if any."""
    if results.missing:
        missing = f"{results.missing} of {results.experiment.runs} runs (variants × tasks × seeds)"
        say(f"nalm: {missing} of {results.experiment.name} are not in {directory}")


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


def show_comparison(table: pd.DataFrame) -> None:
    """Prints ours beside what is published, a table per experiment."""
    headers = ["variant", "task", "solved", "success [95 %]", "published", "source", "difference [95 %]", "verdict"]

    def cells(row: Row) -> list[str]:
        cited = isinstance(row["url"], str)
        return [
            f"{row['solved']}/{row['runs']}",
            _interval(row["success_rate"], row["success_low"], row["success_high"], "{:.1%}"),
            published_text(row),
            f"{row['url'].removeprefix('https://')} [{row['provenance']}]" if cited else "–",
            _interval(row["difference"], row["difference_low"], row["difference_high"], "{:.1%}"),
            row["verdict"],
        ]

    _show_by_experiment(table, headers, cells)


def show_pairs(table: pd.DataFrame) -> None:
    """Prints what became of pairs of runs in two sets of results, a table per experiment."""
    counts = ["both", "first_only", "second_only", "neither"]
    headers = ["variant", "task", "pairs", *(count.replace("_", " ") for count in counts)]

    def cells(row: Row) -> list[str]:
        return [
            *(str(row[count]) for count in ("pairs", *counts)),
            _interval(row["difference"], row["difference_low"], row["difference_high"], "{:.1%}"),
            _number(row["p_value"], "{:.2g}"),
            row["verdict"],
        ]

    _show_by_experiment(table, [*headers, "difference [95 %]", "McNemar p", "verdict"], cells)


def _show_by_experiment(table: pd.DataFrame, headers: Sequence[str], cells: Callable[[Row], list[str]]) -> None:
    for name, of_experiment in table.groupby("experiment", sort=False):
        rows, last = [], None
        for row in of_experiment.to_dict(orient="records"):
            task = row["task"] if isinstance(row["task"], str) else "all"
            rows.append([row["variant"] if row["variant"] != last else "", task, *cells(row)])
            last = row["variant"]
        write_table(headers, rows, str(name))


def _number(value: Any, form: str) -> str:
    return "–" if value is None or value is pd.NA or math.isnan(value) else form.format(value)


def _interval(value: float, low: float, high: float, form: str) -> str:
    if math.isnan(value):
        return "–"
    bounds = "" if math.isnan(low) else f" [{form.format(low)}, {form.format(high)}]"
    return form.format(value) + bounds
