"""What results cost: time of training, and the versions that made them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from nalm.experiments.runs import runs_of
from nalm.store.store import Store

__all__ = ["Costs", "training_costs"]


@dataclass(frozen=True)
class Costs:
    """What the results in a directory cost.

    Arguments:
        experiments: a row per experiment: ``experiment``, its ``runs`` that are there, how many of them are ``new``
            (no experiment before it has them), and the ``core_seconds`` that these took.
        core_seconds: of all shards that have runs of theirs, each trained by one thread.
        wall_seconds: during which at least one of these shards was being trained.
        versions: what the shards were made with, by name; several versions of something are joined by "and".
    """

    experiments: pd.DataFrame
    core_seconds: float
    wall_seconds: float
    versions: Mapping[str, str]


def training_costs(store: Store, names: Sequence[str] | None = None) -> Costs:
    """What experiments in a directory cost, in the order of their names or in the order given.

    A shard's time is shared out evenly among its runs.
    """
    names = store.experiments.names() if names is None else names
    keys_of = {name: {run.key for _, _, run in runs_of(store.experiments.read(name))} for name in names}
    wanted = set().union(*keys_of.values())
    seconds_of: dict[str, float] = {}
    intervals: list[tuple[float, float]] = []
    versions: dict[str, set[str]] = {}
    for keys, about in store.provenance():
        if wanted.isdisjoint(keys):
            continue
        seconds_of |= dict.fromkeys(keys, about["seconds"] / len(keys))
        intervals.append((about["started"], about["started"] + about["seconds"]))
        for name, version in about["versions"].items():
            versions.setdefault(name, set()).add(version)
    rows, counted = [], set[str]()
    for name in names:
        present = keys_of[name] & seconds_of.keys()
        new = present - counted
        counted |= new
        rows.append(
            {
                "experiment": name,
                "runs": len(present),
                "new": len(new),
                "core_seconds": sum(seconds_of[key] for key in new),
            }
        )
    return Costs(
        experiments=pd.DataFrame(rows, columns=["experiment", "runs", "new", "core_seconds"]),
        core_seconds=sum(end - start for start, end in intervals),
        wall_seconds=_covered(intervals),
        versions={name: " and ".join(sorted(found)) for name, found in versions.items()},
    )


def _covered(intervals: Sequence[tuple[float, float]]) -> float:
    """Length of the union of intervals."""
    total, until = 0.0, float("-inf")
    for start, end in sorted(intervals):
        total += max(0.0, end - max(start, until))
        until = max(until, end)
    return total
