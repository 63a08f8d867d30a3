"""The columns of a shard file: each is declared here, once."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nalm.experiments.runs import Run
from nalm.training.history import MOST_PARAMETERS, SERIES

__all__ = ["BUFFER", "COLUMNS", "EVALUATION_COLUMNS", "MODULE_COLUMNS", "PARAMETER", "TYPES", "Column", "run_table"]

Values = Sequence[Any] | npt.NDArray[np.float64]

TYPES = {
    "string": pa.string(),
    "dictionary of strings": pa.dictionary(pa.int32(), pa.string()),
    "int64": pa.int64(),
    "float64": pa.float64(),
    "list of int64": pa.list_(pa.int64()),
    "list of float64": pa.list_(pa.float64()),
}
"""Types of columns, by the names that the documentation uses."""

PARAMETER, BUFFER = "parameter.", "buffer."
"""Prefixes of the names of columns of parameters and of buffers."""


@dataclass(frozen=True)
class Column:
    """A column of a shard file, which has a row per run.

    Arguments:
        name: its name in the file, in tidy CSV tables and in data frames.
        type: what it holds, a key of `TYPES`.
        meaning: explanation for the documentation.
        unit: unit of its numbers.
        field: where its values are found in a `History`; empty for what identifies a run.
        tag: its name in TensorBoard logs; empty for columns that these don't show.
    """

    name: str
    type: str
    meaning: str
    unit: str = ""
    field: str = ""
    tag: str = ""

    @property
    def arrow_type(self) -> pa.DataType:
        """The type of the column in the file."""
        return TYPES[self.type]

    @property
    def per_evaluation(self) -> bool:
        """Whether its lists have one entry per evaluation."""
        return self.field in ("iterations", "wall_times", *SERIES)


COLUMNS = (
    Column(
        "key",
        "string",
        'the run\'s identity: the first half of the SHA-256 of `{"recipe": …, "seed": …, "task": …}`, JSON with sorted '
        "keys, made of the file's `recipe` and the row's `task` and `seed`. It doesn't depend on labels, nor on "
        "thresholds unless early stopping (`stop_when_solved`) uses them",
    ),
    Column("task", "dictionary of strings", "the task as JSON, without defaults and threshold"),
    Column("seed", "int64", "the run's seed"),
    Column(
        "diverged_at",
        "int64",
        "iteration of the first NaN weight; null if there was none. For imported runs: the first evaluation that is "
        "missing although other runs of the variant have it",
        unit="iteration",
        field="diverged_at",
    ),
    Column(
        "restarts",
        "list of int64",
        "iterations before which parameters were drawn anew, if the recipe says `reinitialize`; one entry per restart",
        unit="iteration",
        field="restarts",
    ),
    Column(
        "iteration",
        "list of int64",
        "number of updates before the evaluation. A diverged run has only the evaluations before its first NaN weight, "
        "and a run that was stopped early only those until then",
        unit="iteration",
        field="iterations",
    ),
    Column(
        "wall_time",
        "list of float64",
        "time of the evaluation",
        unit="seconds since 1970 (UTC)",
        field="wall_times",
    ),
    Column(
        "validation_error",
        "list of float64",
        "mean squared error on the 10,000 rows of the training range",
        unit="target²",
        field="validation_errors",
        tag="error/validation",
    ),
    Column(
        "test_error",
        "list of float64",
        "mean squared error on the 10,000 rows of the test range",
        unit="target²",
        field="test_errors",
        tag="error/test",
    ),
    Column(
        "sparsity_error",
        "list of float64",
        "largest distance of a weight from a discrete value; NaN for modules without discrete values",
        field="sparsity_errors",
        tag="error/sparsity",
    ),
    Column(
        "criterion",
        "list of float64",
        "training criterion on the batch of the iteration, before its update",
        unit="as the recipe's criterion",
        field="criteria",
        tag="loss/criterion",
    ),
    Column(
        "penalty",
        "list of float64",
        "weighted sum of all regularizers on the same batch",
        unit="as the criterion",
        field="penalties",
        tag="loss/regularizers",
    ),
    Column(
        "final_validation_error",
        "float64",
        "validation error after the last update, which no evaluation sees; null for imported runs",
        unit="target²",
        field="final_validation_errors",
    ),
    Column(
        "final_test_error",
        "float64",
        "test error after the last update; null for imported runs",
        unit="target²",
        field="final_test_errors",
    ),
)
"""Columns of every shard, in the file's order."""

EVALUATION_COLUMNS = tuple(column for column in COLUMNS if column.per_evaluation)

MODULE_COLUMNS = (
    Column(
        f"{PARAMETER}NAME",
        "list of float64",
        "a parameter of the module (`weight`, `gate`, …) at every evaluation, and once more after the last update: "
        "(evaluations + 1) × entries numbers, flat, row by row. A diverged run has values after `diverged_at`, too. "
        "A run that was stopped early (`stop_when_solved`) has values until then, the last ones twice. If there would "
        f"be more than {MOST_PARAMETERS:,} numbers per run, only those after the last update are kept",
        field="parameters",
    ),
    Column(
        f"{BUFFER}NAME",
        "list of float64",
        "a buffer of the module, which is kept but not trained, after the last update; most modules have none",
        field="buffers",
    ),
)
"""Columns that depend on the module, one for each of its parameters and buffers; imported runs have none."""


def run_table(
    runs: Sequence[Run], values: Mapping[str, Values], module_values: Mapping[str, Values] | None = None
) -> pa.Table:
    """Return the table of a shard, a row per run.

    Arguments:
        runs: the runs, which give what identifies them.
        values: values of the other columns by name, an entry per run. Columns that are missing are null.
        module_values: values of parameters and buffers by the names of their columns.
    """
    given: dict[str, Values] = {
        "key": [run.key for run in runs],
        "task": [json.dumps(run.task.identity, sort_keys=True) for run in runs],
        "seed": [run.seed for run in runs],
        **values,
    }
    unknown = [None] * len(runs)
    arrays = {column.name: pa.array(given.get(column.name, unknown), column.arrow_type) for column in COLUMNS}
    arrays |= {name: pa.array(rows, TYPES["list of float64"]) for name, rows in (module_values or {}).items()}
    return pa.table(arrays)
