"""The executor ``dask``: workers of a Dask scheduler, or of a local Dask cluster."""

import concurrent.futures
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from pydantic import Field

from nalm.errors import NalmError
from nalm.execution.executors.kind import ExecutorKind, Settings
from nalm.execution.executors.local import default_workers
from nalm.log import hide_warnings
from nalm.registry import children_without_working_directory

if TYPE_CHECKING:
    from distributed import Client, SpecCluster

__all__ = ["EXECUTOR", "DaskSettings", "dask_executor"]

SECONDS_TO_CONNECT = 10
SECONDS_BETWEEN_LOOKS = 0.5
CLOSED = "closed"
LOST = "the scheduler of Dask is lost"


class DaskSettings(Settings):
    """Settings of the executor ``dask``."""

    scheduler: str | None = Field(
        None, description="Address such as tcp://host:8786; without it, start a local cluster."
    )


@contextlib.contextmanager
def dask_executor(settings: DaskSettings, workers: int | None = None) -> Iterator[concurrent.futures.Executor]:
    """Connect to a scheduler, or start a local cluster that ends with the context.

    A local cluster speaks TLS with certificates of its own, so that no other process can use it. Whoever reaches the
    port of another scheduler without TLS can run code as its user.

    When a worker dies, Dask gives its shard to another worker, until ``distributed.scheduler.allowed-failures`` workers
    died of it. Seeds and precision belong to a process, so shards in one process take turns: workers should have one
    thread each.

    Arguments:
        settings: the scheduler's address, if there is one.
        workers: number of processes of a local cluster; one per core by default.

    Raises:
        NalmError: distributed or cryptography is not installed, the scheduler does not answer, or a number of workers
            was given although the scheduler decides it.
    """
    try:
        from distributed import Client
    except ImportError:
        raise NalmError("the executor dask needs distributed: pip install 'nalm[dask]'") from None
    if settings.scheduler is not None and workers is not None:
        raise NalmError(f"found {workers} workers for a scheduler of Dask, expected no number: the scheduler decides")
    with contextlib.ExitStack() as stack:
        if settings.scheduler is None:
            count = default_workers() if workers is None else max(1, workers)
            stack.enter_context(children_without_working_directory())
            client = stack.enter_context(Client(stack.enter_context(_local_cluster(count))))
        else:
            try:
                client = stack.enter_context(Client(settings.scheduler, timeout=SECONDS_TO_CONNECT))
            except (OSError, ValueError) as error:
                raise NalmError(f"found no scheduler of Dask at {settings.scheduler!r}: {error}") from None
        executor = _Executor(client)
        try:
            yield executor
        except BaseException:
            executor.stop()
            raise
        executor.shutdown()


def _local_cluster(workers: int) -> "SpecCluster":
    from nalm.execution.executors.dask_cluster import private_cluster

    try:
        return private_cluster(workers, silence_logs=logging.ERROR)  # no warnings about workers that end slowly
    except ImportError:
        raise NalmError("a local cluster of Dask needs cryptography: pip install 'nalm[dask]'") from None


class _Executor(concurrent.futures.Executor):
    """Dask's executor, with workers that pass warnings on to the process that submitted the shard.

    Arguments:
        client: client of the scheduler; calls that have not ended fail when the connection is lost.
    """

    def __init__(self, client: "Client") -> None:
        self._client = client
        self._executor = client.get_executor(pure=False)
        self._open: set[concurrent.futures.Future[Any]] = set()
        threading.Thread(target=self._watch, daemon=True).start()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> concurrent.futures.Future[Any]:
        """Call a function on a worker."""
        if self._client.status == CLOSED:
            raise concurrent.futures.BrokenExecutor(LOST)
        future: concurrent.futures.Future[Any] = self._executor.submit(_quietly, fn, *args, **kwargs)
        self._open.add(future)
        future.add_done_callback(self._open.discard)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Accept no more calls, and wait for those that were submitted."""
        self._executor.shutdown(wait=wait)

    def stop(self) -> None:
        """Ask workers to write checkpoints of their shards, and cancel waiting calls."""
        from nalm.execution.worker import stop_training  # imports torch

        with contextlib.suppress(Exception):  # the lost scheduler may be the reason to stop
            self._executor.shutdown(wait=False)
            self._client.run(stop_training)

    def _watch(self) -> None:
        while self._client.status != CLOSED:
            time.sleep(SECONDS_BETWEEN_LOOKS)
        for future in list(self._open):
            with contextlib.suppress(concurrent.futures.InvalidStateError):  # it has just ended
                future.set_exception(concurrent.futures.BrokenExecutor(LOST))


def _quietly(function: Callable[..., Any], *arguments: Any) -> Any:
    hide_warnings()
    return function(*arguments)


EXECUTOR = ExecutorKind(DaskSettings, dask_executor)
