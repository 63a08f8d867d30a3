"""Brings results of several directories together."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from nalm.errors import NalmError
from nalm.sweeps.plan import shard_name
from nalm.sweeps.store import Store, write_atomically
from nalm.training.notices import notices

__all__ = ["Merged", "merge"]


@dataclass(frozen=True)
class Merged:
    """What a merge came to.

    Arguments:
        shards: files that were added.
        runs: runs in them.
        duplicates: runs that were there already, of which the first is kept.
        different: of them, those that came out otherwise, as they do on other machines.
        damaged: files that are not whole, and were left out.
    """

    shards: int
    runs: int
    duplicates: int
    different: int
    damaged: list[Path]


def merge(directories: Sequence[Path | str], into: Path | str, *, replace: bool = False) -> Merged:
    """Adds the results of directories to those of another, which may be new. They stay as they are.

    Every file is there whole or not at all, and experiments come last: a merge that was interrupted can be repeated.

    Arguments:
        directories: where results are.
        into: where they go.
        replace: recipes and tasks of later directories may take the place of other ones under the same labels.

    Raises:
        NalmError: a directory has no results, or a recipe or a task is another one, and nothing is written; or the
            results cannot be written.
    """
    sources, target = [Store.existing(directory) for directory in directories], Store(into)
    for source in sources:
        if source.path.resolve() == target.path.resolve():
            raise NalmError(f"found {str(source.path)!r} among the directories to merge into it, expected others")
    _check_experiments([target, *sources], replace)
    target.make_directories()
    try:
        merged = _merge_shards(sources, target)
    except OSError as error:
        raise NalmError(f"cannot write results to {str(target.path)!r}: {error.strerror}") from None
    for source in sources:
        for name in source.experiment_names():
            target.save_experiment(target.merged(source.experiment(name), replace))
    return merged


def _check_experiments(stores: Iterable[Store], replace: bool) -> None:
    seen: dict[tuple[str, str, str], tuple[Any, Path]] = {}
    for store in stores:
        for name in store.experiment_names():
            experiment = store.experiment(name)
            for kind, labelled in (("recipe of", experiment.variants), ("task", experiment.tasks)):
                for label, value in labelled.items():
                    known, where = seen.setdefault((name, kind, label), (value, store.path))
                    if value != known and not replace:
                        raise NalmError(
                            f"the {kind} {label!r} of {name} in {str(store.path)!r} is another one than in "
                            f"{str(where)!r}: use --replace to go on with the later one (all runs stay)"
                        )


def _merge_shards(sources: Iterable[Store], target: Store) -> Merged:
    homes = {key: path for path, _, table in _whole_files(target, []) for key in table["key"].to_pylist()}
    shards = runs = duplicates = different = 0
    damaged: list[Path] = []
    for source in sources:
        for path, content, table in _whole_files(source, damaged):
            keys = table["key"].to_pylist()
            there = {key: homes[key] for key in keys if key in homes}
            duplicates += len(there)
            different += _count_different(table, there)
            if len(there) == len(keys):
                continue
            if there:
                table = table.filter(pc.invert(pc.is_in(table["key"], pa.array(list(there), pa.string()))))
                keys = table["key"].to_pylist()
                content = _parquet(table)
            home = target.path / "shards" / _file_name(path, keys, content)
            write_atomically(home, content)
            homes |= dict.fromkeys(keys, home)
            shards += 1
            runs += len(keys)
    return Merged(shards, runs, duplicates, different, damaged)


def _whole_files(store: Store, damaged: list[Path]) -> Iterator[tuple[Path, bytes, pa.Table]]:
    for path in sorted((store.path / "shards").glob("*.parquet")):
        content = path.read_bytes()
        if path.stem.rpartition("-")[2] == _hash(content):
            yield path, content, pq.read_table(pa.BufferReader(content))
        else:
            damaged.append(path)
            notices.add(f"{path} is damaged and is left out")


def _file_name(path: Path, keys: list[str], content: bytes) -> str:
    """The hash of the content, after the shard's name where files are named so."""
    prefix = f"{shard_name(keys)}-" if "-" in path.stem else ""
    return f"{prefix}{_hash(content)}.parquet"


def _count_different(table: pa.Table, there: dict[str, Path]) -> int:
    """How many of the runs came out otherwise than where they are already."""
    if not there:
        return 0
    known: dict[str, str] = {}
    for home in set(there.values()):
        known |= _outcomes(pq.read_table(home))
    found = _outcomes(table)
    return sum(found[key] != known[key] for key in there)


def _outcomes(table: pa.Table) -> dict[str, str]:
    """Each run's row as text, in which NaN is NaN, without the times, which are never the same twice."""
    return {row["key"]: repr(sorted(row.items())) for row in table.drop_columns(["wall_time"]).to_pylist()}


def _parquet(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    content: bytes = sink.getvalue().to_pybytes()
    return content


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]
