"""Trains an experiment into a results directory."""

import concurrent.futures
import concurrent.futures.process
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, closing, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch

from nalm.errors import NalmError
from nalm.execution.dispatch import Event, train_shards
from nalm.execution.executors.local import default_workers, local_workers
from nalm.execution.plan import WHOLE, Part, Plan, plan
from nalm.execution.signals import interruption
from nalm.execution.worker import ShardProgress, clear_running, read_progress
from nalm.experiments.catalog import COMPUTED_FIGURES, figures_called, load_experiment
from nalm.experiments.experiment import Experiment
from nalm.experiments.runs import Shard
from nalm.log import warn_once
from nalm.paths import disk_is_full
from nalm.registry import import_paths
from nalm.store.store import Store
from nalm.tasks import check_tasks

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
        retried: shards that failed and were trained again.
        failed: shards that failed for good.
    """

    runs: int
    finished: int
    solved: int
    share: float
    seconds: float
    seconds_left: float | None
    retried: int = 0
    failed: int = 0


def run(
    experiments: Experiments,
    out: Path | str = "results",
    *,
    workers: int | None = None,
    device: str = "cpu",
    compiled: bool = True,
    replace: bool = False,
    imports: bool = True,
    executor: concurrent.futures.Executor | None = None,
    part: Part = WHOLE,
    on_progress: Callable[[Progress], None] | None = None,
) -> Store:
    """Trains what the results directory does not have yet of one or several experiments.

    Several processes, also on several machines, may do so at the same time: each shard is trained by one of them. What
    was interrupted goes on where it was.

    Arguments:
        experiments: an experiment, a name in the catalog, the path of a YAML file, or several of them, which train
            together; runs that they share are trained once.
        out: the results directory.
        workers: processes, one thread each; as many as cores by default, and 0 for this process.
        device: where models train, such as ``cpu`` or ``cuda``; with an executor, not looked for on this machine.
        compiled: whether to compile where that is possible.
        replace: go on although recipes have changed under an experiment's name; old runs stay.
        imports: whether modules may be named by import paths, whose code is run.
        executor: anything with ``submit`` as in ``concurrent.futures``, instead of local workers.
        part: trains only some of the shards; several parts may be trained at once, on one machine or on many.
        on_progress: called about twice a second.

    Raises:
        NalmError: the input is wrong, the directory cannot be written to, or shards failed (the others are saved).
        Interrupted: SIGTERM asked this process to stop; workers have written checkpoints.
    """
    here = device if executor is None else "cpu"
    chosen, store, (runs, shards) = prepare(experiments, out, here, replace, imports, part)
    store.make_directories()
    store.set_damaged_aside()
    for experiment in chosen:
        store.experiments.add(experiment, replace)
    clear_running(store.path)
    store.failures.forget(shards)
    tracker = _Tracker(runs, store, shards)
    count = min(default_workers() if workers is None else workers, len(shards))

    def make_executor() -> AbstractContextManager[concurrent.futures.Executor]:
        return local_workers(count) if executor is None else nullcontext(executor)

    # Closing the generator at once stops the workers, whatever interrupts this loop.
    with (
        interruption.by_sigterm(),
        closing(train_shards(store.path.absolute(), shards, make_executor, device, compiled)) as events,
    ):
        for event in events:
            if event is not None:
                tracker.count(event)
            interruption.check()
            if on_progress is not None:
                on_progress(tracker.progress())
    tracker.sum_up()
    return store


def _reason(failure: BaseException) -> str:
    if isinstance(failure, concurrent.futures.process.BrokenProcessPool):
        return "a worker process that died (out of memory? a script without `if __name__ == '__main__':`?)"
    return f"{type(failure).__name__}: {(str(failure).splitlines() or [''])[0]}"


class Prepared(NamedTuple):
    """Everything that is known before anything is written: the experiments, the directory, and the plan."""

    experiments: list[Experiment]
    store: Store
    plan: Plan


def prepare(
    experiments: Experiments,
    out: Path | str,
    device: str,
    replace: bool,
    imports: bool = True,
    part: Part = WHOLE,
) -> Prepared:
    """Checks everything that can be checked before anything is written.

    Raises:
        NalmError: the input is wrong.
    """
    several = [experiments] if isinstance(experiments, Experiment | str) else experiments
    with import_paths(imports):
        chosen = [experiment for item in several for experiment in _experiments(item)]
        if not chosen:
            raise NalmError("found no experiments, expected at least one")
        check_device(device)
        for experiment in chosen:
            _check_modules(experiment)
    store = Store(out)
    for experiment in chosen:
        store.experiments.merged(experiment, replace)
    return Prepared(chosen, store, plan(chosen, store.finished(), part))


def _experiments(item: Experiment | str) -> list[Experiment]:
    if isinstance(item, Experiment):
        return [item]
    names = figures_called(item)
    trained = [name for name in names if name not in COMPUTED_FIGURES]
    return [load_experiment(name) for name in trained or names]


def _check_modules(experiment: Experiment) -> None:
    for label, recipe in experiment.variants.items():
        try:
            check_tasks(recipe, experiment.tasks.values())
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
    """Puts together what became of shards and what running ones report."""

    def __init__(self, runs: int, store: Store, shards: list[Shard]) -> None:
        self.store = store
        self.runs = runs
        self.missing = sum(len(shard.runs) for shard in shards)
        self.shards = len(shards)
        self.running = set(shards)
        self.retried: dict[Shard, BaseException] = {}
        self.failed: list[BaseException] = []
        self.work = sum(shard.work for shard in shards) or 1
        self.work_done = 0
        self.finished = self.runs - self.missing
        self.solved = 0
        self.started = time.monotonic()
        self.first: tuple[float, float] | None = None
        self.reports: dict[Shard, ShardProgress] = {}
        self.next_look = 0.0

    def count(self, event: Event) -> None:
        """Takes account of an attempt.

        Raises:
            NalmError: the disk is full, so that there is no sense in going on.
        """
        shard, outcome, final = event
        if isinstance(outcome, ShardProgress):
            _pass_on(outcome)
            self.running.discard(shard)
            self.work_done += shard.work
            self.finished += len(shard.runs)
            self.solved += outcome.solved
        elif isinstance(outcome, OSError) and disk_is_full(outcome):
            raise NalmError(
                f"cannot write results to {str(self.store.path)!r}: {outcome.strerror}; "
                "what was trained before is saved, and with room the same command goes on"
            ) from outcome
        elif final:
            self.retried.pop(shard, None)
            self.failed.append(outcome)
            with suppress(OSError):  # why it failed is what matters
                self.store.failures.add(shard, outcome)
        else:
            self.retried[shard] = outcome

    def sum_up(self) -> None:
        """Says what failed and was trained again.

        Raises:
            NalmError: shards failed for good.
        """
        if self.retried:
            reasons = Counter(map(_reason, self.retried.values())).most_common()
            listed = "; ".join(f"{count} with {reason}" for reason, count in reasons)
            warn_once(f"{len(self.retried)} of {self.shards} shards failed at first and were trained again: {listed}")
        if self.failed:
            raise NalmError(
                f"{len(self.failed)} of {self.shards} shards failed, what else was trained is saved; the first "
                f"failed with {_reason(self.failed[0])} (tracebacks are in {self.store.path / 'failed'})"
            ) from self.failed[0]

    def progress(self) -> Progress:
        """As of now."""
        running = self._reports()
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
            retried=len(self.retried),
            failed=len(self.failed),
        )

    def _reports(self) -> dict[Shard, ShardProgress]:
        """What running shards report; looking at them takes a twentieth of the time at most."""
        begun = time.monotonic()
        if begun >= self.next_look:
            self.reports = read_progress(self.store.path, self.running)
            self.next_look = begun + 20 * (time.monotonic() - begun)
        return {shard: report for shard, report in self.reports.items() if shard in self.running}

    def _seconds_left(self, share: float, seconds: float) -> float | None:
        """Starting and compiling come before the first progress and say nothing about the pace."""
        if share == 0:
            return None
        first_share, first_seconds = self.first = self.first or (share, seconds)
        if share == 1:
            return 0.0
        return (seconds - first_seconds) * (1 - share) / (share - first_share) if share > first_share else None


def _pass_on(report: ShardProgress) -> None:
    for message in report.warnings:
        warn_once(message)
