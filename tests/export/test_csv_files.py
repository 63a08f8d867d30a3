"""CSV tables: tidy, or as the original writes them."""

import csv
import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import nalm
from nalm.execution.plan import plan
from nalm.experiments.experiment import Experiment
from nalm.export.csv_files import TIDY_COLUMNS
from nalm.original.files import ORIGINAL_COLUMNS
from nalm.original.write_names import name_form
from nalm.store.store import Store
from nalm.training.history import History


def exported(directory: Path, **options: Any) -> tuple[list[dict[str, str]], nalm.Exported]:
    file = io.StringIO()
    result = nalm.export_csv(directory, file, **options)
    return list(csv.DictReader(file.getvalue().splitlines())), result


def test_the_tidy_table_has_a_row_per_run_and_evaluation(results: Path) -> None:
    rows, result = exported(results)
    assert (result.runs, result.missing, result.left_out) == (12, 0, {})
    assert [tuple(row) for row in rows] == [TIDY_COLUMNS] * 36
    found = nalm.load(results)
    for trained in found.trained:
        own = [row for row in rows if row["key"] == trained.run.key]
        labels = (own[0]["experiment"], own[0]["variant"], own[0]["task"], int(own[0]["seed"]))
        assert labels == ("tiny", trained.variant, trained.task, trained.run.seed)
        history = trained.history()
        for column in TIDY_COLUMNS[4:-1]:
            assert [float(row[column]) for row in own] == history[column].tolist()


def test_rows_of_a_run_follow_one_another_in_order(results: Path) -> None:
    rows, _ = exported(results)
    assert [row["iteration"] for row in rows] == ["0", "10", "20"] * 12
    assert len({tuple(row["key"] for row in rows[start : start + 3]) for start in range(0, 36, 3)}) == 12


def test_the_originals_table_has_its_columns_and_names(results: Path) -> None:
    rows, result = exported(results, schema="original")
    assert result.runs == 12
    assert list(rows[0]) == [
        "name",
        "metric.valid.interpolation",
        "step",
        "wall.time",
        "metric.test.extrapolation",
        "sparse.error.max",
    ]
    trained = nalm.load(results).run("NMRU", "negative", 2)
    name = name_form(trained.run.recipe, trained.run.task).replace("{seed}", "2")
    own = [row for row in rows if row["name"] == name]
    assert [int(row["step"]) for row in own] == [0, 10, 20]
    for theirs, ours in zip(
        ORIGINAL_COLUMNS[1:],
        ("validation_errors", "iterations", "wall_times", "test_errors", "sparsity_errors"),
        strict=True,
    ):
        assert [float(row[theirs]) for row in own] == getattr(trained, ours).tolist()


def test_only_some_variants_are_exported(results: Path) -> None:
    rows, result = exported(results, experiment="tiny", variants=["NRU"])
    assert (result.runs, result.total, {row["variant"] for row in rows}) == (6, 6, {"NRU"})


def test_missing_runs_are_counted(results: Path) -> None:
    next((results / "shards").iterdir()).unlink()
    rows, result = exported(results)
    assert (result.runs, result.missing, result.total, len(rows)) == (6, 6, 12, 18)


def test_a_shared_run_is_written_for_each_experiment_but_once_under_its_original_name(
    results: Path, tiny_experiment: Experiment
) -> None:
    Store(results).experiments.save(tiny_experiment.model_copy(update={"name": "twin"}))
    tidy, _ = exported(results)
    assert [row["experiment"] for row in tidy].count("twin") == [row["experiment"] for row in tidy].count("tiny") == 36
    original, result = exported(results, schema="original")
    assert (len(original), result.runs) == (36, 12)


def test_runs_without_a_name_of_their_own_are_skipped_with_the_reason(
    tiny_experiment: Experiment, tmp_path: Path, history: Callable[..., History]
) -> None:
    nmru = tiny_experiment.variants["NMRU"]
    variants = {
        "A": nmru,
        "B": nmru.model_copy(update={"precision": "float64"}),
        "C": nmru.model_copy(update={"clip_gradient_value": 1.0}),
        "missing": nmru.model_copy(update={"clip_gradient_value": 2.0}),
    }
    experiment = tiny_experiment.model_copy(update={"variants": variants})
    store = Store(tmp_path / "results")
    store.make_directories()
    store.experiments.save(experiment)
    for shard in plan([experiment.narrowed(variants=["A", "B", "C"])], ()).shards:
        store.add(shard, history([[1.0] * 6], [[1.0] * 6]), {})
    rows, result = exported(store.path, schema="original")
    assert (len(rows), result.runs, result.missing) == (6, 6, 6)
    assert result.left_out == {
        "B: the original gives other runs the same names": 6,
        "C: the original's names cannot express the clip_gradient_value": 6,
    }


def test_unknown_numbers_are_empty_and_infinity_is_a_number(
    tiny_experiment: Experiment, tmp_path: Path, history: Callable[..., History]
) -> None:
    store = Store(tmp_path / "results")
    store.make_directories()
    store.experiments.save(tiny_experiment)
    for shard in plan([tiny_experiment], ()).shards:
        store.add(shard, history([[np.nan] * 6], [[np.inf] * 6]), {})
    for schema, validation, test in (
        ("tidy", "validation_error", "test_error"),
        ("original", "metric.valid.interpolation", "metric.test.extrapolation"),
    ):
        rows, _ = exported(store.path, schema=schema)
        assert {(row[validation], row[test]) for row in rows} == {("", "inf")}
        frame = pd.DataFrame(rows)
        assert np.isinf(pd.to_numeric(frame[test])).all()


def test_an_unknown_schema_is_refused(results: Path) -> None:
    with pytest.raises(nalm.NalmError, match="found schema 'wide', expected one of: tidy, original"):
        exported(results, schema="wide")


def test_variants_need_one_experiment(results: Path, tiny_experiment: Experiment) -> None:
    Store(results).experiments.save(tiny_experiment.model_copy(update={"name": "twin"}))
    with pytest.raises(nalm.NalmError, match="found variants with 2 experiments"):
        exported(results, variants=["NRU"])


def test_a_reader_that_closes_the_pipe_causes_no_error(results: Path) -> None:
    command = [sys.executable, "-m", "nalm", "export", str(results), "--csv"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
