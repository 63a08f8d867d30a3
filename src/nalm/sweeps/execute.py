"""Runs shards on executors that speak ``concurrent.futures``."""

import concurrent.futures
import contextlib
import multiprocessing
import os
from collections.abc import Callable, Generator, Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from nalm.sweeps.plan import Shard
from nalm.sweeps.worker import ShardProgress, start_worker, train_shard

__all__ = ["InProcessExecutor", "default_workers", "local_workers", "train_shards"]

ATTEMPTS = 3
SECONDS_BETWEEN_LOOKS = 0.5

Outcome = ShardProgress | BaseException
MakeExecutor = Callable[[], AbstractContextManager[concurrent.futures.Executor]]


def default_workers() -> int:
    """As many workers as there are cores for this process."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class InProcessExecutor(concurrent.futures.Executor):
    """Trains in this process, shard by shard: for notebooks, debuggers and tests."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> concurrent.futures.Future[Any]:
        """Calls the function now."""
        future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


@contextlib.contextmanager
def local_workers(count: int) -> Iterator[concurrent.futures.Executor]:
    """Worker processes with one thread each; with a count of 0, this process. If something goes wrong they stop."""
    if count == 0:
        yield InProcessExecutor()
        return
    context = multiprocessing.get_context("spawn")
    executor = concurrent.futures.ProcessPoolExecutor(count, mp_context=context, initializer=start_worker)
    try:
        yield executor
    except BaseException:
        # In the middle of what they do: nothing is lost that was not already.
        processes = list((executor._processes or {}).values())
        executor.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.kill()
        raise
    executor.shutdown()


def train_shards(
    directory: Path, shards: list[Shard], make_executor: MakeExecutor, device: str, compiled: bool
) -> Generator[tuple[Shard, Outcome] | None, None, None]:
    """Trains shards and yields each with its outcome as it ends, and None every now and then in between.

    A worker that dies breaks the pool of its executor: what was not done is submitted to a new one. At the last attempt
    every shard has an executor of its own, so that one which kills its workers takes no other with it.
    """
    waiting = shards
    for attempt in range(ATTEMPTS):
        alone = attempt == ATTEMPTS - 1
        broken: list[Shard] = []
        for group in [[shard] for shard in waiting] if alone else [waiting]:
            with make_executor() as executor:
                for item in _train_group(executor, group, directory, device, compiled):
                    if item is None or alone or not isinstance(item[1], BrokenProcessPool):
                        yield item
                    else:
                        broken.append(item[0])
        waiting = broken
        if not waiting:
            return


def _train_group(
    executor: concurrent.futures.Executor, shards: list[Shard], directory: Path, device: str, compiled: bool
) -> Iterator[tuple[Shard, Outcome] | None]:
    futures: dict[concurrent.futures.Future[Any], Shard] = {}
    for shard in shards:
        try:
            future = executor.submit(train_shard, directory, shard, device, compiled)
        except BrokenProcessPool as error:
            yield shard, error
            continue
        if future.done():  # the executor is this process
            yield shard, future.exception() or future.result()
        else:
            futures[future] = shard
    for done in _as_completed(futures):
        if done is None:
            yield None
        else:
            yield futures[done], done.exception() or done.result()


def _as_completed(
    futures: dict[concurrent.futures.Future[Any], Shard],
) -> Iterator[concurrent.futures.Future[Any] | None]:
    pending = set(futures)
    while pending:
        done, pending = concurrent.futures.wait(
            pending, SECONDS_BETWEEN_LOOKS, return_when=concurrent.futures.FIRST_COMPLETED
        )
        yield from done
        yield None
