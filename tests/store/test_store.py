"""The store: undamaged shard files count, damaged ones don't, and other tools can read them."""

import errno
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import nalm
from nalm.errors import NalmError
from nalm.experiments.experiment import Experiment
from nalm.experiments.runs import Shard
from nalm.store.columns import EVALUATION_COLUMNS
from nalm.store.schema import SCHEMA_VERSION
from nalm.store.store import Store
from nalm.tasks.subsets.task import SubsetTask
from nalm.training.history import History

Contents = dict[str, bytes | None]
NOT_DIVERGED = -1


def full_disk(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "results")
    store.make_directories()
    return store


@pytest.fixture
def errors(history: Callable[..., History]) -> History:
    """Three evaluations of two runs."""
    return history([[3, 30], [2, 20], [1, 10]], [[0.3, 0.03], [0.2, 0.02], [0.1, 0.01]])


# Writing


def test_a_shard_has_a_row_per_run_and_the_columns_of_the_schema(store: Store, shard: Shard, errors: History) -> None:
    table = pq.read_table(store.add(shard, errors, {}))
    floats = pa.list_(pa.float64())
    types = {field.name: field.type for field in table.schema}
    assert types.pop("task") in (pa.string(), pa.dictionary(pa.int32(), pa.string()))
    assert types == {
        "key": pa.string(),
        "seed": pa.int64(),
        "diverged_at": pa.int64(),
        "restarts": pa.list_(pa.int64()),
        "iteration": pa.list_(pa.int64()),
        "wall_time": floats,
        "validation_error": floats,
        "test_error": floats,
        "sparsity_error": floats,
        "criterion": floats,
        "penalty": floats,
        "final_validation_error": pa.float64(),
        "final_test_error": pa.float64(),
        "parameter.weight": floats,
    }
    first = table.to_pylist()[0]
    assert first["key"] == shard.runs[0].key
    assert json.loads(first["task"]) == {"operation": "div", "train": [1, 2], "test": [2, 6]}
    assert (first["seed"], first["diverged_at"], first["final_test_error"]) == (3, None, 0.1)
    assert first["iteration"] == [0, 10, 20]
    assert first["wall_time"] == [1000, 1001, 1002]
    assert first["validation_error"] == [3, 2, 1]
    assert first["test_error"] == [0.3, 0.2, 0.1]
    assert first["parameter.weight"] == [0, 0, 1, 1, 2, 2, 3, 3]  # at three evaluations, and after the last update


def test_metadata_say_how_a_shard_was_made(store: Store, shard: Shard, errors: History) -> None:
    metadata = pq.read_schema(store.add(shard, errors, {"device": "cpu"})).metadata
    about = json.loads(metadata[b"nalm"])
    assert about["recipe"] == {"module": "NRU", "iterations": 20, "evaluate_every": 10}
    assert about["versions"].keys() == {"nalm", "torch", "numpy", "python"}
    assert about["versions"]["nalm"] == nalm.__version__
    assert about["device"] == "cpu"
    assert about["host"]


def test_metadata_have_recipe_and_tasks_with_all_defaults(store: Store, shard: Shard, errors: History) -> None:
    store.add(shard, errors, {})
    ((_, about),) = store.runs()
    assert about["spec"]["recipe"]["learning_rate"] == 1e-3
    assert about["spec"]["recipe"]["iterations"] == 20
    (task,) = about["spec"]["tasks"]
    assert (task["operation"], task["input_size"]) == ("div", 2)
    assert about["schema"] == SCHEMA_VERSION


def test_pandas_reads_a_shard_without_nalm(store: Store, shard: Shard, errors: History) -> None:
    frame = pd.read_parquet(store.add(shard, errors, {}))
    assert frame["seed"].tolist() == [3, 4]
    assert frame["test_error"][1].tolist() == [0.03, 0.02, 0.01]


def test_a_shard_file_is_named_after_the_shard_and_its_content(store: Store, shard: Shard, errors: History) -> None:
    path = store.add(shard, errors, {})
    assert path.parent == store.path / "shards"
    name, digest = path.stem.split("-")
    assert name == shard.name
    assert hashlib.sha256(path.read_bytes()).hexdigest().startswith(digest)
    assert len(digest) == 32


def test_a_diverged_run_has_only_the_evaluations_before_its_first_nan_weight(
    store: Store, shard: Shard, history: Callable[..., History]
) -> None:
    nan = np.nan
    diverged = history([[1, 1], [1, 1], [nan, 1]], [[1, 1], [1, 1], [nan, 1]], [11, NOT_DIVERGED])
    first, second = pq.read_table(store.add(shard, diverged, {})).to_pylist()
    assert (first["diverged_at"], second["diverged_at"]) == (11, None)
    for column in EVALUATION_COLUMNS:
        assert (len(first[column.name]), len(second[column.name])) == (2, 3)
    assert first["iteration"] == [0, 10]


@pytest.mark.parametrize(("diverged_at", "evaluations"), [(1, 1), (10, 1), (11, 2), (20, 2), (21, 3)])
def test_the_evaluation_that_meets_a_nan_weight_is_not_kept(
    store: Store, shard: Shard, history: Callable[..., History], diverged_at: int, evaluations: int
) -> None:
    diverged = history([[1, 1]] * 3, [[1, 1]] * 3, [diverged_at, NOT_DIVERGED])
    assert len(pq.read_table(store.add(shard, diverged, {}))["test_error"][0].as_py()) == evaluations


def test_infinite_and_missing_errors_are_kept(store: Store, shard: Shard, history: Callable[..., History]) -> None:
    path = store.add(shard, history([[np.inf, np.nan]], [[np.inf, 1e-300]]), {})
    first, second = pq.read_table(path).to_pylist()
    assert (first["validation_error"], first["test_error"], second["test_error"]) == ([np.inf], [np.inf], [1e-300])
    assert np.isnan(second["validation_error"]).all()


# Undamaged files are finished runs


def test_nothing_is_finished_before_something_is_saved(tmp_path: Path) -> None:
    store = Store(tmp_path / "nowhere")
    assert store.finished() == set()
    assert list(store.runs()) == []
    assert not store.path.exists()


def test_saved_runs_are_finished(store: Store, shard: Shard, errors: History) -> None:
    store.add(shard, errors, {})
    assert store.finished() == {run.key for run in shard.runs}


def truncate(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flip_a_bit(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def empty(content: bytes) -> bytes:
    return b""


@pytest.mark.parametrize("damage", [truncate, flip_a_bit, empty])
def test_a_damaged_shard_is_reported_and_its_runs_are_trained_again(
    results: Path,
    tiny: Path,
    damage: Callable[[bytes], bytes],
    caplog: pytest.LogCaptureFixture,
) -> None:
    victim, other = sorted((results / "shards").iterdir())
    keys = set(pq.read_table(victim)["key"].to_pylist())
    before = Store(results).finished()
    victim.write_bytes(damage(victim.read_bytes()))
    caplog.clear()
    assert Store(results).finished() == before - keys
    assert caplog.messages[0].startswith(f"{victim} is damaged")

    untouched = other.read_bytes()
    nalm.run(str(tiny), results, workers=0, compiled=False)
    assert Store(results).finished() == before
    assert other.read_bytes() == untouched
    assert nalm.load(results).missing == 0


def test_a_damaged_shard_is_reported_once(results: Path, caplog: pytest.LogCaptureFixture) -> None:
    victim = sorted((results / "shards").iterdir())[0]
    victim.write_bytes(b"")
    for _ in range(3):
        Store(results).finished()
    assert "\n".join(caplog.messages).count(victim.name) == 1


def test_temporary_files_of_a_killed_writer_are_not_shards(results: Path, caplog: pytest.LogCaptureFixture) -> None:
    shard = sorted((results / "shards").iterdir())[0]
    before = Store(results).finished()
    shard.with_name(f".{shard.name}.0123").write_bytes(shard.read_bytes()[:100])
    assert Store(results).finished() == before
    assert caplog.messages == []


# Failing writes


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_a_write_that_fails_leaves_nothing_behind(
    store: Store,
    shard: Shard,
    errors: History,
    contents: Callable[[Path], Contents],
    monkeypatch: pytest.MonkeyPatch,
    function: str,
) -> None:
    before = contents(store.path)
    monkeypatch.setattr(os, function, full_disk)
    with pytest.raises(OSError, match="No space left on device"):
        store.add(shard, errors, {})
    assert contents(store.path) == before


def test_an_experiment_that_cannot_be_saved_leaves_the_old_one(
    results: Path,
    tiny_experiment: Experiment,
    contents: Callable[[Path], Contents],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = contents(results)
    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(NalmError, match=r"^cannot write results to '.*': No space left on device$"):
        Store(results).experiments.save(tiny_experiment.narrowed([99]))
    assert contents(results) == before


# Experiments


def test_an_experiment_is_read_as_it_was_saved(store: Store) -> None:
    experiment = nalm.load_experiment("figure-3")
    store.experiments.save(experiment)
    assert store.experiments.read("figure-3") == experiment


def test_experiments_run_into_a_directory_are_merged(store: Store, tiny_experiment: Experiment) -> None:
    store.experiments.save(tiny_experiment.narrowed([0, 1], ["NMRU"]))
    merged = store.experiments.merged(tiny_experiment.narrowed([5], ["NRU"]))
    assert set(merged.variants) == {"NMRU", "NRU"}
    assert merged.seeds == (0, 1, 5)
    assert merged.tasks == tiny_experiment.tasks


def test_variants_keep_their_order_when_some_of_them_are_run_again(store: Store, tiny_experiment: Experiment) -> None:
    store.experiments.save(tiny_experiment)
    assert list(store.experiments.merged(tiny_experiment.narrowed(variants=["NRU"])).variants) == ["NMRU", "NRU"]


@pytest.mark.parametrize(
    ("field", "difference"),
    [
        ("NMRU.learning_rate=2.0", "learning_rate: 0.01 there, 2.0 now"),
        ("NMRU.module.sign=none", "module: 'NMRU' there, {'name': 'NMRU', 'sign': 'none'} now"),
        ("*.iterations=30", "iterations: 20 there, 30 now"),
    ],
)
def test_a_changed_recipe_is_refused_without_replace(
    store: Store, tiny_experiment: Experiment, field: str, difference: str
) -> None:
    store.experiments.save(tiny_experiment)
    changed = tiny_experiment.with_setting(field)
    with pytest.raises(NalmError, match=r"use --replace to go on with the new one \(old runs stay\)") as error:
        store.experiments.merged(changed)
    assert difference in str(error.value)
    assert store.experiments.merged(changed, replace=True) == changed
    one_variant = changed.narrowed([5], ["NRU"])
    assert (
        store.experiments.merged(one_variant, replace=True).variants == tiny_experiment.variants | one_variant.variants
    )


def test_a_changed_task_is_refused(store: Store, tiny_experiment: Experiment) -> None:
    store.experiments.save(tiny_experiment)
    other = SubsetTask.model_validate({"operation": "mul", "train": [1, 2], "test": [2, 6]})
    with pytest.raises(NalmError, match=r"^the task 'U\[1,2\)' in .* has changed \(operation: 'div' there, 'mul'"):
        store.experiments.merged(tiny_experiment.model_copy(update={"tasks": {"U[1,2)": other}}))


@pytest.mark.parametrize("name", ["../escaped", "/tmp/escaped", "..", ".hidden", "", "a\\b"])
def test_an_experiment_whose_name_is_a_path_is_refused(results: Path, name: str) -> None:
    path = results / "experiments" / "tiny.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"name": name}))
    with pytest.raises(NalmError, match=r"tiny\.json is not an experiment that this version of nalm can read: name: "):
        nalm.load(results)


def test_an_experiment_that_has_the_name_of_another_is_refused(results: Path) -> None:
    path = results / "experiments" / "tiny.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"name": "other"}))
    with pytest.raises(NalmError, match=r"does not have the name of its file: found 'other', expected 'tiny'$"):
        nalm.load(results)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"name": "tiny"}', "\x00"])
def test_an_experiment_that_cannot_be_read_is_named(store: Store, text: str) -> None:
    path = store.path / "experiments" / "tiny.json"
    path.write_text(text)
    with pytest.raises(NalmError) as error:
        store.experiments.read("tiny")
    assert str(error.value).startswith(f"{path} is not an experiment that this version of nalm can read: ")


def test_an_experiment_that_cannot_be_read_says_why(store: Store) -> None:
    (store.path / "experiments" / "tiny.json").write_text('{"name": "tiny"}')
    with pytest.raises(NalmError, match=r"this version of nalm can read: .*(title|variants|tasks|seeds)"):
        store.experiments.read("tiny")


# Directories


def test_a_directory_without_results_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NalmError, match=r"^found no results in .*, expected a directory that `nalm run` has written"):
        Store.existing(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("below", ["", "results", "some/where/results"])
def test_a_directory_below_a_file_cannot_be_written_to(tmp_path: Path, below: str) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(NalmError, match=r"^cannot write results to '.*': "):
        Store(file / below).make_directories()
    assert file.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [file]
