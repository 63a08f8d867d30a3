"""A results directory: finished shards as Parquet files, experiments, failures."""

import contextlib
import json
import os
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from nalm.errors import NalmError
from nalm.experiments.runs import Shard, shard_name
from nalm.log import warn_once
from nalm.paths import content_hash, write_atomically, writing
from nalm.store.experiments import StoredExperiments
from nalm.store.failures import Failures
from nalm.store.inside import check_folder, content_of, entries, files_within
from nalm.store.leases import locked
from nalm.store.rows import shard_table
from nalm.store.schema import about_shard
from nalm.store.shard_file import DamagedFile, ShardFile
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
        """Create the directory and check that its folders can be written to and read.

        Raises:
            NalmError: they cannot.
        """
        with writing(f"results to {str(self.path)!r}"):
            for name in FOLDERS:
                check_folder(self.path, name)
            for name in CREATED:
                (self.path / name).mkdir(parents=True, exist_ok=True)
            probe = self.path / "running" / f".{uuid.uuid4().hex}"
            probe.touch()
            probe.unlink()
        for name in CREATED:
            entries(self.path / name)

    def finished(self) -> set[str]:
        """Return the keys of all runs in undamaged shard files, whose content is checked completely."""
        return {key for file, _ in self._tables() for key in file.keys}

    def has(self, shard: Shard) -> bool:
        """Tell whether the file of a shard is there now, undamaged."""
        with contextlib.suppress(OSError):  # it makes clients of network file systems look again
            os.utime(self.path / "shards")
        return any(True for _ in self._tables(name=f"{shard.name}-"))

    def runs(
        self, keys: Collection[str] | None = None, columns: Sequence[str] | None = None
    ) -> Iterator[tuple[pa.Table, dict[str, Any]]]:
        """Yield the rows of every finished shard, and what its file says about how they were made.

        A warning tells if shards were made by different versions.

        Arguments:
            keys: keys of the runs to return; shards without any of them are skipped. By default all runs.
            columns: names of the columns to read; by default all.
        """
        versions: dict[str, set[str]] = {"nalm": set(), "torch": set(), "numpy": set()}
        for file, table in self._tables(keys, columns):
            for library, found in versions.items():
                found.add(file.about["versions"][library])
            yield table, file.about
        mixed = [f"{library} {' and '.join(sorted(found))}" for library, found in versions.items() if len(found) > 1]
        if mixed:
            warn_once(f"{self.path} holds results of different versions: {', '.join(mixed)}")

    def run(self, key: str, shards: Iterable[str]) -> tuple[pa.Table, dict[str, Any]] | None:
        """Return the row of one run, and what its file says about how it was made; None if it is not finished.

        Arguments:
            key: the key of the run.
            shards: names of the shards that probably have it. All others are searched only if they don't.
        """
        for name in [*(f"{shard}-" for shard in shards), ""]:
            for file, table in self._tables({key}, name=name):
                return table, file.about
        return None

    def provenance(self) -> Iterator[tuple[list[str], dict[str, Any]]]:
        """Yield the keys of the runs of every finished shard, and what its file says about how they were made."""
        for file in self.files():
            yield file.keys, file.about

    def files(self, name: str = "") -> Iterator[ShardFile]:
        """Yield all shard files whose names begin with ``name``, without the damaged ones, whose rows are not read.

        Raises:
            NalmError: a file was written by a later version of nalm, or cannot be read.
        """
        for path in files_within(self.path, "shards", f"{name}*.parquet"):
            if (content := content_of(path)) is not None:  # otherwise another process has moved it
                file = None
                with self._leaving_out(path):
                    file = ShardFile(path, content)
                if file is not None:
                    yield file

    def _tables(
        self, keys: Collection[str] | None = None, columns: Sequence[str] | None = None, name: str = ""
    ) -> Iterator[tuple[ShardFile, pa.Table]]:
        """Yield all shard files with their rows, as `files` and `runs` do."""
        wanted = None if keys is None else frozenset(keys)
        for file in self.files(name):
            if wanted is None or not wanted.isdisjoint(file.keys):
                table = None
                with self._leaving_out(file.path):
                    table = file.rows(columns)
                if table is not None:
                    yield file, table if wanted is None else _chosen(table, file.keys, wanted)

    @contextlib.contextmanager
    def _leaving_out(self, path: Path) -> Iterator[None]:
        """Warn of a damaged file, and remember it."""
        try:
            yield
        except DamagedFile as damage:
            self.damaged.add(path)
            warn_once(f"{path} is damaged and is left out: its runs count as missing ({damage})")

    def set_damaged_aside(self) -> None:
        """Move damaged files out of ``shards/``, so that their shards can be trained again."""
        aside = check_folder(self.path, "damaged")
        for path in self.damaged:
            with writing(str(aside)):
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


def _chosen(table: pa.Table, keys: Sequence[str], wanted: Collection[str]) -> pa.Table:
    """Return the rows of the runs that are wanted; the keys are those of all rows."""
    chosen = [key in wanted for key in keys]
    return table if all(chosen) else table.filter(pa.array(chosen))
