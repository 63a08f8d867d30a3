"""Trains shards on the workers of Dask."""

import concurrent.futures
import contextlib
import logging
from collections.abc import Callable, Iterator
from typing import Any

from nalm.errors import NalmError
from nalm.sweeps.execute import default_workers
from nalm.sweeps.settings import DaskSettings
from nalm.training.notices import notices

__all__ = ["dask_executor"]

SECONDS_TO_CONNECT = 10


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
        executor = client.get_executor(pure=False)
        try:
            yield _Quiet(executor)
        except BaseException:
            executor.shutdown(wait=False)
            raise
        executor.shutdown()


class _Quiet(concurrent.futures.Executor):
    """Workers keep what a person should know for the process that submitted, as those of a local pool do."""

    def __init__(self, executor: concurrent.futures.Executor) -> None:
        self._executor = executor

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> concurrent.futures.Future[Any]:
        """Has a function called on a worker."""
        return self._executor.submit(_quietly, fn, *args, **kwargs)


def _quietly(function: Callable[..., Any], *arguments: Any) -> Any:
    notices.silent = True
    return function(*arguments)
