"""What a run would take."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nalm.execution.executors.local import default_workers
from nalm.execution.run import Experiments, prepare
from nalm.experiments.runs import Shard
from nalm.spec.recipe import STORED, Recipe
from nalm.store.store import Store
from nalm.tasks import family_of
from nalm.training.history import MOST_PARAMETERS

__all__ = ["CostKind", "Forecast", "cost", "cost_kind", "forecast"]

CostKind = tuple[str | int | None, ...]

SIZES = ("input_size", "hidden_size", "length", "steps", "encoder")
"""Fields of tasks, whatever their kind, on which the cost of an iteration depends."""

STARTING_SECONDS = 5.0
"""To start a worker and compile, or load what was compiled before."""
BYTES_PER_EVALUATION = 30
BYTES_PER_INPUT = 8


@dataclass(frozen=True)
class Forecast:
    """What a run would take: all different runs, those that are missing and their shards, and estimates."""

    runs: int
    missing: int
    shards: int
    seconds: float
    bytes: int


def forecast(
    experiments: Experiments,
    out: Path | str = "results",
    *,
    workers: int | None = None,
    device: str = "cpu",
    replace: bool = False,
) -> Forecast:
    """What `run` would do: the runs that are missing, and roughly the seconds and bytes that they will take.

    The estimate is for compiled training, from long shards of the same module and sizes in the directory,
    or else from typical costs.

    Raises:
        NalmError: what `run` would refuse.
    """
    _, store, (runs, shards) = prepare(experiments, out, device, replace)
    measured = _measured_costs(store)
    seconds = size = 0.0
    for shard in shards:
        recipe, inputs = shard.recipe, shard.runs[0].task.columns
        seconds += STARTING_SECONDS + len(shard.runs) * (recipe.iterations + 1) * cost(shard, measured)
        evaluations = recipe.iterations // recipe.evaluate_every + 1
        kept = inputs if evaluations * inputs <= MOST_PARAMETERS else 0  # about a parameter for each
        size += len(shard.runs) * evaluations * (BYTES_PER_EVALUATION + BYTES_PER_INPUT * kept)
    parallel = max(1, min(default_workers() if workers is None else workers, len(shards)))
    missing = sum(len(shard.runs) for shard in shards)
    return Forecast(runs, missing, len(shards), seconds / parallel, round(size))


def cost_kind(recipe: Recipe, task: Mapping[str, Any]) -> CostKind:
    """What the cost of a run's iteration depends on: what is trained, and the kind and sizes of its task, from the
    fields that are stored of it.
    """
    sizes = (task.get(size) for size in SIZES)
    return recipe.architecture, recipe.batch_size, family_of(task).__name__, *sizes


def cost(shard: Shard, measured: Mapping[CostKind, float]) -> float:
    """Seconds of a run's iteration: as measured, or else as is typical."""
    task = shard.runs[0].task
    kind = cost_kind(shard.recipe, task.identity)
    return measured.get(kind, task.typical_seconds(shard.recipe, len(shard.runs)))


def _measured_costs(store: Store) -> dict[CostKind, float]:
    """Seconds per run and iteration, by what they depend on; short shards say nothing about the pace."""
    costs = {}
    for table, about in store.runs():
        recipe = Recipe.model_validate(about["recipe"], context=STORED)
        training = about["seconds"] - STARTING_SECONDS
        if about["compiled"] and training > STARTING_SECONDS and not recipe.stop_when_solved:
            kind = cost_kind(recipe, json.loads(table["task"][0].as_py()))
            costs[kind] = training / table.num_rows / (recipe.iterations + 1)
    return costs
