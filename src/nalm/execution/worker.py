"""What a worker does: trains one shard, says how far it is, and saves it."""

import contextlib
import json
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from nalm.execution.checkpoints import Checkpoint
from nalm.execution.signals import Interrupted, interruption
from nalm.experiments.runs import Shard
from nalm.log import hide_warnings, warnings_given
from nalm.store.leases import Lease, LeaseLost, LeaseWatcher, acquire
from nalm.store.store import Store
from nalm.tasks import start_training
from nalm.training.trainer import Trainer

__all__ = [
    "Held",
    "ShardProgress",
    "clear_running",
    "lease_path",
    "progress_path",
    "read_progress",
    "start_worker",
    "stop_training",
    "stored_elsewhere",
    "train_shard",
]

SECONDS_BETWEEN_REPORTS = 1.0
SECONDS_TO_STOP = 10.0
"""Workers that have been told to stop are killed after so long: one that compiles does not listen."""
STOPPED = 128 + signal.SIGTERM
"""Exit code of a worker that did."""


@dataclass(frozen=True)
class ShardProgress:
    """How far a shard is: updates made of each run, runs that are solved as of now, and what its worker has to say.

    A shard that another process has stored meanwhile has none that were solved now.
    """

    iteration: int
    runs: int
    solved: int
    warnings: list[str]


@dataclass(frozen=True)
class Held:
    """A shard that was not trained, because another process trains it."""


_IS_WORKER = threading.Event()
"""Set in a process that does nothing but train shards, and ends when it is told to stop."""
_ONE_AT_A_TIME = threading.Lock()
"""Seeds, precision and threads are set for a whole process: in an executor of threads, shards take turns."""


def start_worker() -> None:
    """Prepares a worker process.

    Interrupts are left to the process that started it; told to stop, or left alone, it writes a checkpoint and ends.
    """
    _IS_WORKER.set()
    hide_warnings()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _stop)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _stop(*_: object) -> None:
    interruption.request()
    if not _ONE_AT_A_TIME.locked():  # it waits for work
        os._exit(STOPPED)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        _stop()
        time.sleep(SECONDS_TO_STOP)
        os._exit(1)


def stop_training() -> None:
    """Has this process write a checkpoint of the shard that it trains, and waits for that; later it may train again."""
    interruption.request()
    if _ONE_AT_A_TIME.acquire(timeout=SECONDS_TO_STOP):
        _ONE_AT_A_TIME.release()
    interruption.take_back()


def train_shard(directory: Path, shard: Shard, device: str, compiled: bool) -> ShardProgress | Held:
    """Trains a shard, saves it, and returns how it ended; goes on where a checkpoint is.

    Raises:
        Interrupted: this process was told to stop; what the shard had come to is in a checkpoint.
        OSError: the results cannot be saved.
    """
    try:
        with _ONE_AT_A_TIME:
            interruption.check()
            lease = acquire(lease_path(directory, shard))
            if lease is None:
                return Held()
            with lease:
                return _train(Store(directory), shard, device, compiled, lease)
    except LeaseLost:
        return Held()
    finally:
        if _IS_WORKER.is_set() and interruption.requested:  # whatever came out is in the directory
            os._exit(STOPPED)


def _train(store: Store, shard: Shard, device: str, compiled: bool, lease: Lease) -> ShardProgress:
    checkpoint = Checkpoint(store.path, shard, {"device": device, "compiled": compiled}, lease.write)
    if store.has(shard):  # since it was planned
        checkpoint.remove()
        return stored_elsewhere(shard)

    def pause(ensemble: Trainer) -> None:
        if lease.lost:
            raise LeaseLost
        if interruption.requested:
            checkpoint.save(ensemble)
            raise Interrupted
        checkpoint.save_if_due(ensemble)

    with _reporting(store.path, shard, lease) as report:
        runs = [(run.task, run.seed) for run in shard.runs]
        ensemble = checkpoint.resume(lambda: start_training(shard.recipe, runs, device, compiled))
        history = ensemble.train(report, pause)
        how = {"device": str(ensemble.device), "threads": 1, "compiled": ensemble.compiled}
        store.add(shard, history, how | checkpoint.provenance(), lease.write)
        checkpoint.remove()
        return _progress(ensemble, shard)


def stored_elsewhere(shard: Shard) -> ShardProgress:
    """How a shard ended that another process has stored."""
    return ShardProgress(shard.recipe.iterations + 1, len(shard.runs), 0, [])


class _Report:
    """Writes the progress of a shard to a file, every now and then."""

    def __init__(self, path: Path, shard: Shard, lease: Lease) -> None:
        self.path = path
        self.shard = shard
        self.lease = lease
        self.last = -SECONDS_BETWEEN_REPORTS

    def __call__(self, ensemble: Trainer) -> None:
        if time.monotonic() - self.last >= SECONDS_BETWEEN_REPORTS:
            report = json.dumps(asdict(_progress(ensemble, self.shard))).encode()
            with contextlib.suppress(OSError):  # it is only for people to see
                self.lease.write(self.path, report, durable=False)
            self.last = time.monotonic()


@contextlib.contextmanager
def _reporting(directory: Path, shard: Shard, lease: Lease) -> Iterator[_Report]:
    path = progress_path(directory, shard)
    try:
        yield _Report(path, shard, lease)
    finally:
        if not lease.lost:
            path.unlink(missing_ok=True)


def _progress(ensemble: Trainer, shard: Shard) -> ShardProgress:
    history = ensemble.history
    validation, test = np.stack(history.validation_errors), np.stack(history.test_errors)
    ends = [history.evaluations(index) for index in range(len(shard.runs))]
    solved = sum(
        run.threshold.solved(validation[:end, index].tolist(), test[:end, index].tolist())
        for index, (run, end) in enumerate(zip(shard.runs, ends, strict=True))
    )
    return ShardProgress(ensemble.iteration, len(shard.runs), solved, warnings_given())


def clear_running(directory: Path) -> None:
    """Removes what processes that were killed have left, but for checkpoints of shards that are not stored."""
    stored = {path.stem.partition("-")[0] for path in (directory / "shards").glob("*-*.parquet")}
    for path in (directory / "running").glob("[!.]*"):
        if LeaseWatcher(path.with_suffix(".lease")).is_free() and (
            path.suffix == ".json" or (path.suffix == ".checkpoint" and path.stem in stored)
        ):
            path.unlink(missing_ok=True)


def lease_path(directory: Path, shard: Shard) -> Path:
    """The lease of a shard."""
    return directory / "running" / f"{shard.name}.lease"


def progress_path(directory: Path, shard: Shard) -> Path:
    """Where the worker of a shard says how far it is."""
    return directory / "running" / f"{shard.name}.json"


def read_progress(directory: Path, shards: Iterable[Shard]) -> dict[Shard, ShardProgress]:
    """Progress of those of the shards that are being trained."""
    found = {}
    reporting = {path.stem for path in (directory / "running").glob("*.json")}
    for shard in shards:
        if shard.name not in reporting:
            continue
        with contextlib.suppress(OSError, ValueError, TypeError):  # it has ended, or is seen half over a network
            found[shard] = ShardProgress(**json.loads(progress_path(directory, shard).read_text()))
    return found
