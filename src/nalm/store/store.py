"""A results directory: finished shards as Parquet files, and the experiments that were run into it."""

import contextlib
import json
import os
import traceback
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import ValidationError

from nalm.errors import NalmError
from nalm.experiments.experiment import Experiment
from nalm.experiments.runs import Shard, shard_name
from nalm.log import notices
from nalm.paths import content_hash, write_atomically
from nalm.spec.document import sentence
from nalm.spec.recipe import STORED
from nalm.store.leases import locked
from nalm.store.rows import shard_table
from nalm.store.schema import about_shard, check_schema, upgraded
from nalm.training.history import History

__all__ = ["Store"]

T = TypeVar("T")


class Store:
    """The results in a directory.

    ``shards/`` holds one immutable Parquet file per finished shard, named after the shard and the hash of its content:
    a row per run, with list columns for its evaluations. ``experiments/`` holds the experiments as they were run,
    ``running/`` the progress, leases and checkpoints of shards that are being trained, ``damaged/`` files that were
    found not to be whole, and ``failed/`` the tracebacks of shards that failed.

    Arguments:
        path: the directory; nothing is created before something is saved.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.damaged: set[Path] = set()
        """Files that reading has found not to be whole."""

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
            experiment = Experiment.model_validate_json(path.read_text(encoding="utf-8"), context=STORED)
        except (ValidationError, UnicodeDecodeError) as error:
            reason = _reason(error)
            raise NalmError(f"{path} is not an experiment that this version of nalm can read: {reason}") from None
        if experiment.name != name:  # which would be a name for other files
            raise NalmError(f"{path} is not what it says: found the name {experiment.name!r}, expected {name!r}")
        return experiment

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

    def add_experiment(self, experiment: Experiment, replace: bool = False) -> None:
        """Merges the experiment into what is known under its name, whoever else does so at the same time.

        Raises:
            NalmError: as `merged`, or it cannot be written.
        """
        try:
            with locked(self.path / "running" / f"{experiment.name}.lock"):
                self.save_experiment(self.merged(experiment, replace))
        except OSError as error:
            raise NalmError(f"cannot write results to {str(self.path)!r}: {error.strerror}") from None

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

    def has(self, shard: Shard) -> bool:
        """Whether the shard, trained as one, is present and whole, as of now."""
        with contextlib.suppress(OSError):  # it has clients of network file systems look again
            os.utime(self.path / "shards")
        return any(True for _ in self._files(f"{shard.name}-*"))

    def runs(self, keys: Collection[str] | None = None) -> Iterator[tuple[pa.Table, dict[str, Any]]]:
        """Every finished shard: its rows, and what its file says about how they came to be.

        That they were made by different versions, a notice says.

        Arguments:
            keys: those of the runs that are wanted; shards without any of them are left out.
        """
        wanted = None if keys is None else pa.array(keys, pa.string())
        versions: dict[str, set[str]] = {"nalm": set(), "torch": set(), "numpy": set()}
        for file in self._files():
            rows = None if wanted is None else pc.is_in(_keys(file), wanted)
            if rows is None or pc.any(rows).as_py():
                table = file.read(use_threads=False)
                about = upgraded(_about(file), table)
                for library, found in versions.items():
                    found.add(about["versions"][library])
                yield table if rows is None else table.filter(rows), about
        mixed = [f"{library} {' and '.join(sorted(found))}" for library, found in versions.items() if len(found) > 1]
        if mixed:
            notices.add(f"{self.path} holds results of different versions: {', '.join(mixed)}")

    def provenance(self) -> Iterator[tuple[list[str], dict[str, Any]]]:
        """Keys of the runs of every finished shard, and what its file says about how they came to be."""
        for file in self._files():
            yield _keys(file).to_pylist(), _about(file)

    def _files(self, name: str = "*") -> Iterator[pq.ParquetFile]:
        """All shards that are whole.

        Raises:
            NalmError: one was written by a later version of nalm.
        """
        for path in sorted((self.path / "shards").glob(f"{name}.parquet")):
            with contextlib.suppress(FileNotFoundError):  # set aside by another process
                content = path.read_bytes()
                if path.stem.rpartition("-")[2] == content_hash(content):
                    file = pq.ParquetFile(pa.BufferReader(content))
                    check_schema(path, _about(file))
                    yield file
                else:
                    self.damaged.add(path)
                    notices.add(f"{path} is damaged and is left out: its runs count as missing")

    def set_damaged_aside(self) -> None:
        """Moves files that reading found damaged out of the way of those that will be trained in their place."""
        for path in self.damaged:
            aside = self.path / "damaged"
            aside.mkdir(exist_ok=True)
            with contextlib.suppress(FileNotFoundError):  # another process was faster
                path.rename(aside / path.name)
        self.damaged.clear()

    def forget_failures(self, shards: Iterable[Shard]) -> None:
        """Removes what was kept of failures of shards, which are to be trained again."""
        for shard in shards:
            _failure_path(self.path, shard).unlink(missing_ok=True)

    def add_failure(self, shard: Shard, error: BaseException) -> None:
        """Keeps the traceback of a shard that failed."""
        path = _failure_path(self.path, shard)
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(traceback.format_exception(error)), encoding="utf-8")

    def add(
        self,
        shard: Shard,
        history: History,
        provenance: dict[str, Any],
        write: Callable[[Path, bytes], None] = write_atomically,
    ) -> Path:
        """Saves a finished shard and returns its file.

        Arguments:
            shard: what was trained.
            history: what came out.
            provenance: what its file shall say about how it came to be, besides what is known of it anyway.
            write: writes a file atomically.
        """
        path = self.add_rows(shard_table(shard, history), about_shard(shard) | provenance, write)
        _failure_path(self.path, shard).unlink(missing_ok=True)
        return path

    def add_rows(
        self, rows: pa.Table, about: dict[str, Any], write: Callable[[Path, bytes], None] = write_atomically
    ) -> Path:
        """Saves rows of runs that trained together, and what is said about them, as `runs` yields them."""
        sink = pa.BufferOutputStream()
        pq.write_table(rows.replace_schema_metadata({"nalm": json.dumps(about)}), sink, compression="zstd")
        content = sink.getvalue().to_pybytes()
        path = self.path / "shards" / f"{shard_name(rows['key'].to_pylist())}-{content_hash(content)}.parquet"
        write(path, content)
        return path


def _keys(file: pq.ParquetFile) -> pa.ChunkedArray:
    return file.read(["key"], use_threads=False)["key"]


def _about(file: pq.ParquetFile) -> dict[str, Any]:
    about: dict[str, Any] = json.loads(file.schema_arrow.metadata[b"nalm"])
    return about


def _in_order(known: dict[str, T], new: dict[str, T]) -> dict[str, T]:
    """Both together, in the new order if it has everything, else in the known one."""
    return new if known.keys() <= new.keys() else known | new


def _reason(error: ValidationError | UnicodeDecodeError) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "it is not text"
    details = error.errors()[0]
    return f"{'.'.join(map(str, details['loc']))}: {sentence(Experiment, details)}"


def _failure_path(directory: Path, shard: Shard) -> Path:
    return directory / "failed" / f"{shard.name}.txt"


def _difference(old: dict[str, Any], new: dict[str, Any]) -> str:
    changed = [name for name in new if old.get(name) != new[name]]
    return "; ".join(f"{name}: {old.get(name)!r} there, {new[name]!r} now" for name in changed)
