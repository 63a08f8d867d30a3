"""The worker: trains one shard, reports its progress, and stores it."""

import contextlib
import json
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from nalm.execution.checkpoints import Checkpoint
from nalm.execution.running import ShardProgress, lease_path, progress_path
from nalm.execution.signals import Interrupted, interruption, on_stops
from nalm.experiments.runs import Shard
from nalm.log import hide_warnings, warnings_given
from nalm.registry import import_paths
from nalm.store.inside import remove
from nalm.store.leases import Lease, LeaseLost, acquire
from nalm.store.store import Store
from nalm.tasks import start_training
from nalm.training.compiler_cache import vector_bits
from nalm.training.trainer import Trainer

__all__ = ["SECONDS_TO_STOP", "LeasedElsewhere", "ProgressWriter", "start_worker", "stop_training", "train_shard"]

SECONDS_BETWEEN_REPORTS = 1.0
SECONDS_TO_STOP = 10.0
"""Time for workers to stop before they are killed: a worker that compiles cannot react to signals."""
STOPPED = 128 + signal.SIGTERM
"""Exit code of a worker that stopped when it was asked to."""


@dataclass(frozen=True)
class LeasedElsewhere:
    """The result for a shard that was not trained because another process trains it."""


_IS_WORKER = threading.Event()
"""Set in worker processes: they only train shards, and exit when asked to stop."""
_TRAINING = threading.Lock()
"""Held while a shard trains: seeds, precision and thread counts belong to the process, so threads take turns."""


def start_worker(environment: Mapping[str, str]) -> None:
    """Prepare a worker process, which uses one thread.

    It ignores SIGINT, which the parent process handles. On SIGTERM or SIGHUP, or when the parent dies, it writes a
    checkpoint and exits.

    Arguments:
        environment: the environment of the parent, which may have changed since this process's own was made.
    """
    import torch

    os.environ.clear()
    os.environ.update(environment)
    torch.set_num_threads(1)
    _IS_WORKER.set()
    hide_warnings()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    on_stops(_stop)
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _stop(*_: object) -> None:
    interruption.request()
    if not _TRAINING.locked():  # it waits for work
        os._exit(STOPPED)


def _exit_with_parent() -> None:
    """Stop when the parent has died, or the process that this one was forked from, which reports its end."""
    parent, forked_from = multiprocessing.parent_process(), os.getppid()
    if parent is not None:
        while parent.is_alive() and os.getppid() == forked_from:
            parent.join(SECONDS_BETWEEN_REPORTS)
        _stop()
        time.sleep(SECONDS_TO_STOP)
        os._exit(1)


def stop_training() -> None:
    """Interrupt the shard that trains in this process and wait for its checkpoint; later shards may train."""
    interruption.request()
    if _TRAINING.acquire(timeout=SECONDS_TO_STOP):
        _TRAINING.release()
    interruption.clear()


def train_shard(directory: Path, shard: Shard, device: str, compiled: bool) -> ShardProgress | LeasedElsewhere:
    """Train a shard, from its checkpoint if there is one, store it, and return its final progress.

    Raises:
        Interrupted: this process was asked to stop; a checkpoint holds the state of the shard.
        OSError: the results cannot be written.
    """
    try:
        with _TRAINING, import_paths(True):
            interruption.check()
            lease = acquire(lease_path(directory, shard))
            if lease is None:
                return LeasedElsewhere()
            with lease:
                return _train(Store(directory), shard, device, compiled, lease)
    except LeaseLost:
        return LeasedElsewhere()
    finally:
        if _IS_WORKER.is_set() and interruption.requested:  # the results directory holds the outcome
            os._exit(STOPPED)


def _train(store: Store, shard: Shard, device: str, compiled: bool, lease: Lease) -> ShardProgress:
    checkpoint = Checkpoint(store.path, shard, {"device": device, "compiled": compiled}, lease.write)
    if store.has(shard):  # another process stored it after the plan was made
        checkpoint.remove()
        return ShardProgress.stored_elsewhere(shard)

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
        bits = vector_bits() if ensemble.compiled and ensemble.device.type == "cpu" else None
        how = {"device": str(ensemble.device), "threads": 1, "compiled": ensemble.compiled, "vector_bits": bits}
        store.add(shard, history, how | checkpoint.provenance(), lease.write)
        checkpoint.remove()
        return _progress(ensemble, shard)


class ProgressWriter:
    """Writes the progress of a shard to its file, about once a second."""

    def __init__(self, path: Path, shard: Shard, lease: Lease) -> None:
        self.path = path
        self.shard = shard
        self.lease = lease
        self.last = -SECONDS_BETWEEN_REPORTS

    def __call__(self, ensemble: Trainer) -> None:
        """Write the progress if it is due."""
        if time.monotonic() - self.last >= SECONDS_BETWEEN_REPORTS:
            report = json.dumps(asdict(_progress(ensemble, self.shard))).encode()
            with contextlib.suppress(OSError):  # training does not need the file
                self.lease.write(self.path, report, durable=False)
            self.last = time.monotonic()


@contextlib.contextmanager
def _reporting(directory: Path, shard: Shard, lease: Lease) -> Iterator[ProgressWriter]:
    path = progress_path(directory, shard)
    try:
        yield ProgressWriter(path, shard, lease)
    finally:
        if not lease.lost:
            remove(path)


def _progress(ensemble: Trainer, shard: Shard) -> ShardProgress:
    history = ensemble.history
    validation, test = np.stack(history.validation_errors), np.stack(history.test_errors)
    ends = [history.evaluations(index) for index in range(len(shard.runs))]
    solved = sum(
        run.threshold.solved(validation[:end, index].tolist(), test[:end, index].tolist())
        for index, (run, end) in enumerate(zip(shard.runs, ends, strict=True))
    )
    return ShardProgress(ensemble.iteration, len(shard.runs), solved, warnings_given())
