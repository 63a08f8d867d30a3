"""Trains shards on the workers of Dask."""

import concurrent.futures
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from nalm.errors import NalmError
from nalm.execution.executors.local import default_workers
from nalm.execution.executors.settings import DaskSettings
from nalm.execution.worker import stop_training
from nalm.log import hide_warnings

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["dask_executor"]

SECONDS_TO_CONNECT = 10
SECONDS_BETWEEN_LOOKS = 0.5
CLOSED = "closed"
LOST = "the scheduler of Dask is lost"


@contextlib.contextmanager
def dask_executor(settings: DaskSettings, workers: int | None = None) -> Iterator[concurrent.futures.Executor]:
    """An executor on the workers of a scheduler, or on those of a cluster of this machine that ends with it.

    Dask gives the shard of a worker that died to another, until ``distributed.scheduler.allowed-failures`` workers
    died of it. Seeds and precision belong to a whole process, in which shards take turns: workers should have one
    thread each.

    Arguments:
        settings: the scheduler's address, if there is one.
        workers: processes of a local cluster; as many as cores by default.

    Raises:
        NalmError: distributed is not installed, the scheduler does not answer, or it decides the number of workers.
    """
    try:
        from distributed import Client, LocalCluster
    except ImportError:
        raise NalmError("the executor dask needs distributed: pip install 'nalm[dask]'") from None
    if settings.scheduler is not None and workers is not None:
        raise NalmError(f"found {workers} workers for a scheduler of Dask, expected those that it has")
    with contextlib.ExitStack() as stack:
        if settings.scheduler is None:
            count = default_workers() if workers is None else max(1, workers)
            cluster = LocalCluster(
                n_workers=count,
                threads_per_worker=1,
                dashboard_address=None,
                memory_limit=None,
                silence_logs=logging.ERROR,  # workers that end slowly are worth no warning
            )
            client = stack.enter_context(Client(stack.enter_context(cluster)))
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


class _Executor(concurrent.futures.Executor):
    """Dask's own, whose workers keep what a person should know for the process that submitted.

    Arguments:
        client: of the scheduler; should it be lost, calls that have not ended fail.
    """

    def __init__(self, client: "Client") -> None:
        self._client = client
        self._executor = client.get_executor(pure=False)
        self._open: set[concurrent.futures.Future[Any]] = set()
        threading.Thread(target=self._watch, daemon=True).start()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> concurrent.futures.Future[Any]:
        """Has a function called on a worker."""
        if self._client.status == CLOSED:
            raise concurrent.futures.BrokenExecutor(LOST)
        future: concurrent.futures.Future[Any] = self._executor.submit(_quietly, fn, *args, **kwargs)
        self._open.add(future)
        future.add_done_callback(self._open.discard)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Takes no more."""
        self._executor.shutdown(wait=wait)

    def stop(self) -> None:
        """Has workers write checkpoints of the shards they train, and cancels what waits."""
        with contextlib.suppress(Exception):  # the scheduler may be lost, which is why this stops
            self._executor.shutdown(wait=False)
            self._client.run(stop_training)

    def _watch(self) -> None:
        while self._client.status != CLOSED:
            time.sleep(SECONDS_BETWEEN_LOOKS)
        for future in list(self._open):
            with contextlib.suppress(concurrent.futures.InvalidStateError):  # it has ended now
                future.set_exception(concurrent.futures.BrokenExecutor(LOST))


def _quietly(function: Callable[..., Any], *arguments: Any) -> Any:
    hide_warnings()
    return function(*arguments)
