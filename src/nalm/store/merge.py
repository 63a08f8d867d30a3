"""Brings results of several directories together."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from nalm.errors import NalmError
from nalm.store.store import Store

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
            target.add_experiment(source.experiment(name), replace)
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


def _merge_shards(sources: Sequence[Store], target: Store) -> Merged:
    there = target.finished()
    target.set_damaged_aside()
    twice = _several([there, *(source.finished() for source in sources)])
    outcomes = {key: outcome for rows, _ in target.runs(twice) for key, outcome in _outcomes(rows, twice)}
    shards = runs = duplicates = different = 0
    for source in sources:
        for rows, about in source.runs():
            known = {key for key in rows["key"].to_pylist() if key in there}
            duplicates += len(known)
            for key, outcome in _outcomes(rows, twice):
                different += outcomes.setdefault(key, outcome) != outcome
            new = rows.filter(pc.invert(pc.is_in(rows["key"], pa.array(list(known), pa.string())))) if known else rows
            if new.num_rows:
                target.add_rows(new, about)
                there.update(new["key"].to_pylist())
                shards += 1
                runs += new.num_rows
    return Merged(shards, runs, duplicates, different, sorted({path for source in sources for path in source.damaged}))


def _several(stores: Iterable[set[str]]) -> set[str]:
    """Keys that more than one of them have."""
    seen: set[str] = set()
    several: set[str] = set()
    for keys in stores:
        several |= seen & keys
        seen |= keys
    return several


def _outcomes(rows: pa.Table, keys: set[str]) -> Iterator[tuple[str, bytes]]:
    """What came out of those of the runs, without the times, which are never the same twice."""
    chosen = rows.filter(pc.is_in(rows["key"], pa.array(list(keys), pa.string()))).drop_columns(["wall_time"])
    for row in chosen.to_pylist():
        yield row["key"], hashlib.sha256(repr(sorted(row.items())).encode()).digest()  # in which NaN is NaN
