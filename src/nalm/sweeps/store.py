"""A results directory: finished shards as Parquet files, and the experiments that were run into it."""

import hashlib
import json
import os
import platform
import traceback
import uuid
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
from pydantic import ValidationError

import nalm
from nalm.errors import NalmError
from nalm.experiments.document import sentence
from nalm.experiments.experiment import Experiment
from nalm.sweeps.plan import Shard, recipe_fields, task_fields
from nalm.training.ensemble import History
from nalm.training.notices import notices
from nalm.training.recipe import STORED

__all__ = ["Store"]

T = TypeVar("T")

SCHEMA_VERSION = 1


class Store:
    """The results in a directory.

    ``shards/`` holds one immutable Parquet file per finished shard, named after the hash of its content: a row per
    run, with list columns for its evaluations. ``experiments/`` holds the experiments as they were run, ``running/``
    the progress of shards that are being trained, ``damaged/`` files that were found not to be whole, and ``failed/``
    the tracebacks of shards that failed.

    Arguments:
        path: the directory; nothing is created before something is saved.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._damaged: set[Path] = set()

    @classmethod
    def existing(cls, path: Path | str) -> "Store":
        """The results in a directory that must have some.

        Raises:
            NalmError: it has none.
        """
        store = cls(path)
        if not store.experiment_names():
            raise NalmError(f"found no results in {str(path)!r}, expected a directory that `nalm run` has written to")
        return store

    def make_directories(self) -> None:
        """Creates the directory and checks that it can be written to.

        Raises:
            NalmError: it cannot.
        """
        try:
            for name in ("experiments", "shards", "running"):
                (self.path / name).mkdir(parents=True, exist_ok=True)
            probe = self.path / "running" / f".{uuid.uuid4().hex}"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise NalmError(f"cannot write results to {str(self.path)!r}: {error.strerror}") from None

    # Experiments

    def experiment_names(self) -> list[str]:
        """Names of the experiments that were run into the directory."""
        return sorted(path.stem for path in (self.path / "experiments").glob("*.json"))

    def experiment(self, name: str) -> Experiment:
        """An experiment that was run into the directory; its modules are not imported.

        Raises:
            NalmError: it cannot be read.
        """
        path = self._experiment_path(name)
        try:
            return Experiment.model_validate_json(path.read_text(encoding="utf-8"), context=STORED)
        except (ValidationError, UnicodeDecodeError) as error:
            reason = _reason(error)
            raise NalmError(f"{path} is not an experiment that this version of nalm can read: {reason}") from None

    def _experiment_path(self, name: str) -> Path:
        return self.path / "experiments" / f"{name}.json"

    def merged(self, experiment: Experiment, replace: bool = False) -> Experiment:
        """The experiment together with what is already known under its name.

        Arguments:
            experiment: what is to be run now.
            replace: whether its recipes and tasks may take the place of other ones under the same labels.

        Raises:
            NalmError: a recipe or a task has changed, and ``replace`` is not set.
        """
        if not self._experiment_path(experiment.name).exists():
            return experiment
        known = self.experiment(experiment.name)
        for kind, old, new in (
            ("recipe of", known.variants, experiment.variants),
            ("task", known.tasks, experiment.tasks),
        ):
            for label in new:
                if label in old and old[label] != new[label] and not replace:
                    difference = _difference(old[label].model_dump(mode="json"), new[label].model_dump(mode="json"))
                    raise NalmError(
                        f"the {kind} {label!r} in {str(self.path)!r} is another one ({difference}): "
                        "use --replace to go on with the new one (old runs stay), or another --out"
                    )
        return experiment.model_copy(
            update={
                "variants": _in_order(known.variants, experiment.variants),
                "tasks": _in_order(known.tasks, experiment.tasks),
                "seeds": tuple(sorted({*known.seeds, *experiment.seeds})),
            }
        )

    def save_experiment(self, experiment: Experiment) -> None:
        """Writes the experiment, replacing what is known under its name."""
        text = json.dumps(experiment.model_dump(mode="json", exclude_defaults=True), indent=2)
        try:
            write_atomically(self._experiment_path(experiment.name), text.encode())
        except OSError as error:
            raise NalmError(f"cannot write results to {str(self.path)!r}: {error.strerror}") from None

    # Runs

    def finished(self) -> set[str]:
        """Keys of all runs that are present and whole."""
        return {key for keys, _ in self.provenance() for key in keys}

    def runs(self, keys: Collection[str] | None = None) -> Iterator[tuple[pa.Table, dict[str, Any]]]:
        """Every finished shard: its rows, and what its file says about how they came to be.

        Arguments:
            keys: those of the runs that are wanted; shards without any of them are left out.
        """
        wanted = None if keys is None else pa.array(keys, pa.string())
        for content in self._shards():
            rows = None if wanted is None else pc.is_in(pq.read_table(content, columns=["key"])["key"], wanted)
            if rows is None or pc.any(rows).as_py():
                content.seek(0)
                table = pq.read_table(content)
                yield table if rows is None else table.filter(rows), json.loads(table.schema.metadata[b"nalm"])

    def provenance(self) -> Iterator[tuple[list[str], dict[str, Any]]]:
        """Keys of the runs of every finished shard, and what its file says about how they came to be."""
        for content in self._shards():
            table = pq.read_table(content, columns=["key"])
            yield table["key"].to_pylist(), json.loads(table.schema.metadata[b"nalm"])

    def _shards(self) -> Iterator[pa.BufferReader]:
        for path in sorted((self.path / "shards").glob("*.parquet")):
            content = path.read_bytes()
            if _content_hash(content) == path.stem:
                yield pa.BufferReader(content)
            else:
                self._damaged.add(path)
                notices.add(f"{path} is damaged and is left out: its runs count as missing")

    def set_damaged_aside(self) -> None:
        """Moves files that reading found damaged out of the way of those that will be trained in their place."""
        for path in self._damaged:
            aside = self.path / "damaged"
            aside.mkdir(exist_ok=True)
            path.rename(aside / path.name)
        self._damaged.clear()

    def add_failure(self, shard: Shard, error: BaseException) -> None:
        """Keeps the traceback of a shard that failed."""
        path = _failure_path(self.path, shard)
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(traceback.format_exception(error)), encoding="utf-8")

    def add(self, shard: Shard, history: History, provenance: dict[str, Any]) -> Path:
        """Saves a finished shard and returns its file: written beside, then renamed into place."""
        table = _table(shard, history)
        metadata = {
            "schema": SCHEMA_VERSION,
            "recipe": recipe_fields(shard.recipe),
            "versions": {
                "nalm": nalm.__version__,
                "torch": torch.__version__,
                "numpy": np.__version__,
                "python": platform.python_version(),
            },
            "host": platform.node(),
            **provenance,
        }
        sink = pa.BufferOutputStream()
        pq.write_table(table.replace_schema_metadata({"nalm": json.dumps(metadata)}), sink, compression="zstd")
        content = sink.getvalue().to_pybytes()
        path = self.path / "shards" / f"{_content_hash(content)}.parquet"
        write_atomically(path, content)
        _failure_path(self.path, shard).unlink(missing_ok=True)
        return path


def _in_order(known: dict[str, T], new: dict[str, T]) -> dict[str, T]:
    """Both together, in the new order if it has everything, else in the known one."""
    return new if known.keys() <= new.keys() else known | new


def _reason(error: ValidationError | UnicodeDecodeError) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "it is not text"
    details = error.errors()[0]
    return f"{'.'.join(map(str, details['loc']))}: {sentence(Experiment, details)}"


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a file beside its place and renames it, so that it is there whole or not at all.

    Raises:
        OSError: it cannot be written; nothing is left behind.
    """
    beside = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _failure_path(directory: Path, shard: Shard) -> Path:
    return directory / "failed" / f"{shard.name}.txt"


def _content_hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]


def _difference(old: dict[str, Any], new: dict[str, Any]) -> str:
    changed = [name for name in new if old.get(name) != new[name]]
    return "; ".join(f"{name}: {old.get(name)!r} there, {new[name]!r} now" for name in changed)


def _table(shard: Shard, history: History) -> pa.Table:
    """A row per run; a diverged run has the evaluations before its first NaN weight, as the original logs them."""
    iterations = np.array(history.iterations)
    kept = [
        len(iterations) if end < 0 else int(np.searchsorted(iterations, end)) for end in history.diverged_at.tolist()
    ]

    def lists(values: list[npt.NDArray[np.float64]]) -> pa.Array:
        by_run = np.stack(values, axis=1)
        return pa.array([row[:count] for row, count in zip(by_run, kept, strict=True)], pa.list_(pa.float64()))

    columns = {
        "key": pa.array([run.key for run in shard.runs]),
        "task": pa.array([json.dumps(task_fields(run.task), sort_keys=True) for run in shard.runs]).dictionary_encode(),
        "seed": pa.array([run.seed for run in shard.runs], pa.int64()),
        "diverged_at": pa.array([end if end >= 0 else None for end in history.diverged_at.tolist()], pa.int64()),
        "restarts": pa.array(history.restarts, pa.list_(pa.int64())),
        "iteration": pa.array([iterations[:count] for count in kept], pa.list_(pa.int64())),
        "wall_time": pa.array([np.array(history.wall_times)[:count] for count in kept], pa.list_(pa.float64())),
        "validation_error": lists(history.validation_errors),
        "test_error": lists(history.test_errors),
        "sparsity_error": lists(history.sparsity_errors),
        "criterion": lists(history.criteria),
        "penalty": lists(history.penalties),
        "final_validation_error": pa.array(history.final_validation_errors),
        "final_test_error": pa.array(history.final_test_errors),
    }
    for name in history.parameters[0]:
        values = np.stack([snapshot[name] for snapshot in history.parameters], axis=1)
        rows = [row.reshape(-1) for row in values]
        columns[f"parameter.{name}"] = pa.array(rows, pa.list_(pa.float64()))
    for name, values in history.buffers.items():
        columns[f"buffer.{name}"] = pa.array([row.reshape(-1) for row in values], pa.list_(pa.float64()))
    return pa.table(columns)
