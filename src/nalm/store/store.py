"""A results directory: finished shards as Parquet files, experiments, failures."""

import contextlib
import json
import os
import uuid
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from nalm.errors import NalmError
from nalm.experiments.runs import Shard, shard_name
from nalm.log import warn_once
from nalm.paths import content_hash, write_atomically, writing
from nalm.store.experiments import StoredExperiments
from nalm.store.failures import Failures
from nalm.store.inside import check_folder, files_within
from nalm.store.leases import locked
from nalm.store.rows import shard_table
from nalm.store.schema import about_shard, check_schema, upgraded
from nalm.training.history import History

__all__ = ["Store"]


CREATED = ("experiments", "shards", "running")
"""Folders that every results directory has."""
FOLDERS = (*CREATED, "damaged", "failed")
"""Folders that nalm writes to."""


class Store:
    """The results in a directory.

    ``shards/`` has one immutable Parquet file per finished shard, named after the shard and the hash of the content: a
    row per run, with lists for the evaluations. ``experiments/`` has the experiments as they were run, ``running/`` the
    progress, leases and checkpoints of shards that are training, ``damaged/`` files that were damaged, and ``failed/``
    the tracebacks of failed shards.

    Arguments:
        path: the directory; nothing is created before something is saved.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.experiments = StoredExperiments(self.path)
        self.failures = Failures(self.path)
        self.damaged: set[Path] = set()
        """Shard files that were read and found damaged."""

    @classmethod
    def existing(cls, path: Path | str) -> "Store":
        """Return the store of a directory that must have results.

        Raises:
            NalmError: the directory has no results.
        """
        store = cls(path)
        if not store.experiments.names():
            raise NalmError(f"found no results in {str(path)!r}, expected a directory that `nalm run` has written to")
        return store

    def make_directories(self) -> None:
        """Create the directory and check that it can be written to.

        Raises:
            NalmError: the directory cannot be written to.
        """
        with writing(f"results to {str(self.path)!r}"):
            for name in FOLDERS:
                check_folder(self.path, name)
            for name in CREATED:
                (self.path / name).mkdir(parents=True, exist_ok=True)
            probe = self.path / "running" / f".{uuid.uuid4().hex}"
            probe.touch()
            probe.unlink()

    def finished(self) -> set[str]:
        """Return the keys of all runs in undamaged shard files."""
        return {key for keys, _ in self.provenance() for key in keys}

    def has(self, shard: Shard) -> bool:
        """Tell whether the file of a shard is there now, undamaged."""
        with contextlib.suppress(OSError):  # it makes clients of network file systems look again
            os.utime(self.path / "shards")
        return any(True for _ in self._files(f"{shard.name}-*"))

    def runs(self, keys: Collection[str] | None = None) -> Iterator[tuple[pa.Table, dict[str, Any]]]:
        """Yield the rows of every finished shard, and what its file says about how they were made.

        A warning tells if shards were made by different versions.

        Arguments:
            keys: keys of the runs to return; shards without any of them are skipped. By default all runs.
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
            warn_once(f"{self.path} holds results of different versions: {', '.join(mixed)}")

    def provenance(self) -> Iterator[tuple[list[str], dict[str, Any]]]:
        """Yield the keys of the runs of every finished shard, and what its file says about how they were made."""
        for file in self._files():
            yield _keys(file).to_pylist(), _about(file)

    def _files(self, name: str = "*") -> Iterator[pq.ParquetFile]:
        """Yield all undamaged shard files.

        Raises:
            NalmError: a file was written by a later version of nalm.
        """
        for path in files_within(self.path, "shards", f"{name}.parquet"):
            with contextlib.suppress(FileNotFoundError):  # another process has moved it
                content = path.read_bytes()
                if path.stem.rpartition("-")[2] == content_hash(content):
                    file = pq.ParquetFile(pa.BufferReader(content))
                    check_schema(path, _about(file))
                    yield file
                else:
                    self.damaged.add(path)
                    warn_once(f"{path} is damaged and is left out: its runs count as missing")

    def set_damaged_aside(self) -> None:
        """Move damaged files out of ``shards/``, so that their shards can be trained again."""
        for path in self.damaged:
            aside = check_folder(self.path, "damaged")
            aside.mkdir(exist_ok=True)
            with contextlib.suppress(FileNotFoundError):  # another process has moved it
                path.rename(aside / path.name)
        self.damaged.clear()

    @contextlib.contextmanager
    def adding(self) -> Iterator[Callable[[Path, bytes], None]]:
        """Yield a function that writes files atomically, while no other process merges or imports into the directory.

        What a killed process has left is removed.

        Raises:
            NalmError: this process was suspended for so long that another one has taken over.
        """
        with locked(self.path / "running" / "adding.lock") as lease:
            for unfinished in check_folder(self.path, "shards").glob(".*.parquet.*"):
                unfinished.unlink(missing_ok=True)
            yield lease.write

    def add(
        self,
        shard: Shard,
        history: History,
        provenance: dict[str, Any],
        write: Callable[[Path, bytes], None] = write_atomically,
    ) -> Path:
        """Save a finished shard and return the path of its file.

        Arguments:
            shard: the shard.
            history: what happened while it trained.
            provenance: what the file shall say about how it trained, besides what `about_shard` finds out.
            write: function that writes a file atomically.
        """
        path = self.add_rows(shard_table(shard, history), about_shard(shard) | provenance, write)
        self.failures.forget([shard])
        return path

    def add_rows(
        self, rows: pa.Table, about: dict[str, Any], write: Callable[[Path, bytes], None] = write_atomically
    ) -> Path:
        """Save rows of a shard, and what its file says about them, as `runs` yields them; return the file's path."""
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
