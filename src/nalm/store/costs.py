"""Training time of results, and the versions that made them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from nalm.experiments.runs import runs_of
from nalm.store.store import Store

__all__ = ["Costs", "training_costs"]


@dataclass(frozen=True)
class Costs:
    """The training time of experiments in a directory.

    Arguments:
        experiments: a row per experiment, with the number of its finished ``runs``, the number of those that no
            experiment before it has (``new``), and their training time (``core_seconds``).
        core_seconds: training time of all shards with runs of the experiments, each trained by one thread.
        wall_seconds: time in which at least one of these shards was training.
        versions: versions of the libraries that made the shards, by name; several versions are joined by "and".
    """

    experiments: pd.DataFrame
    core_seconds: float
    wall_seconds: float
    versions: Mapping[str, str]


def training_costs(store: Store, names: Sequence[str] | None = None) -> Costs:
    """Return the training time of experiments in a directory.

    The time of a shard is divided evenly among its runs.

    Arguments:
        store: the results directory.
        names: names of the experiments, in the order of the table; by default all of them, sorted.
    """
    names = store.experiments.names() if names is None else names
    keys = {name: {run.key for _, _, run in runs_of(store.experiments.read(name))} for name in names}
    wanted = set().union(*keys.values())
    seconds: dict[str, float] = {}
    intervals: list[tuple[float, float]] = []
    versions: dict[str, set[str]] = {}
    for shard, about in store.provenance():
        if wanted.isdisjoint(shard):
            continue
        seconds |= dict.fromkeys(shard, about["seconds"] / len(shard))
        intervals.append((about["started"], about["started"] + about["seconds"]))
        for name, version in about["versions"].items():
            versions.setdefault(name, set()).add(version)
    rows, counted = [], set[str]()
    for name in names:
        present = keys[name] & seconds.keys()
        new = present - counted
        counted |= new
        rows.append(
            {
                "experiment": name,
                "runs": len(present),
                "new": len(new),
                "core_seconds": sum(seconds[key] for key in new),
            }
        )
    return Costs(
        experiments=pd.DataFrame(rows, columns=["experiment", "runs", "new", "core_seconds"]),
        core_seconds=sum(end - start for start, end in intervals),
        wall_seconds=_covered(intervals),
        versions={name: " and ".join(sorted(found)) for name, found in versions.items()},
    )


def _covered(intervals: Sequence[tuple[float, float]]) -> float:
    """Return the length of the union of intervals."""
    total, until = 0.0, float("-inf")
    for start, end in sorted(intervals):
        total += max(0.0, end - max(start, until))
        until = max(until, end)
    return total
