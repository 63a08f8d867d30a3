"""Forecast the time and disk space of a run."""

from dataclasses import dataclass
from pathlib import Path

from nalm.execution.executors.local import default_workers
from nalm.execution.run import Experiments, prepare
from nalm.store.costs import STARTING_SECONDS, compiled_costs, expected_seconds
from nalm.training.history import MOST_PARAMETERS

__all__ = ["Forecast", "forecast"]

BYTES_PER_EVALUATION = 30
BYTES_PER_INPUT = 8


@dataclass(frozen=True)
class Forecast:
    """The size of a run, and estimates of its cost.

    Arguments:
        runs: different runs of the experiments.
        missing: runs that are not finished.
        shards: shards of the missing runs.
        seconds: estimated time to train them.
        bytes: estimated size of their files.
    """

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
    """Count the runs that `run` would train, and estimate their time and disk space.

    The estimate is for compiled training. It is the mean cost of long shards in the directory that have the same module
    and sizes; without any, it is a typical cost. Arguments are those of `run`.

    Raises:
        NalmError: `run` would refuse the arguments.
    """
    _, store, (runs, shards) = prepare(experiments, out, device, replace)
    measured = compiled_costs(store)
    seconds = size = 0.0
    for shard in shards:
        recipe, inputs = shard.recipe, shard.runs[0].task.columns
        seconds += STARTING_SECONDS + expected_seconds(shard, measured)
        evaluations = recipe.iterations // recipe.evaluate_every + 1
        kept = inputs if evaluations * inputs <= MOST_PARAMETERS else 0  # about one parameter per input
        size += len(shard.runs) * evaluations * (BYTES_PER_EVALUATION + BYTES_PER_INPUT * kept)
    parallel = max(1, min(default_workers() if workers is None else workers, len(shards)))
    missing = sum(len(shard.runs) for shard in shards)
    return Forecast(runs, missing, len(shards), seconds / parallel, round(size))
