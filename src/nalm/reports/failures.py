"""Runs that were not solved, and the expressions that they learnt instead."""

import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from nalm.analysis.results import TrainedRun, learnt_expression
from nalm.analysis.texts import number_text
from nalm.errors import NalmError
from nalm.experiments.seeds import show_seeds
from nalm.reports.blocks import Block, Table

__all__ = ["failures"]

MOST_EXPRESSIONS = 150
"""Greatest number of failed runs per experiment whose expression is computed: each takes hundredths of a second."""


def failures(runs: Iterable[TrainedRun]) -> Iterator[Block]:
    """Yield a table of the runs that were not solved, grouped by the expression that they learnt."""
    failed: dict[tuple[str, str], list[TrainedRun]] = {}
    for run in runs:
        if not run.outcome()["solved"]:
            failed.setdefault((run.variant, run.task), []).append(run)
    if not failed:
        yield "Every run was solved."
        return
    share = max(1, MOST_EXPRESSIONS // len(failed))
    rows = [
        [variant, task, learnt, show_seeds([run.run.seed for run in alike]), str(len(alike)), _median_error(alike)]
        for (variant, task), group in failed.items()
        for learnt, alike in _by_expression(group, share).items()
    ]
    yield Table(
        "Expressions of the final weights, rounded to simple fractions. One that looks correct was not exact enough.",
        ["variant", "range", "learnt instead", "seeds", "failed", "median test error"],
        rows,
    )
    if any(len(group) > share for group in failed.values()):
        yield (
            f"Expressions were computed for the first {share} failed runs of each variant and range; `nalm show` "
            "prints the expression of any run."
        )


def _by_expression(runs: Sequence[TrainedRun], most: int) -> dict[str, list[TrainedRun]]:
    """Group runs by expression, most frequent first; runs beyond the first ``most`` come last, under an ellipsis."""
    found: dict[str, list[TrainedRun]] = {}
    for run in runs[:most]:
        found.setdefault(_learnt(run), []).append(run)
    ordered = dict(sorted(found.items(), key=lambda item: -len(item[1])))
    return ordered | ({"…": list(runs[most:])} if runs[most:] else {})


def _learnt(run: TrainedRun) -> str:
    if run.diverged_at is not None:
        return "diverged"
    if not run.has_parameters:
        return "weights unknown"
    try:
        return learnt_expression(run.module()) or "no expression"
    except NalmError:
        return "module not installed"


def _median_error(runs: Sequence[TrainedRun]) -> str:
    errors = [error for run in runs if (error := run.outcome()["test_error"]) is not None]
    return number_text(float(np.median(errors)) if errors else math.nan, "{:.1e}")
