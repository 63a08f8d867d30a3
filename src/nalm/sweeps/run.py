"""Trains an experiment into a results directory."""

import concurrent.futures
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from nalm.errors import NalmError
from nalm.experiments.catalog import load_experiment
from nalm.experiments.experiment import Experiment
from nalm.sweeps.execute import default_workers, local_executor, train_shards
from nalm.sweeps.plan import Shard, plan
from nalm.sweeps.store import Store
from nalm.sweeps.worker import read_progress

__all__ = ["Forecast", "Progress", "forecast", "run"]


@dataclass(frozen=True)
class Progress:
    """How far a whole experiment is.

    Arguments:
        runs: trainings asked for.
        finished: of them, those saved (before or now).
        solved: of those trained now, the ones solved as of now.
        share: of the work to be done now, between 0 and 1.
        seconds: since training began.
    """

    runs: int
    finished: int
    solved: int
    share: float
    seconds: float

    @property
    def seconds_left(self) -> float | None:
        """Estimate from the pace so far; None before there is any."""
        return self.seconds * (1 - self.share) / self.share if self.share > 0 else None


@dataclass(frozen=True)
class Forecast:
    """What a run would take."""

    runs: int
    missing: int
    shards: int
    seconds: float
    bytes: int


def run(
    experiment: Experiment | str,
    out: Path | str = "results",
    *,
    workers: int | None = None,
    device: str = "cpu",
    compiled: bool = True,
    replace: bool = False,
    executor: concurrent.futures.Executor | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Store:
    """Trains what the results directory does not have yet of an experiment.

    Arguments:
        experiment: an experiment, a name in the catalog, or the path of a YAML file.
        out: the results directory.
        workers: processes, one thread each; as many as cores by default, and 0 for this process.
        device: where models train, such as ``cpu`` or ``cuda``.
        compiled: whether to compile where that is possible.
        replace: go on although recipes have changed under the experiment's name; old runs stay.
        executor: anything with ``submit`` as in ``concurrent.futures``, instead of local workers.
        on_progress: called about twice a second.

    Raises:
        NalmError: the input is wrong, the directory cannot be written to, or shards failed (the others are saved).
    """
    experiment, store, shards = _prepare(experiment, out, device, replace)
    merged = store.merged(experiment, replace)
    store.make_directories()
    store.save_experiment(merged)
    tracker = _Tracker(experiment, store, shards)
    count = min(default_workers() if workers is None else workers, len(shards))
    failures: list[BaseException] = []
    for outcome in train_shards(store.path, shards, lambda: executor or local_executor(count), device, compiled):
        if outcome is not None:
            shard, result = outcome
            if isinstance(result, BaseException):
                failures.append(result)
            else:
                tracker.finish(shard, result.solved)
        if on_progress is not None:
            on_progress(tracker.progress())
    if failures:
        first = str(failures[0]).splitlines() or [""]
        raise NalmError(
            f"{len(failures)} of {len(shards)} shards failed, the others are saved; "
            f"the first failed with {type(failures[0]).__name__}: {first[0]}"
        ) from failures[0]
    return store


def forecast(experiment: Experiment | str, out: Path | str = "results", workers: int | None = None) -> Forecast:
    """What `run` would do: the runs that are missing, and roughly the seconds and bytes that they will take.

    The estimate is from shards of the same module and input size in the directory, or else from typical costs.
    """
    experiment, store, shards = _prepare(experiment, out, "cpu", replace=True)
    measured: dict[tuple[str, int], float] = {}
    for table, about in store.runs():
        first = table.slice(0, 1).to_pylist()[0]
        cost = about["seconds"] / table.num_rows / max(1, first["iteration"][-1])
        measured[_kind(about["recipe"]["module"], first["task"])] = cost
    seconds, size = 0.0, 0
    for shard in shards:
        columns = shard.runs[0].task.input_size
        updates = len(shard.runs) * (shard.recipe.iterations + 1)
        kind = (shard.recipe.module.name, columns)
        seconds += STARTING_SECONDS + updates * measured.get(kind, TYPICAL_SECONDS_PER_INPUT * columns)
        evaluations = shard.recipe.iterations // shard.recipe.evaluate_every + 1
        size += len(shard.runs) * evaluations * (BYTES_PER_EVALUATION + BYTES_PER_INPUT * columns)
    parallel = max(1, min(default_workers() if workers is None else workers, len(shards)))
    return Forecast(experiment.runs, sum(len(shard.runs) for shard in shards), len(shards), seconds / parallel, size)


STARTING_SECONDS = 5.0
"""To start a worker and compile, or load what was compiled before."""
TYPICAL_SECONDS_PER_INPUT = 0.5e-6
"""A run's iteration on one core of 2026, compiled; `nalm bench` measures it."""
BYTES_PER_EVALUATION = 30
BYTES_PER_INPUT = 8


def _kind(module: str | dict[str, object], task: str) -> tuple[str, int]:
    import json

    name = module if isinstance(module, str) else str(module["name"])
    return name, json.loads(task).get("input_size", 2)


def _prepare(
    experiment: Experiment | str, out: Path | str, device: str, replace: bool
) -> tuple[Experiment, Store, list[Shard]]:
    """Everything that can be checked before anything is written."""
    if isinstance(experiment, str):
        experiment = load_experiment(experiment)
    check_device(device)
    store = Store(out)
    store.merged(experiment, replace)
    return experiment, store, plan(experiment, store.finished())


def check_device(device: str) -> None:
    """Checks that models can train there.

    Raises:
        NalmError: torch does not know the device, or this machine does not have it.
    """
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise NalmError(
            f"found device {device!r}, expected one that torch can use here, such as cpu: {reason}"
        ) from None


class _Tracker:
    """Puts together what finished shards returned and what running ones report."""

    def __init__(self, experiment: Experiment, store: Store, shards: list[Shard]) -> None:
        self.directory = store.path
        self.runs = experiment.runs
        self.missing = sum(len(shard.runs) for shard in shards)
        self.running = {shard.name for shard in shards}
        self.work = sum(_work(shard, shard.recipe.iterations + 1) for shard in shards) or 1
        self.work_done = 0
        self.iterations = {shard.name: shard.recipe.iterations + 1 for shard in shards}
        self.finished = self.runs - self.missing
        self.solved = 0
        self.started = time.monotonic()

    def finish(self, shard: Shard, solved: int) -> None:
        """Counts a shard as saved."""
        self.running.discard(shard.name)
        self.work_done += _work(shard, shard.recipe.iterations + 1)
        self.finished += len(shard.runs)
        self.solved += solved

    def progress(self) -> Progress:
        """As of now."""
        reports = read_progress(self.directory, self.running)
        work = self.work_done + sum(report.iteration * report.runs for report in reports)
        return Progress(
            runs=self.runs,
            finished=self.finished,
            solved=self.solved + sum(report.solved for report in reports),
            share=min(1.0, work / self.work) if self.missing else 1.0,
            seconds=time.monotonic() - self.started,
        )


def _work(shard: Shard, iterations: int) -> int:
    return len(shard.runs) * iterations
