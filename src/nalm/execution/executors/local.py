"""The executor ``local``: worker processes on this machine."""

import concurrent.futures
import contextlib
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

from nalm.execution.executors.forking import worker_context
from nalm.execution.executors.kind import ExecutorKind, Settings
from nalm.registry import SAFE_PATH, children_without_working_directory

__all__ = ["InProcessExecutor", "default_workers", "local_workers"]


def default_workers() -> int:
    """Return the default number of workers: one per core that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class InProcessExecutor(concurrent.futures.Executor):
    """An executor without workers: it trains shards in this process, one after another.

    Use it in notebooks, debuggers and tests.
    """

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> concurrent.futures.Future[Any]:
        """Call the function at once and return a future that is done."""
        future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


@contextlib.contextmanager
def local_workers(count: int, device: str = "cpu", compiled: bool = True) -> Iterator[concurrent.futures.Executor]:
    """Start worker processes with one thread each; an exception within the context stops them.

    Arguments:
        count: number of processes; 0 trains in this process.
        device: device to train on.
        compiled: whether workers will compile.
    """
    if count == 0:
        yield InProcessExecutor()
        return
    from nalm.execution.worker import start_worker

    environment = os.environ | {SAFE_PATH: "1"}  # also for processes that workers start
    with children_without_working_directory():  # it starts a process that keeps track of resources
        executor = concurrent.futures.ProcessPoolExecutor(
            count, worker_context(device, compiled), initializer=start_worker, initargs=(environment,)
        )
    try:
        yield executor
    except BaseException:
        _stop(executor)
        raise
    executor.shutdown()


def _stop(executor: concurrent.futures.ProcessPoolExecutor) -> None:
    """Ask workers to write checkpoints and end, and kill those that do not end in time."""
    from nalm.execution.worker import SECONDS_TO_STOP

    processes = list((executor._processes or {}).values())
    executor.shutdown(wait=False, cancel_futures=True)
    for process in processes:
        process.terminate()
    end = time.monotonic() + SECONDS_TO_STOP
    try:
        for process in processes:
            process.join(max(0, end - time.monotonic()))
    finally:
        for process in processes:
            process.kill()


class LocalSettings(Settings):
    """No settings: the option ``--workers`` is the only one."""


def _open(settings: LocalSettings, workers: int | None) -> contextlib.nullcontext[None]:
    return contextlib.nullcontext()  # `run` starts the workers itself, as many as there are shards to train


EXECUTOR = ExecutorKind(LocalSettings, _open)
