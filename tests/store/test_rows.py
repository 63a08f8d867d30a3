"""Rows of a shard, read as typed runs."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from nalm.experiments.runs import Shard
from nalm.store.columns import COLUMNS, EVALUATION_COLUMNS
from nalm.store.rows import StoredRun, shard_table, stored_runs
from nalm.training.history import History


@pytest.fixture
def stored(shard: Shard, history: Callable[..., History]) -> list[StoredRun]:
    """Two runs, of which the second diverged before its third evaluation."""
    made = history([[3, 30], [2, 20], [1, 10]], [[0.3, 0.03], [0.2, 0.02], [0.1, 0.01]], [-1, 15])
    made.restarts, made.buffers = [[5, 7], []], {"scale": np.array([[2.0], [4.0]])}
    return list(stored_runs(shard_table(shard, made), {"device": "cpu"}))


def test_a_stored_run_has_what_happened_to_it(shard: Shard, stored: list[StoredRun]) -> None:
    first, second = stored
    assert [run.key for run in stored] == [run.key for run in shard.runs]
    assert (first.diverged_at, second.diverged_at) == (None, 15)
    assert first.restarts.tolist() == [5, 7]
    assert first.iterations.tolist() == [0, 10, 20]
    assert second.iterations.tolist() == [0, 10]
    assert second.test_errors.tolist() == [0.03, 0.02]
    assert (first.final_test_error, first.flat_buffers["scale"].tolist()) == (0.1, [2.0])
    assert second.flat_parameters["weight"].tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert first.provenance == {"device": "cpu"}


def test_every_column_has_a_field_of_its_type(stored: list[StoredRun]) -> None:
    read = {column.field if column.per_evaluation else column.name for column in COLUMNS} - {"task", "seed"}
    assert read | {"flat_parameters", "flat_buffers", "provenance"} == {
        field.name for field in dataclasses.fields(StoredRun)
    }
    for column in EVALUATION_COLUMNS:
        expected = np.int64 if column.type == "list of int64" else np.float64
        assert getattr(stored[0], column.field).dtype == expected


def test_arrays_of_a_stored_run_can_be_written_to(stored: list[StoredRun]) -> None:
    assert stored[0].flat_parameters["weight"].flags.writeable
