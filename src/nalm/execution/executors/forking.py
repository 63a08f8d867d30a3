"""How local workers start: forked from a process that has imported everything once, where that is possible."""

import os
import sys
import threading
from multiprocessing import forkserver
from multiprocessing.context import BaseContext, ForkServerContext, ForkServerProcess, SpawnContext, SpawnProcess
from multiprocessing.process import BaseProcess

from nalm.execution.executors import nursery
from nalm.registry import SAFE_PATH, children_without_working_directory

__all__ = ["start_nursery", "worker_context"]


class _Safe(BaseProcess):
    """A process that imports nothing from the working directory while it starts."""

    def start(self) -> None:
        """Start the process."""
        with children_without_working_directory():
            super().start()


class _Spawned(_Safe, SpawnProcess):
    pass


class _Forked(_Safe, ForkServerProcess):
    """A process that is forked from the nursery; should that have died, another starts as spawned processes do."""


class _SpawnContext(SpawnContext):
    Process = _Spawned


class _ForkContext(ForkServerContext):
    Process = _Forked


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
        paths = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), SAFE_PATH: "1"}
        forkserver.set_forkserver_preload([nursery.__name__])
        try:
            os.environ |= {nursery.ORDER: nursery.order(compiled, ["PYTHONPATH"]), **paths}
            forkserver.ensure_running()
        finally:
            for name in (nursery.ORDER, *paths):
                os.environ.pop(name, None)
            os.environ |= {name: before[name] for name in paths if name in before}
            forkserver.set_forkserver_preload([])  # if it dies, the next one must import nothing from other paths
        _started = {name: value for name, value in before.items() if name != SAFE_PATH}


def worker_context(device: str, compiled: bool) -> BaseContext:
    """Return the context that starts workers.

    Arguments:
        device: device to train on.
        compiled: whether workers will compile.
    """
    start_nursery(device, compiled)
    return _ForkContext() if _can_fork(device) else _SpawnContext()


def _can_fork(device: str) -> bool:
    """Tell whether forked workers do what spawned ones do.

    Forking is not safe on a Mac, nor once a GPU was used. The nursery's imports have read the environment.
    """
    now = {name: value for name, value in os.environ.items() if name != SAFE_PATH}
    changed = _started is not None and _started != now
    return sys.platform == "linux" and device == "cpu" and not sys.flags.ignore_environment and not changed
