"""Trains an experiment into a results directory."""

import concurrent.futures
import time
from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch

from nalm.errors import NalmError
from nalm.experiments.catalog import load_experiment
from nalm.experiments.experiment import Experiment
from nalm.sweeps.execute import default_workers, local_workers, train_shards
from nalm.sweeps.plan import WHOLE, Part, Plan, Shard, plan
from nalm.sweeps.store import Store
from nalm.sweeps.worker import ShardProgress, progress_path, read_progress
from nalm.training.notices import notices

__all__ = ["Experiments", "Prepared", "Progress", "check_device", "prepare", "run"]

Experiments = Experiment | str | Sequence[Experiment | str]
"""One experiment or several, each itself, a name in the catalog, or the path of a YAML file."""


@dataclass(frozen=True)
class Progress:
    """How far experiments are.

    Arguments:
        runs: different trainings asked for.
        finished: of them, those saved (before or now).
        solved: of those trained now, the ones solved as of now.
        share: of the work to be done now, between 0 and 1.
        seconds: since training began.
        seconds_left: estimate from the pace since the first progress; None before there is any.
    """

    runs: int
    finished: int
    solved: int
    share: float
    seconds: float
    seconds_left: float | None


def run(
    experiments: Experiments,
    out: Path | str = "results",
    *,
    workers: int | None = None,
    device: str = "cpu",
    compiled: bool = True,
    replace: bool = False,
    executor: concurrent.futures.Executor | None = None,
    part: Part = WHOLE,
    on_progress: Callable[[Progress], None] | None = None,
) -> Store:
    """Trains what the results directory does not have yet of one or several experiments.

    Arguments:
        experiments: an experiment, a name in the catalog, the path of a YAML file, or several of them, which train
            together; runs that they share are trained once.
        out: the results directory.
        workers: processes, one thread each; as many as cores by default, and 0 for this process.
        device: where models train, such as ``cpu`` or ``cuda``; with an executor, not looked for on this machine.
        compiled: whether to compile where that is possible.
        replace: go on although recipes have changed under an experiment's name; old runs stay.
        executor: anything with ``submit`` as in ``concurrent.futures``, instead of local workers.
        part: trains only some of the shards; several parts may be trained at once, on one machine or on many.
        on_progress: called about twice a second.

    Raises:
        NalmError: the input is wrong, the directory cannot be written to, or shards failed (the others are saved).
    """
    here = device if executor is None else "cpu"
    _, merged, store, (runs, shards) = prepare(experiments, out, here, replace, part)
    store.make_directories()
    store.set_damaged_aside()
    for experiment in merged:
        store.save_experiment(experiment)
    for shard in shards:
        progress_path(store.path, shard).unlink(missing_ok=True)  # of a run that was killed
    tracker = _Tracker(runs, store, shards)
    count = min(default_workers() if workers is None else workers, len(shards))

    def make_executor() -> AbstractContextManager[concurrent.futures.Executor]:
        return local_workers(count) if executor is None else nullcontext(executor)

    failures: list[BaseException] = []
    # Closing the generator at once stops the workers, whatever interrupts this loop.
    with closing(train_shards(store.path.absolute(), shards, make_executor, device, compiled)) as outcomes:
        for outcome in outcomes:
            if outcome is not None:
                shard, result = outcome
                if isinstance(result, BaseException):
                    failures.append(result)
                    store.add_failure(shard, result)
                else:
                    tracker.finish(shard, result)
            if on_progress is not None:
                on_progress(tracker.progress())
    if failures:
        raise NalmError(
            f"{len(failures)} of {len(shards)} shards failed, what else was trained is saved; "
            f"the first failed with {_reason(failures[0])} (tracebacks are in {store.path / 'failed'})"
        ) from failures[0]
    return store


def _reason(failure: BaseException) -> str:
    if type(failure) is BrokenProcessPool:
        return "a worker process that died (out of memory? a script without `if __name__ == '__main__':`?)"
    return f"{type(failure).__name__}: {(str(failure).splitlines() or [''])[0]}"


class Prepared(NamedTuple):
    """Everything that is known before anything is written.

    The experiments, the same with what the directory already knows under their names, the directory, and the plan.
    """

    experiments: list[Experiment]
    merged: list[Experiment]
    store: Store
    plan: Plan


def prepare(experiments: Experiments, out: Path | str, device: str, replace: bool, part: Part = WHOLE) -> Prepared:
    """Checks everything that can be checked before anything is written.

    Raises:
        NalmError: the input is wrong.
    """
    several = [experiments] if isinstance(experiments, Experiment | str) else experiments
    chosen = [load_experiment(item) if isinstance(item, str) else item for item in several]
    if not chosen:
        raise NalmError("found no experiments, expected at least one")
    check_device(device)
    for experiment in chosen:
        _check_modules(experiment)
    store = Store(out)
    merged = [store.merged(experiment, replace) for experiment in chosen]
    return Prepared(chosen, merged, store, plan(chosen, store.finished(), part))


def _check_modules(experiment: Experiment) -> None:
    sizes = {task.input_size for task in experiment.tasks.values()}
    for label, recipe in experiment.variants.items():
        for size in sizes:
            try:
                recipe.check(size)
            except ValueError as error:
                raise NalmError(f"{label}: {error}") from None


def check_device(device: str) -> None:
    """Checks that models can train there.

    Raises:
        NalmError: torch does not know the device, or this machine does not have it.
    """
    try:
        torch.ones(1, device=device, dtype=torch.float64).sum().item()  # inputs are placed in float64
    except Exception as error:  # every back-end raises what it likes
        reason = str(error).splitlines()[0].split(". ")[0][:200]
        raise NalmError(
            f"found device {device!r}, expected one that torch can use here, such as cpu: {reason}"
        ) from None


class _Tracker:
    """Puts together what finished shards returned and what running ones report."""

    def __init__(self, runs: int, store: Store, shards: list[Shard]) -> None:
        self.directory = store.path
        self.runs = runs
        self.missing = sum(len(shard.runs) for shard in shards)
        self.running = set(shards)
        self.work = sum(shard.work for shard in shards) or 1
        self.work_done = 0
        self.finished = self.runs - self.missing
        self.solved = 0
        self.started = time.monotonic()
        self.first: tuple[float, float] | None = None

    def finish(self, shard: Shard, report: ShardProgress) -> None:
        """Counts a shard as saved."""
        _pass_on(report)
        self.running.discard(shard)
        self.work_done += shard.work
        self.finished += len(shard.runs)
        self.solved += report.solved

    def progress(self) -> Progress:
        """As of now."""
        running = read_progress(self.directory, self.running)
        reports = list(running.values())
        for report in reports:
            _pass_on(report)
        work = self.work_done + sum(
            shard.work * report.iteration / (shard.recipe.iterations + 1) for shard, report in running.items()
        )
        share = min(1.0, work / self.work) if self.missing else 1.0
        seconds = time.monotonic() - self.started
        return Progress(
            runs=self.runs,
            finished=self.finished,
            solved=self.solved + sum(report.solved for report in reports),
            share=share,
            seconds=seconds,
            seconds_left=self._seconds_left(share, seconds),
        )

    def _seconds_left(self, share: float, seconds: float) -> float | None:
        """Starting and compiling come before the first progress and say nothing about the pace."""
        if share == 0:
            return None
        first_share, first_seconds = self.first = self.first or (share, seconds)
        if share == 1:
            return 0.0
        return (seconds - first_seconds) * (1 - share) / (share - first_share) if share > first_share else None


def _pass_on(report: ShardProgress) -> None:
    for message in report.notices:
        notices.add(message)
