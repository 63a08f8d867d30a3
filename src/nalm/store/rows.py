"""From the history of a shard to its rows."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nalm.experiments.runs import Shard
from nalm.store.columns import BUFFER, EVALUATION_COLUMNS, PARAMETER, run_table
from nalm.training.history import History

__all__ = ["shard_table"]

Array = npt.NDArray[Any]


def shard_table(shard: Shard, history: History) -> pa.Table:
    """Return a row per run of a shard that has trained.

    A diverged run has the evaluations before its first NaN weight, as in the original's logs, and a run that was
    stopped early has those until then.
    """
    kept = [history.evaluations(run) for run in range(len(shard.runs))]
    values = {column.name: _by_run(getattr(history, column.field), kept) for column in EVALUATION_COLUMNS}
    values |= {
        "diverged_at": [end if end >= 0 else None for end in history.diverged_at.tolist()],
        "restarts": history.restarts,
        "final_validation_error": history.final_validation_errors,
        "final_test_error": history.final_test_errors,
    }
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
