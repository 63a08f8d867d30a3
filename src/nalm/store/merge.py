"""Merge results directories."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from nalm.errors import NalmError
from nalm.paths import writing
from nalm.store.store import Store

__all__ = ["Merged", "merge"]


@dataclass(frozen=True)
class Merged:
    """The outcome of a merge.

    Arguments:
        shards: number of files that were added.
        runs: number of runs in them.
        duplicates: number of runs that were there already; the first result of each is kept.
        different: number of duplicates whose results differ, as they do between processors.
        damaged: damaged files, which were skipped.
    """

    shards: int
    runs: int
    duplicates: int
    different: int
    damaged: list[Path]


def merge(directories: Sequence[Path | str], into: Path | str, *, replace: bool = False) -> Merged:
    """Add the results of directories to another directory, which may be new. The sources stay unchanged.

    Every file is written completely or not at all, and experiments come last, so an interrupted merge can be repeated.
    Several merges into one directory take turns. What a killed one has left is removed by the next.

    Arguments:
        directories: the sources.
        into: the directory that the results are added to.
        replace: whether recipes and tasks of later directories may replace different ones under the same labels.

    Raises:
        NalmError: a directory has no results, or a recipe or a task differs between directories, and nothing is
            written; or the results cannot be written.
    """
    sources, target = [Store.existing(directory) for directory in directories], Store(into)
    for source in sources:
        if os.path.realpath(source.path) == os.path.realpath(target.path):
            raise NalmError(f"found {str(source.path)!r} among the directories to merge into it, expected others")
    _check_experiments([target, *sources], replace)
    target.make_directories()
    with writing(f"results to {str(target.path)!r}"), target.adding() as write:
        merged = _merge_shards(sources, target, write)
    for source in sources:
        for name in source.experiments.names():
            target.experiments.add(source.experiments.read(name), replace)
    return merged


def _check_experiments(stores: Iterable[Store], replace: bool) -> None:
    seen: dict[tuple[str, str, str], tuple[Any, Path]] = {}
    for store in stores:
        for name in store.experiments.names():
            experiment = store.experiments.read(name)
            for kind, labelled in (("recipe of", experiment.variants), ("task", experiment.tasks)):
                for label, value in labelled.items():
                    known, where = seen.setdefault((name, kind, label), (value, store.path))
                    if value != known and not replace:
                        raise NalmError(
                            f"the {kind} {label!r} of {name} differs between {str(where)!r} and {str(store.path)!r}: "
                            "use --replace to go on with the latter (all runs stay)"
                        )


def _merge_shards(sources: Sequence[Store], target: Store, write: Callable[[Path, bytes], None]) -> Merged:
    there = target.finished()
    target.set_damaged_aside()
    repeated = _repeated([there, *(source.finished() for source in sources)])
    outcomes = {key: outcome for rows, _ in target.runs(repeated) for key, outcome in _outcomes(rows, repeated)}
    shards = runs = duplicates = different = 0
    for source in sources:
        for rows, about in source.runs():
            known = {key for key in rows["key"].to_pylist() if key in there}
            duplicates += len(known)
            for key, outcome in _outcomes(rows, repeated):
                different += outcomes.setdefault(key, outcome) != outcome
            new = rows.filter(pc.invert(pc.is_in(rows["key"], pa.array(list(known), pa.string())))) if known else rows
            if new.num_rows:
                target.add_rows(new, about, write)
                there.update(new["key"].to_pylist())
                shards += 1
                runs += new.num_rows
    return Merged(shards, runs, duplicates, different, sorted({path for source in sources for path in source.damaged}))


def _repeated(stores: Iterable[set[str]]) -> set[str]:
    """Return the keys that several stores have."""
    seen: set[str] = set()
    repeated: set[str] = set()
    for keys in stores:
        repeated |= seen & keys
        seen |= keys
    return repeated


def _outcomes(rows: pa.Table, keys: set[str]) -> Iterator[tuple[str, bytes]]:
    """Yield a hash of the results of the runs with some keys. Wall times differ always and are left out."""
    chosen = rows.filter(pc.is_in(rows["key"], pa.array(list(keys), pa.string()))).drop_columns(["wall_time"])
    for row in chosen.to_pylist():
        yield row["key"], hashlib.sha256(repr(sorted(row.items())).encode()).digest()  # NaN equals NaN in texts
