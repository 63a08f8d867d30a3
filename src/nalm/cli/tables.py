"""Tables of results that people read."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nalm
from nalm.analysis.texts import estimate_texts, interval_text, number_text, task_text
from nalm.cli.console import say, write_table

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["say_missing", "show_comparison", "show_pairs", "show_runs", "show_summary"]

Row = Mapping[Hashable, Any]


def say_missing(results: "nalm.Results", directory: Path) -> None:
    """Print how many runs of an experiment are missing, if any."""
    if results.missing:
        missing = f"{results.missing} of {results.experiment.runs} runs (variants × tasks × seeds)"
        say(f"nalm: {missing} of {results.experiment.name} are not in {directory}")


def show_summary(summary: "pd.DataFrame", title: str) -> None:
    """Print a summary: a line per variant and task, and one per variant for all tasks."""
    headers = ["variant", "task", "solved", "success [95 %]", "iteration: median", "mean [95 %]", "sparsity [95 %]"]
    rows, last = [], None
    for row in summary.to_dict(orient="records"):
        rows.append([row["variant"] if row["variant"] != last else "", task_text(row["task"]), *estimate_texts(row)])
        last = row["variant"]
    write_table(headers, rows, title)


def show_runs(runs: "pd.DataFrame") -> None:
    """Print a line per run."""
    errors = ("validation_error", "test_error", "sparsity_error")
    rows = [
        [
            row["variant"],
            row["task"],
            str(row["seed"]),
            "yes" if row["solved"] else "no",
            number_text(row["iteration_solved"], "{:,}"),
            *(number_text(row[name], "{:.3g}") for name in errors),
            number_text(row["diverged_at"], "{:,}"),
        ]
        for row in runs.to_dict(orient="records")
    ]
    write_table(["variant", "task", "seed", "solved", "at iteration", *errors, "diverged at"], rows)


def show_comparison(table: "pd.DataFrame") -> None:
    """Print our results beside published ones, a table per experiment."""
    from nalm.analysis.comparison import published_text

    headers = ["variant", "task", "solved", "success [95 %]", "published", "source", "difference [95 %]", "verdict"]

    def cells(row: Row) -> list[str]:
        cited = isinstance(row["url"], str)
        return [
            f"{row['solved']}/{row['runs']}",
            interval_text(row["success_rate"], row["success_low"], row["success_high"], "{:.1%}"),
            published_text(row),
            f"{row['url'].removeprefix('https://')} [{row['provenance']}]" if cited else "–",
            interval_text(row["difference"], row["difference_low"], row["difference_high"], "{:.1%}"),
            row["verdict"],
        ]

    _show_by_experiment(table, headers, cells)


def show_pairs(table: "pd.DataFrame") -> None:
    """Print how pairs of runs ended in two sets of results, a table per experiment."""
    counts = ["both", "first_only", "second_only", "neither"]
    headers = ["variant", "task", "pairs", *(count.replace("_", " ") for count in counts)]

    def cells(row: Row) -> list[str]:
        return [
            *(str(row[count]) for count in ("pairs", *counts)),
            interval_text(row["difference"], row["difference_low"], row["difference_high"], "{:.1%}"),
            number_text(row["p_value"], "{:.2g}"),
            row["verdict"],
        ]

    _show_by_experiment(table, [*headers, "difference [95 %]", "McNemar p", "verdict"], cells)


def _show_by_experiment(table: "pd.DataFrame", headers: Sequence[str], cells: Callable[[Row], list[str]]) -> None:
    for name, of_experiment in table.groupby("experiment", sort=False):
        rows, last = [], None
        for row in of_experiment.to_dict(orient="records"):
            rows.append([row["variant"] if row["variant"] != last else "", task_text(row["task"]), *cells(row)])
            last = row["variant"]
        write_table(headers, rows, str(name))
