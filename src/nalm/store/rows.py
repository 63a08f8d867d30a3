"""Rows of a shard: written from the history of its training, and read as typed runs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nalm.experiments.runs import Shard
from nalm.store.columns import BUFFER, COLUMNS, EVALUATION_COLUMNS, PARAMETER, run_table
from nalm.training.history import History

__all__ = ["StoredRun", "shard_table", "stored_runs"]

Array = npt.NDArray[Any]
Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

TASK_AND_SEED = ("task", "seed")
"""Columns that `StoredRun` leaves out: whoever reads runs knows them from the experiment."""


@dataclass(frozen=True, eq=False, kw_only=True)
class StoredRun:
    """One run as the store keeps it.

    Arrays have one entry per evaluation, unless said otherwise. `nalm.store.columns` says what each field means.

    Arguments:
        key: the run's identity.
        diverged_at: iteration of the first NaN weight, if there was one.
        restarts: iterations before which parameters were drawn anew.
        iterations: iterations of the evaluations.
        wall_times: their times, in seconds since the epoch.
        validation_errors: validation errors.
        test_errors: test errors.
        sparsity_errors: sparsity errors.
        criteria: training criterion.
        penalties: weighted sum of the regularizers.
        final_validation_error: validation error after the last update; None for imported runs.
        final_test_error: test error after the last update; None for imported runs.
        flat_parameters: parameters by name, at every evaluation and after training, flat.
        flat_buffers: buffers by name, after training, flat.
        provenance: what the shard's file says about how its runs were made.
    """

    key: str
    diverged_at: int | None
    restarts: Integers
    iterations: Integers
    wall_times: Floats
    validation_errors: Floats
    test_errors: Floats
    sparsity_errors: Floats
    criteria: Floats
    penalties: Floats
    final_validation_error: float | None
    final_test_error: float | None
    flat_parameters: Mapping[str, Floats]
    flat_buffers: Mapping[str, Floats]
    provenance: dict[str, Any]


def stored_runs(table: pa.Table, provenance: dict[str, Any]) -> Iterator[StoredRun]:
    """Yield the runs of a shard's table, as `shard_table` writes it."""
    known = {
        column.field if column.per_evaluation else column.name: _values(table[column.name])
        for column in COLUMNS
        if column.name not in TASK_AND_SEED
    }
    parameters, buffers = (
        {name.removeprefix(prefix): _values(table[name]) for name in table.column_names if name.startswith(prefix)}
        for prefix in (PARAMETER, BUFFER)
    )
    for row in range(table.num_rows):
        yield StoredRun(
            **{attribute: values[row] for attribute, values in known.items()},
            flat_parameters={name: values[row] for name, values in parameters.items()},
            flat_buffers={name: values[row] for name, values in buffers.items()},
            provenance=provenance,
        )


def _values(column: pa.ChunkedArray) -> list[Any]:
    """Return the values of a column, an array for each run if it has lists; arrays can be written to, as torch asks."""
    if pa.types.is_list(column.type):
        lists = column.combine_chunks()
        flat = lists.flatten().to_numpy(zero_copy_only=False).copy()
        lengths = lists.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
        return np.split(flat, np.cumsum(lengths)[:-1])
    values: list[Any] = column.to_pylist()
    return values


def shard_table(shard: Shard, history: History) -> pa.Table:
    """Return a row per run of a shard that has trained.

    A diverged run has the evaluations before its first NaN weight, as in the original's logs, and a run that was
    stopped early has those until then.
    """
    kept = [history.evaluations(run) for run in range(len(shard.runs))]
    values = {column.name: getattr(history, column.field) for column in COLUMNS if column.field}
    values |= {column.name: _by_run(values[column.name], kept) for column in EVALUATION_COLUMNS}
    values["diverged_at"] = [end if end >= 0 else None for end in history.diverged_at.tolist()]
    module_values = {PARAMETER + name: _parameter(history, name, kept) for name in history.parameters[0]}
    module_values |= {BUFFER + name: [row.reshape(-1) for row in rows] for name, rows in history.buffers.items()}
    return run_table(shard.runs, values, module_values)


def _by_run(series: Sequence[float] | Sequence[Array], kept: Sequence[int]) -> Any:
    """Return the evaluations of each run that are kept; all runs share a series of single numbers."""
    rows = np.array(series).T
    return [(rows if rows.ndim == 1 else rows[run])[:count] for run, count in enumerate(kept)]


def _parameter(history: History, name: str, kept: Sequence[int]) -> list[Array]:
    """Return the values of a parameter, flat, for each run: those after training are the last."""
    values = np.stack([parameters[name] for parameters in history.parameters], axis=1)
    return [_until_stopped(history, run, row, kept[run]).reshape(-1) for run, row in enumerate(values)]


def _until_stopped(history: History, run: int, values: Array, kept: int) -> Array:
    """Leave out the evaluations after a run's early stop."""
    *evaluated, last = values
    if not evaluated or not (history.stopped_at[run : run + 1] >= 0).any():
        return values
    return np.stack([*evaluated[:kept], last])
