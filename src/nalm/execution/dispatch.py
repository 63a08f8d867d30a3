"""Train shards on an executor, with retries."""

import concurrent.futures
import contextlib
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

from nalm.errors import NalmError
from nalm.execution.running import ShardProgress, lease_path
from nalm.execution.signals import Interrupted
from nalm.execution.worker import LeasedElsewhere, train_shard
from nalm.experiments.runs import Shard
from nalm.paths import disk_is_full
from nalm.store.inside import files_within
from nalm.store.leases import LeaseWatcher, holder
from nalm.store.store import Store

__all__ = ["ATTEMPTS", "Attempt", "train_shards"]

ATTEMPTS = 3
SECONDS_BETWEEN_LOOKS = 0.5

BrokenExecutor = concurrent.futures.BrokenExecutor
Executor = concurrent.futures.Executor
Future = concurrent.futures.Future[Any]
MakeExecutor = Callable[[], AbstractContextManager[Executor]]


class Attempt(NamedTuple):
    """A finished attempt to train a shard: its outcome, and whether it was the last."""

    shard: Shard
    outcome: ShardProgress | BaseException
    final: bool


def train_shards(
    directory: Path, shards: list[Shard], make_executor: MakeExecutor, device: str, compiled: bool
) -> Generator[Attempt | None, None, None]:
    """Train shards and yield each finished attempt, and None about twice a second in between.

    A shard that fails is tried again, up to `ATTEMPTS` times in all. A worker that dies breaks its executor: unfinished
    shards are then submitted to a new one. Only shards whose lease was held by a dead process count as failed. Such a
    shard gets an executor of its own for the last attempt, so that it cannot take down others. All shards do if
    executors break repeatedly before anything is trained.
    """
    failures: Counter[Shard] = Counter()
    together, alone = deque(shards), deque[Shard]()
    vain_rounds = 0
    while together or alone:
        last_attempt = not together
        group = _ShardGroup(directory, together or deque([alone.popleft()]), failures)
        before = _checkpoints(directory)
        with make_executor() as executor:
            for attempt in group.train(executor, device, compiled):
                vain_rounds = vain_rounds if attempt is None else 0
                yield attempt
        together = group.unfinished()
        dead = {shard for shard in group.broken if _owner_is_dead(directory, shard)}
        vain_rounds = 0 if dead or _checkpoints(directory) != before else vain_rounds + 1
        for shard, error in group.broken.items():
            if last_attempt and vain_rounds:
                yield Attempt(shard, error, True)
            elif shard in dead:
                yield group.failed(shard, error)
                if failures[shard] < ATTEMPTS:
                    (alone if failures[shard] == ATTEMPTS - 1 else together).append(shard)
            else:
                (alone if vain_rounds >= ATTEMPTS - 1 else together).append(shard)


def _checkpoints(directory: Path) -> dict[Path, int]:
    """Return when each checkpoint was written: a change shows that something was trained."""
    written = {}
    for path in files_within(directory, "running", "*.checkpoint"):
        with contextlib.suppress(OSError):  # its shard has finished
            written[path] = path.stat().st_mtime_ns
    return written


def _owner_is_dead(directory: Path, shard: Shard) -> bool:
    found = holder(lease_path(directory, shard))
    return found is not None and found.is_dead


class _ShardGroup:
    """Shards that train on one executor, until all are finished or the executor breaks.

    Arguments:
        directory: the results directory.
        shards: the shards to submit.
        failures: number of failed attempts of each shard so far.
    """

    def __init__(self, directory: Path, shards: deque[Shard], failures: Counter[Shard]) -> None:
        self.broken: dict[Shard, BaseException] = {}
        self._directory = directory
        self._waiting = shards
        self._failures = failures
        self._pending: dict[Future, Shard] = {}
        self._watched: dict[Shard, LeaseWatcher] = {}
        self._looked = time.monotonic()

    def train(self, executor: Executor, device: str, compiled: bool) -> Iterator[Attempt | None]:
        """Yield each finished attempt, and None about twice a second."""
        try:
            while self._waiting or self._pending or self._watched:
                while self._waiting:
                    shard = self._waiting.popleft()
                    try:
                        future = executor.submit(train_shard, self._directory, shard, device, compiled)
                    except BrokenExecutor as error:
                        self.broken[shard] = error
                        continue
                    self._pending[future] = shard
                    if future.done():  # the executor runs in this process
                        yield self._finish(future)
                for future in self._done():
                    yield self._finish(future)
                yield None
                if self.broken and not self._pending:
                    return
                yield from self._take_over()
        finally:
            for future in self._pending:
                future.cancel()

    def unfinished(self) -> deque[Shard]:
        """Return the shards that are still waiting because the executor broke."""
        return self._waiting + deque(self._watched)

    def failed(self, shard: Shard, error: BaseException) -> Attempt:
        """Count a failure; a full disk or wrong input makes further attempts useless."""
        self._failures[shard] += 1
        useless = disk_is_full(error) or isinstance(error, NalmError)
        return Attempt(shard, error, useless or self._failures[shard] == ATTEMPTS)

    def _done(self) -> set[Future]:
        if not self._pending:
            if self._watched:
                time.sleep(SECONDS_BETWEEN_LOOKS)
            return set()
        first = concurrent.futures.FIRST_COMPLETED
        return concurrent.futures.wait(self._pending, SECONDS_BETWEEN_LOOKS, return_when=first).done

    def _finish(self, future: Future) -> Attempt | None:
        shard = self._pending.pop(future)
        outcome = concurrent.futures.CancelledError() if future.cancelled() else future.exception() or future.result()
        if isinstance(outcome, ShardProgress):
            return Attempt(shard, outcome, True)
        if isinstance(outcome, LeasedElsewhere | Interrupted):  # another process trains it, or its own had to stop
            self._watched[shard] = LeaseWatcher(lease_path(self._directory, shard))
            return None
        if isinstance(outcome, BrokenExecutor):
            self.broken[shard] = outcome
            return None
        attempt = self.failed(shard, outcome)
        if not attempt.final and holder(path := lease_path(self._directory, shard)) is not None:
            self._watched[shard] = LeaseWatcher(path)  # its worker died elsewhere, or another process trains it
        elif not attempt.final:
            self._waiting.append(shard)
        return attempt

    def _take_over(self) -> Iterator[Attempt]:
        """Yield the shards that other processes have stored, and submit those that they gave up."""
        if time.monotonic() - self._looked < SECONDS_BETWEEN_LOOKS:
            return
        self._looked = time.monotonic()
        store = Store(self._directory)
        for shard in [shard for shard, watch in self._watched.items() if watch.is_free()]:
            del self._watched[shard]
            if store.has(shard):
                yield Attempt(shard, ShardProgress.stored_elsewhere(shard), True)
            else:
                self._waiting.append(shard)
