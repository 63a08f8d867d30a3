"""Outcomes of all runs of an experiment at once, from the few columns of the store that decide them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nalm.analysis.statistics import bca_mean, gamma_mean, wilson
from nalm.experiments.experiment import Experiment
from nalm.experiments.runs import runs_of
from nalm.spec.task import Judged, Task
from nalm.spec.thresholds import Threshold
from nalm.store.store import Store

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Outcomes", "group_statistics", "has_references"]

SERIES = ("iteration", "validation_error", "test_error", "sparsity_error")
ERRORS = SERIES[1:]
LENGTHS, DIVERGED_AT = "lengths", "diverged_at"
NEVER = -1
"""Iteration at which runs diverge that never do."""

Numbers = npt.NDArray[Any]
Integers = npt.NDArray[np.int64]
Booleans = npt.NDArray[np.bool_]


class Outcomes:
    """The outcomes of the finished runs of an experiment.

    Evaluations of all runs stand one after another in flat arrays.

    Arguments:
        experiment: the experiment.
        store: the results directory.
    """

    def __init__(self, experiment: Experiment, store: Store) -> None:
        every = list(runs_of(experiment))
        keys: list[str] = []
        parts: list[dict[str, Numbers]] = []
        for table, _ in store.runs({run.key for _, _, run in every}, ("key", *SERIES, "diverged_at")):
            keys += table["key"].to_pylist()
            parts.append(_arrays(table))
        rows = {key: row for row, key in enumerate(keys)}
        self.labelled = [item for item in every if item[2].key in rows]
        """Labels of variant and task, and the run, of each finished run, in the experiment's order."""
        if self.labelled:
            self._place(parts, np.array([rows[run.key] for _, _, run in self.labelled], dtype=np.int64))

    def _place(self, parts: list[dict[str, Numbers]], rows: Integers) -> None:
        """Put the evaluations of runs in order.

        Arguments:
            parts: arrays of the files, which are emptied.
            rows: the row in all files together of each run.
        """
        lengths, diverged_at = (np.concatenate([part.pop(name) for part in parts]) for name in (LENGTHS, DIVERGED_AT))
        self._diverged_at = diverged_at[rows]
        self._lengths = lengths[rows]
        self._ends = np.cumsum(self._lengths)
        first = np.cumsum(lengths) - lengths
        positions = np.repeat(first[rows] - self._ends + self._lengths, self._lengths) + np.arange(self._ends[-1])
        self._series = {name: np.concatenate([part.pop(name) for part in parts])[positions] for name in SERIES}
        self._owners = np.repeat(np.arange(len(rows)), self._lengths)

    @cached_property
    def references(self) -> dict[str, Threshold]:
        """Thresholds that follow from finished runs, by the labels of the tasks that have such."""
        found: dict[str, Threshold] = {}
        for family in {type(run.task) for _, _, run in self.labelled}:
            found |= family.reference_thresholds(self._judged(family))
        return found

    def _judged(self, family: type[Task]) -> Iterator[Judged]:
        for row, (_, label, run) in enumerate(self.labelled):
            if type(run.task) is family:
                own = slice(self._ends[row] - self._lengths[row], self._ends[row])
                validation, test = (self._series[name][own].tolist() for name in ("validation_error", "test_error"))
                yield Judged(label, run.task, run.recipe, validation, test)

    @cached_property
    def frame(self) -> pd.DataFrame:
        """A row per run, as `TrainedRun.outcome` tells it."""
        import pandas as pd

        if not self.labelled:
            return pd.DataFrame([])
        limits, rows = self._limits()
        met = self._series["test_error"] <= limits[self._owners]
        crossings, best = self._first(met), self._best(rows)
        solved = (best >= 0) & _at(met, best, False)
        return pd.DataFrame(
            {
                "variant": [variant for variant, _, _ in self.labelled],
                "task": [task for _, task, _ in self.labelled],
                "seed": [run.seed for _, _, run in self.labelled],
                "solved": solved,
                "iteration_solved": pd.arrays.IntegerArray(_at(self._series["iteration"], crossings, 0), crossings < 0),
                **{name: _at(self._series[name], best, np.nan) for name in ERRORS},
                DIVERGED_AT: pd.arrays.IntegerArray(self._diverged_at, self._diverged_at == NEVER),
            }
        )

    @cached_property
    def thresholds(self) -> dict[tuple[str, str], Threshold]:
        """The thresholds that decide whether runs are solved, by labels of variant and task."""
        known: dict[tuple[str, str], Threshold] = {}
        for variant, task, run in self.labelled:
            if (variant, task) not in known:
                known[variant, task] = self.references.get(task) or run.threshold
        return known

    def _limits(self) -> tuple[Numbers, Integers]:
        """Return for each run the greatest error that meets its threshold, and how many evaluations are searched."""
        known = {labels: (threshold.greatest, threshold.rows) for labels, threshold in self.thresholds.items()}
        limits, rows = zip(*(known[variant, task] for variant, task, _ in self.labelled), strict=True)
        return np.array(limits), np.array(rows)

    def _best(self, rows: Integers) -> Integers:
        """Return the position of each run's best evaluation, as `best_row` does; -1 for runs without any."""
        evaluated = self._lengths > 0
        from_end = self._ends[self._owners] - np.arange(len(self._owners))
        validation = np.where(from_end <= rows[self._owners], self._series["validation_error"], np.nan)
        least = np.full(len(self._lengths), np.nan)
        if evaluated.any():
            least[evaluated] = np.fmin.reduceat(validation, (self._ends - self._lengths)[evaluated])
        best = self._first(validation == least[self._owners])
        return np.where((best < 0) & evaluated, self._ends - 1, best)  # all are NaN

    def _first(self, chosen: Booleans) -> Integers:
        """Return the position of each run's first chosen evaluation, or -1."""
        first = np.full(len(self._lengths), -1)
        positions = np.flatnonzero(chosen)[::-1]
        first[self._owners[positions]] = positions  # the last one that is assigned stays
        return first


def has_references(experiment: Experiment) -> bool:
    """Tell whether thresholds of the experiment may follow from finished runs."""
    inherited = Task.reference_thresholds.__func__  # type: ignore[attr-defined]
    families = {type(task) for task in experiment.tasks.values()}
    return any(family.reference_thresholds.__func__ is not inherited for family in families)  # type: ignore[attr-defined]


def group_statistics(group: pd.DataFrame) -> dict[str, Any]:
    """Return the statistics of some rows of a frame of outcomes: success rate, speed and sparsity."""
    solved = group[group["solved"]]
    success = wilson(len(solved), len(group))
    steps = solved["iteration_solved"].to_numpy(dtype=np.float64)
    iterations = gamma_mean(steps)
    sparsity_errors = solved["sparsity_error"].to_numpy(dtype=np.float64)
    sparsity = bca_mean(sparsity_errors[np.isfinite(sparsity_errors)])
    return {
        "runs": len(group),
        "solved": len(solved),
        "success_rate": success.value,
        "success_low": success.low,
        "success_high": success.high,
        "iterations_median": float(np.median(steps)) if len(steps) else float("nan"),
        "iterations_mean": iterations.value,
        "iterations_low": iterations.low,
        "iterations_high": iterations.high,
        "iterations_method": iterations.method,
        "sparsity_error": sparsity.value,
        "sparsity_low": sparsity.low,
        "sparsity_high": sparsity.high,
        "sparsity_method": sparsity.method,
    }


def _arrays(table: pa.Table) -> dict[str, Numbers]:
    """Return the number of evaluations of each run, when it diverged, and all evaluations, without Arrow's buffers."""
    lists = {name: table[name].combine_chunks() for name in SERIES}
    return {
        LENGTHS: lists["iteration"].value_lengths().to_numpy().astype(np.int64),
        DIVERGED_AT: table[DIVERGED_AT].combine_chunks().fill_null(NEVER).to_numpy().copy(),
        **{name: column.flatten().to_numpy(zero_copy_only=False).copy() for name, column in lists.items()},
    }


def _at(values: Numbers, positions: Integers, missing: Any) -> Numbers:
    """Return the values at positions, and something else at the position -1."""
    if not len(values):
        return np.full(len(positions), missing, values.dtype)
    return np.where(positions < 0, np.array(missing, values.dtype), values[positions])
