"""Runs shards on executors that speak ``concurrent.futures``."""

import concurrent.futures
import contextlib
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

from nalm.errors import NalmError
from nalm.execution.signals import Interrupted
from nalm.execution.worker import (
    Held,
    ShardProgress,
    lease_path,
    stored_elsewhere,
    train_shard,
)
from nalm.experiments.runs import Shard
from nalm.paths import disk_is_full
from nalm.store.leases import LeaseWatcher, holder
from nalm.store.store import Store

__all__ = ["ATTEMPTS", "Event", "train_shards"]

ATTEMPTS = 3
SECONDS_BETWEEN_LOOKS = 0.5

BrokenExecutor = concurrent.futures.BrokenExecutor
Executor = concurrent.futures.Executor
Future = concurrent.futures.Future[Any]
MakeExecutor = Callable[[], AbstractContextManager[Executor]]


class Event(NamedTuple):
    """What became of an attempt to train a shard, and whether it was the last."""

    shard: Shard
    outcome: ShardProgress | BaseException
    final: bool


def train_shards(
    directory: Path, shards: list[Shard], make_executor: MakeExecutor, device: str, compiled: bool
) -> Generator[Event | None, None, None]:
    """Trains shards and yields what became of each attempt, and None every now and then in between.

    What fails is tried again, so and so many times. A worker that dies breaks the pool of its executor: what was not
    done is submitted to a new one, and counts as failed only if the worker died with its lease. At the last attempt
    such a shard has an executor of its own, so that one which kills its workers takes no other with it; so have all,
    when executors break again and again before anything is trained.
    """
    failures: Counter[Shard] = Counter()
    together, alone = deque(shards), deque[Shard]()
    in_vain = 0
    while together or alone:
        last_attempt = not together
        group = _Group(directory, together or deque([alone.popleft()]), failures)
        before = _checkpoints(directory)
        with make_executor() as executor:
            for event in group.train(executor, device, compiled):
                in_vain = in_vain if event is None else 0
                yield event
        together = group.left()
        dead = {shard for shard in group.broken if _owner_is_dead(directory, shard)}
        in_vain = 0 if dead or _checkpoints(directory) != before else in_vain + 1
        for shard, error in group.broken.items():
            if last_attempt and in_vain:
                yield Event(shard, error, True)
            elif shard in dead:
                yield group.failed(shard, error)
                if failures[shard] < ATTEMPTS:
                    (alone if failures[shard] == ATTEMPTS - 1 else together).append(shard)
            else:
                (alone if in_vain >= ATTEMPTS - 1 else together).append(shard)


def _checkpoints(directory: Path) -> dict[Path, int]:
    """When each was written, which tells whether anything was trained."""
    written = {}
    for path in (directory / "running").glob("*.checkpoint"):
        with contextlib.suppress(OSError):  # its shard has ended
            written[path] = path.stat().st_mtime_ns
    return written


def _owner_is_dead(directory: Path, shard: Shard) -> bool:
    found = holder(lease_path(directory, shard))
    return found is not None and found.is_dead


class _Group:
    """Shards on one executor, until each is done, or the executor breaks.

    Arguments:
        directory: the results directory.
        shards: those that are waiting.
        failures: how often each has failed.
    """

    def __init__(self, directory: Path, shards: deque[Shard], failures: Counter[Shard]) -> None:
        self.broken: dict[Shard, BaseException] = {}
        self._directory = directory
        self._waiting = shards
        self._failures = failures
        self._pending: dict[Future, Shard] = {}
        self._watched: dict[Shard, LeaseWatcher] = {}
        self._looked = time.monotonic()

    def train(self, executor: Executor, device: str, compiled: bool) -> Iterator[Event | None]:
        """Yields what became of each attempt, and None every now and then."""
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
                    if future.done():  # the executor is this process
                        yield self._ended(future)
                for future in self._done():
                    yield self._ended(future)
                yield None
                if self.broken and not self._pending:
                    return
                yield from self._look()
        finally:
            for future in self._pending:
                future.cancel()

    def left(self) -> deque[Shard]:
        """Those that are still waiting, because the executor broke."""
        return self._waiting + deque(self._watched)

    def failed(self, shard: Shard, error: BaseException) -> Event:
        """Counts a failure; a full disk stays full, and wrong input wrong."""
        self._failures[shard] += 1
        hopeless = disk_is_full(error) or isinstance(error, NalmError)
        return Event(shard, error, hopeless or self._failures[shard] == ATTEMPTS)

    def _done(self) -> set[Future]:
        if not self._pending:
            if self._watched:
                time.sleep(SECONDS_BETWEEN_LOOKS)
            return set()
        first = concurrent.futures.FIRST_COMPLETED
        return concurrent.futures.wait(self._pending, SECONDS_BETWEEN_LOOKS, return_when=first).done

    def _ended(self, future: Future) -> Event | None:
        shard = self._pending.pop(future)
        outcome = concurrent.futures.CancelledError() if future.cancelled() else future.exception() or future.result()
        if isinstance(outcome, ShardProgress):
            return Event(shard, outcome, True)
        if isinstance(outcome, Held | Interrupted):  # somebody trains it, or has to stop training it
            self._watched[shard] = LeaseWatcher(lease_path(self._directory, shard))
            return None
        if isinstance(outcome, BrokenExecutor):
            self.broken[shard] = outcome
            return None
        event = self.failed(shard, outcome)
        if not event.final and holder(path := lease_path(self._directory, shard)) is not None:
            self._watched[shard] = LeaseWatcher(path)  # its worker has died elsewhere, or somebody else trains it
        elif not event.final:
            self._waiting.append(shard)
        return event

    def _look(self) -> Iterator[Event]:
        """Takes up what others have given up, and counts what they have finished."""
        if time.monotonic() - self._looked < SECONDS_BETWEEN_LOOKS:
            return
        self._looked = time.monotonic()
        store = Store(self._directory)
        for shard in [shard for shard, watch in self._watched.items() if watch.is_free()]:
            del self._watched[shard]
            if store.has(shard):
                yield Event(shard, stored_elsewhere(shard), True)
            else:
                self._waiting.append(shard)
