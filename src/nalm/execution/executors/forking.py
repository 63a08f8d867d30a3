"""How local workers start: forked from a process that has imported everything once, where that is possible."""

import multiprocessing
import os
import sys
import threading
from multiprocessing import forkserver
from multiprocessing.context import BaseContext

from nalm.execution.executors import nursery

__all__ = ["start_nursery", "worker_context"]

_LOCK = threading.Lock()
_started: dict[str, str] | None = None
"""The environment with which the nursery was started."""


def start_nursery(device: str, compiled: bool) -> None:
    """Start the process that workers are forked from, unless it runs already. It goes on without being waited for.

    It finds modules where this process finds them: on the same paths, and not in the working directory. It ends with
    this process.

    Arguments:
        device: device to train on.
        compiled: whether workers will compile.
    """
    global _started
    with _LOCK:
        if _started is not None or not _can_fork(device):
            return
        before = dict(os.environ)
        paths = {"PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path), "PYTHONSAFEPATH": "1"}
        forkserver.set_forkserver_preload([nursery.__name__])
        try:
            os.environ |= {nursery.ORDER: nursery.order(compiled, list(paths)), **paths}
            forkserver.ensure_running()
        finally:
            for name in (nursery.ORDER, *paths):
                os.environ.pop(name, None)
            os.environ |= {name: before[name] for name in paths if name in before}
            forkserver.set_forkserver_preload([])  # if it dies, the next one must import nothing from other paths
        _started = before


def worker_context(device: str, compiled: bool) -> BaseContext:
    """Return the context that starts workers.

    Arguments:
        device: device to train on.
        compiled: whether workers will compile.
    """
    start_nursery(device, compiled)
    return multiprocessing.get_context("forkserver" if _can_fork(device) else "spawn")


def _can_fork(device: str) -> bool:
    """Tell whether forked workers do what spawned ones do.

    Forking is not safe on a Mac, nor once a GPU was used. The nursery's imports have read the environment.
    """
    changed = _started is not None and _started != dict(os.environ)
    return sys.platform == "linux" and device == "cpu" and not sys.flags.ignore_environment and not changed
