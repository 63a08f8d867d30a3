"""Train experiments into a results directory."""

import concurrent.futures
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path
from typing import NamedTuple

from nalm.errors import NalmError
from nalm.execution.dispatch import train_shards
from nalm.execution.executors.forking import start_nursery
from nalm.execution.executors.local import default_workers, local_workers
from nalm.execution.plan import WHOLE, Part, Plan, by_cost, plan
from nalm.execution.progress import Progress, ProgressTracker
from nalm.execution.running import clear_running
from nalm.execution.signals import interruption
from nalm.experiments.catalog import load_experiment
from nalm.experiments.experiment import Experiment
from nalm.experiments.index import COMPUTED_FIGURES, figures_called
from nalm.registry import import_paths
from nalm.store.store import Store
from nalm.tasks import check_tasks

__all__ = ["Experiments", "Prepared", "check_device", "prepare", "run"]

Experiments = Experiment | str | Sequence[Experiment | str]
"""One experiment or several. Each is an `Experiment`, a name in the catalog, or the path of a YAML file."""


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
    """Train the runs of experiments that the results directory does not have yet.

    Several processes, also on several machines, may train into one directory at the same time: each shard is trained by
    one of them. Interrupted shards resume from their checkpoints.

    Arguments:
        experiments: an experiment, a name in the catalog, the path of a YAML file, or several of them. They train
            together; runs that they share are trained once.
        out: the results directory.
        workers: number of worker processes, with one thread each. By default one per core; 0 trains in this process.
        device: device to train on, such as ``cpu`` or ``cuda``. With an executor it isn't checked on this machine.
        compiled: whether to compile, where that is possible.
        replace: accept an experiment whose recipes have changed under the same name; old runs stay.
        imports: whether anything may be named by an import path, which runs that package's code.
        executor: an executor with ``submit`` as in ``concurrent.futures``, instead of local workers.
        part: train only this part of the shards. Parts may be trained at the same time, on one machine or several.
        on_progress: called about twice a second.

    Raises:
        NalmError: the input is wrong, the directory cannot be written to, or shards failed (the others are saved).
        Interrupted: SIGTERM or SIGHUP asked this process to stop; workers have written checkpoints.
    """
    here = device if executor is None else "cpu"
    if executor is None and workers != 0 and not Store(out).path.exists():
        start_nursery(device, compiled)  # early: it imports while this process makes the plan
    chosen, store, (runs, shards) = prepare(experiments, out, here, replace, imports, part)
    store.make_directories()
    store.set_damaged_aside()
    for experiment in chosen:
        store.experiments.add(experiment, replace)
    clear_running(store.path)
    store.failures.forget(shards)
    tracker = ProgressTracker(runs, store, shards)
    count = min(default_workers() if workers is None else workers, len(shards))

    def make_executor() -> AbstractContextManager[concurrent.futures.Executor]:
        return local_workers(count, device, compiled) if executor is None else nullcontext(executor)

    in_order = by_cost(shards, store)
    # Closing the generator stops the workers, whatever exception ends this loop.
    with (
        interruption.on_signals(),
        closing(train_shards(store.path.absolute(), in_order, make_executor, device, compiled)) as attempts,
    ):
        for attempt in attempts:
            if attempt is not None:
                tracker.count(attempt)
            interruption.check()
            if on_progress is not None:
                on_progress(tracker.progress())
    tracker.report_failures()
    return store


class Prepared(NamedTuple):
    """The checked arguments of a run: experiments, results directory, and plan."""

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
    """Check the arguments of `run` and plan it, without writing anything.

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
    """Check that models can train on a device.

    Raises:
        NalmError: torch does not know the device, or this machine does not have it.
    """
    if device == "cpu":
        return
    import torch

    try:
        torch.ones(1, device=device, dtype=torch.float64).sum().item()  # inputs are placed in float64
    except Exception as error:  # each back end raises its own kinds
        reason = str(error).splitlines()[0].split(". ")[0][:200]
        raise NalmError(
            f"found device {device!r}, expected one that torch can use here, such as cpu: {reason}"
        ) from None
