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

from nalm.sweeps.plan import Shard
from nalm.sweeps.store import Store, write_atomically
from nalm.training.ensemble import Ensemble
from nalm.training.notices import notices

__all__ = ["ShardProgress", "progress_path", "read_progress", "start_worker", "train_shard"]

SECONDS_BETWEEN_REPORTS = 0.5


@dataclass(frozen=True)
class ShardProgress:
    """How far a shard is: updates made of each run, runs that are solved as of now, and what its worker has to say."""

    iteration: int
    runs: int
    solved: int
    notices: list[str]


def start_worker() -> None:
    """Prepares a worker process: interrupts are left to the process that started it, and it ends with that one."""
    notices.silent = True
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


_ONE_AT_A_TIME = threading.Lock()
"""Seeds, precision and threads are set for a whole process: in an executor of threads, shards take turns."""


def train_shard(directory: Path, shard: Shard, device: str, compiled: bool) -> ShardProgress:
    """Trains a shard, saves it, and returns how it ended.

    Raises:
        OSError: the results cannot be saved.
    """
    store = Store(directory)
    with _ONE_AT_A_TIME, _reporting(directory, shard) as report:
        started = time.time()
        ensemble = Ensemble(shard.recipe, [(run.task, run.seed) for run in shard.runs], device, compiled)
        history = ensemble.train(report)
        provenance = {
            "device": str(ensemble.device),
            "threads": 1,
            "compiled": ensemble.program.compiled,
            "started": started,
            "seconds": time.time() - started,
        }
        store.add(shard, history, provenance)
        return _progress(ensemble, shard)


class _Report:
    """Writes the progress of a shard to a file, every now and then."""

    def __init__(self, path: Path, shard: Shard) -> None:
        self.path = path
        self.shard = shard
        self.last = -SECONDS_BETWEEN_REPORTS

    def __call__(self, ensemble: Ensemble) -> None:
        if time.monotonic() - self.last >= SECONDS_BETWEEN_REPORTS:
            write_atomically(self.path, json.dumps(asdict(_progress(ensemble, self.shard))).encode())
            self.last = time.monotonic()


@contextlib.contextmanager
def _reporting(directory: Path, shard: Shard) -> Iterator[_Report]:
    path = progress_path(directory, shard)
    try:
        yield _Report(path, shard)
    finally:
        path.unlink(missing_ok=True)


def _progress(ensemble: Ensemble, shard: Shard) -> ShardProgress:
    history = ensemble.history
    validation, test = np.stack(history.validation_errors), np.stack(history.test_errors)
    solved = sum(
        run.threshold.solved(validation[:, index].tolist(), test[:, index].tolist())
        for index, run in enumerate(shard.runs)
    )
    return ShardProgress(ensemble.iteration, len(shard.runs), solved, list(notices.said))


def progress_path(directory: Path, shard: Shard) -> Path:
    """Where the worker of a shard says how far it is."""
    return directory / "running" / f"{shard.name}.json"


def read_progress(directory: Path, shards: Iterable[Shard]) -> dict[Shard, ShardProgress]:
    """Progress of those of the shards that are being trained."""
    found = {}
    for shard in shards:
        with contextlib.suppress(FileNotFoundError):  # it has not begun, or has ended
            found[shard] = ShardProgress(**json.loads(progress_path(directory, shard).read_text()))
    return found
