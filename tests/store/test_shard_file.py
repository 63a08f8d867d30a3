"""Files of shards with the right hash and a wrong content are damaged, like others: no reader ever fails with them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.fixture_types import Cli

import nalm
from nalm.errors import NalmError
from nalm.paths import content_hash
from nalm.store.shard_file import DamagedFile, ShardFile
from nalm.store.store import Store

Change = Callable[[pa.Table], pa.Table | bytes]


def rewritten(path: Path, content: pa.Table | bytes) -> Path:
    """Write other content into a shard's place, under a name with the hash of that content."""
    if isinstance(content, pa.Table):
        sink = pa.BufferOutputStream()
        pq.write_table(content, sink)
        content = sink.getvalue().to_pybytes()
    new = path.with_name(f"{path.stem.partition('-')[0]}-{content_hash(content)}.parquet")
    path.unlink()
    new.write_bytes(content)
    return new


def replaced(rows: pa.Table, name: str, values: Any) -> pa.Table:
    return rows.set_column(rows.column_names.index(name), name, values)


def about(rows: pa.Table, **changes: Any) -> pa.Table:
    """Return the rows with other metadata; None takes a field away."""
    known = json.loads(rows.schema.metadata[b"nalm"]) | changes
    return rows.replace_schema_metadata({"nalm": json.dumps({k: v for k, v in known.items() if v is not None})})


def of_other_types(rows: pa.Table) -> pa.Table:
    return replaced(rows, "test_error", pa.array(["x"] * rows.num_rows))


def with_other_seeds(rows: pa.Table) -> pa.Table:
    return replaced(rows, "seed", pa.array([7, 8, 9] * 100, pa.int64())[: rows.num_rows])


def with_other_tasks(rows: pa.Table) -> pa.Table:
    return replaced(rows, "task", pa.array(["[]"] * rows.num_rows))


def with_shorter_lists(rows: pa.Table) -> pa.Table:
    return replaced(rows, "test_error", pa.array([[1.0]] * rows.num_rows, pa.list_(pa.float64())))


def with_missing_lists(rows: pa.Table) -> pa.Table:
    return replaced(rows, "iteration", pa.array([None] * rows.num_rows, pa.list_(pa.int64())))


def with_missing_iterations(rows: pa.Table) -> pa.Table:
    lists = [[None] * len(values) for values in rows["iteration"].to_pylist()]
    return replaced(rows, "iteration", pa.array(lists, pa.list_(pa.int64())))


def with_missing_keys(rows: pa.Table) -> pa.Table:
    return replaced(rows, "key", pa.array([None] * rows.num_rows, pa.string()))


def with_text_parameters(rows: pa.Table) -> pa.Table:
    return rows.append_column("parameter.more", pa.array(["x"] * rows.num_rows))


CHANGES: dict[str, Change] = {
    "five bytes": lambda rows: b"PAR1!",
    "nothing": lambda rows: b"",
    "no metadata": lambda rows: rows.replace_schema_metadata(None),
    "metadata that are no JSON": lambda rows: rows.replace_schema_metadata({"nalm": b"\xff{"}),
    "metadata that are too deep": lambda rows: rows.replace_schema_metadata({"nalm": "[" * 100_000}),
    "metadata that are a list": lambda rows: rows.replace_schema_metadata({"nalm": "[1]"}),
    "a schema that is no number": lambda rows: about(rows, schema="two"),
    "no recipe": lambda rows: about(rows, recipe=None),
    "a recipe that is none": lambda rows: about(rows, recipe={"module": 3, "iterations": "x"}),
    "no versions": lambda rows: about(rows, versions=None),
    "seconds that are text": lambda rows: about(rows, seconds="long"),
    "infinite seconds": lambda rows: about(rows, seconds=float("inf")),
    "a missing column": lambda rows: rows.drop_columns(["test_error"]),
    "no columns": lambda rows: pa.table({"x": [1]}).replace_schema_metadata(rows.schema.metadata),
    "a column twice": lambda rows: rows.append_column("seed", rows["seed"]),
    "wrong types": of_other_types,
    "no rows": lambda rows: rows.slice(0, 0),
    "some of the rows": lambda rows: rows.slice(0, 1),
    "rows in another order": lambda rows: rows.take(list(range(rows.num_rows))[::-1]),
    "other seeds": with_other_seeds,
    "other tasks": with_other_tasks,
    "lists of other lengths": with_shorter_lists,
    "no lists": with_missing_lists,
    "no iterations": with_missing_iterations,
    "no keys": with_missing_keys,
    "parameters that are text": with_text_parameters,
}


@pytest.fixture
def shard(results: Path) -> Path:
    return sorted((results / "shards").iterdir())[0]


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_with_the_right_hash_and_wrong_content_is_left_out_like_other_damage(
    results: Path, shard: Path, change: str, caplog: pytest.LogCaptureFixture
) -> None:
    rows = pq.read_table(shard)
    path = rewritten(shard, CHANGES[change](rows))
    loaded = nalm.load(results)
    assert loaded.missing == rows.num_rows
    (message,) = caplog.messages
    assert message.startswith(f"{path} is damaged and is left out: its runs count as missing (")
    assert len(loaded.trained) == len(loaded.runs()) == 12 - rows.num_rows
    assert Store(results).finished() == {run.key for run in loaded.trained}
    assert nalm.status(results, 0).finished >= len(loaded.trained)  # it reads no evaluations


@pytest.mark.parametrize("change", ["five bytes", "lists of other lengths"])
def test_a_run_sets_files_with_wrong_content_aside_and_trains_their_runs_again(
    results: Path, shard: Path, change: str, train_tiny: Cli, tiny: Path
) -> None:
    path = rewritten(shard, CHANGES[change](pq.read_table(shard)))
    done = train_tiny(tiny, "--out", results)
    assert done.returncode == 0, done.stderr
    assert (results / "damaged" / path.name).exists()
    assert nalm.load(results).missing == 0


def test_the_bytes_of_another_shard_are_damage(results: Path, caplog: pytest.LogCaptureFixture) -> None:
    first, second = sorted((results / "shards").iterdir())
    rewritten(first, second.read_bytes())
    assert nalm.load(results).missing == 6
    assert caplog.messages[0].endswith("(its rows are those of another shard)")


def test_millions_of_rows_are_refused_before_they_are_read(
    results: Path, shard: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, count = pq.read_table(shard), 3_000_000
    texts = {name: pa.repeat(pa.scalar("x"), count) for name in ("key", "task")}
    nulls = {field.name: pa.nulls(count, field.type) for field in rows.schema if field.name not in texts}
    large = pa.table(texts | nulls).select(rows.column_names).replace_schema_metadata(rows.schema.metadata)
    path = rewritten(shard, large)
    assert path.stat().st_size < 1_000_000
    monkeypatch.setattr(pq.ParquetFile, "read", lambda *_, **__: pytest.fail("rows were read"))
    with pytest.raises(DamagedFile, match="it has 3,000,000 rows"):
        ShardFile(path, path.read_bytes())


def test_columns_that_would_fill_the_memory_are_refused_before_they_are_read(
    shard: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nalm.store.shard_file.MOST_BYTES", 10)
    with pytest.raises(DamagedFile, match="more bytes than fit"):
        ShardFile(shard, shard.read_bytes())


def test_a_file_of_a_later_schema_is_refused_even_if_it_says_nothing_else(results: Path, shard: Path) -> None:
    path = rewritten(shard, about(pq.read_table(shard), schema=99, versions=None, recipe=None))
    with pytest.raises(NalmError, match=f"{path} was written by nalm of a later version in schema 99"):
        nalm.load(results).runs()


@pytest.mark.parametrize("seed", range(8))
def test_any_changed_bytes_are_left_out_or_harmless(
    results: Path, shard: Path, seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    rng = np.random.default_rng(seed)
    content = np.frombuffer(shard.read_bytes(), np.uint8)
    path = shard
    for _ in range(12):
        changed = content.copy()
        where = rng.integers(0, len(changed), 3)
        changed[where] = rng.integers(0, 256, 3)
        path = rewritten(path, changed.tobytes())
        loaded = nalm.load(results)
        assert len(loaded.trained) <= len(loaded.runs())  # which reads fewer columns, and checks these alone
