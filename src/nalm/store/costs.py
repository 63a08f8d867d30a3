"""Training time of results, the estimates that follow from it, and the versions that made them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from nalm.experiments.runs import Shard, runs_of
from nalm.spec.recipe import Recipe
from nalm.store.store import Store
from nalm.tasks import family_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "STARTING_SECONDS",
    "CostKind",
    "Costs",
    "ShardCost",
    "compiled_costs",
    "cost_kind",
    "expected_cost",
    "expected_seconds",
    "mean_costs",
    "shard_costs",
    "training_costs",
]

CostKind = tuple[str | int | None, ...]
"""Module, batch size, and the family and sizes of the task: the cost of an iteration depends on these."""

STARTING_SECONDS = 5.0
"""Time to start a worker and to compile, or to load compiled code from the cache."""

TASK_SIZES = ("input_size", "hidden_size", "length", "steps", "encoder")
"""Fields of tasks of any family on which the cost of an iteration depends."""


@dataclass(frozen=True)
class Costs:
    """The training time of experiments in a directory.

    Arguments:
        experiments: a row per experiment: number of finished ``runs``, number of runs that no experiment before it has
            (``new``), and training time of the new ones (``core_seconds``).
        core_seconds: training time of all shards with runs of the experiments, each trained by one thread.
        wall_seconds: time during which at least one of these shards was training.
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
    import pandas as pd

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


@dataclass(frozen=True)
class ShardCost:
    """The training time of a finished shard.

    Arguments:
        keys: keys of its runs.
        kind: the kind of cost.
        iterations: iterations of all runs together.
        seconds: training time, starting included; None if the runs were imported.
        compiled: whether it was trained compiled.
        stops_early: whether runs stop when they are solved.
    """

    keys: Sequence[str]
    kind: CostKind
    iterations: int
    seconds: float | None
    compiled: bool
    stops_early: bool


def cost_kind(recipe: Recipe, task: Mapping[str, Any]) -> CostKind:
    """Return the kind of cost of a run, from its recipe and the stored fields of its task."""
    sizes = (task.get(size) for size in TASK_SIZES)
    return recipe.architecture, recipe.batch_size, family_of(task).__name__, *sizes


def shard_costs(store: Store) -> Iterator[ShardCost]:
    """Yield the training time of every finished shard."""
    for file in store.files():
        yield ShardCost(
            keys=file.keys,
            kind=cost_kind(file.recipe, file.first_task),
            iterations=len(file.keys) * (file.recipe.iterations + 1),
            seconds=None if "imported" in file.about else file.about["seconds"],
            compiled=file.about["compiled"],
            stops_early=file.recipe.stop_when_solved,
        )


def mean_costs(shards: Iterable[ShardCost]) -> dict[CostKind, float]:
    """Return the mean seconds per run and iteration, by kind of cost."""
    spent: dict[CostKind, tuple[float, int]] = {}
    for shard in shards:
        if shard.seconds is not None:
            seconds, iterations = spent.get(shard.kind, (0.0, 0))
            spent[shard.kind] = (seconds + shard.seconds, iterations + shard.iterations)
    return {kind: seconds / iterations for kind, (seconds, iterations) in spent.items()}


def compiled_costs(store: Store) -> dict[CostKind, float]:
    """Return measured costs of compiled training, without the time to start.

    Short shards are skipped: their time to start hides the rest.
    """
    return mean_costs(
        replace(shard, seconds=shard.seconds - STARTING_SECONDS)
        for shard in shard_costs(store)
        if shard.compiled
        and not shard.stops_early
        and shard.seconds is not None
        and shard.seconds > 2 * STARTING_SECONDS
    )


def expected_seconds(shard: Shard, measured: Mapping[CostKind, float], updates: int | None = None) -> float:
    """Return the expected time of some updates of a shard, by default of all, on one core."""
    return (
        len(shard.runs) * (shard.recipe.iterations + 1 if updates is None else updates) * expected_cost(shard, measured)
    )


def expected_cost(shard: Shard, measured: Mapping[CostKind, float]) -> float:
    """Return the seconds per run and iteration: as measured, or else the typical ones of the task."""
    task = shard.runs[0].task
    kind = cost_kind(shard.recipe, task.identity)
    return measured.get(kind, task.typical_seconds(shard.recipe, len(shard.runs)))
