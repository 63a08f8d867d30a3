"""Where shards train: on this machine, in jobs of Slurm, or on workers of Dask.

Each executor is one file here, which declares an :class:`ExecutorKind`, and one line in :data:`EXECUTORS`. Another
package adds executors by entry points in the group ``nalm.executors``. The fields of :class:`ExecutorSettings`, the
sections of the configuration file and the options of the command line all follow from these declarations.
"""

from typing import Any

from nalm.execution.executors.kind import ExecutorKind
from nalm.registry import Registry

__all__ = ["EXECUTORS", "ExecutorKind"]


def _check(path: str, thing: Any) -> None:
    if not isinstance(thing, ExecutorKind):
        raise ValueError(f"found {type(thing).__name__} at {path}, expected a nalm.execution.executors.ExecutorKind")
    try:
        thing.settings()
    except ValueError as error:
        raise ValueError(f"the settings of the executor at {path} need a default each: {error}") from None


EXECUTORS: Registry[ExecutorKind[Any]] = Registry(
    "executor",
    "executors",
    {
        "local": "nalm.execution.executors.local:EXECUTOR",
        "slurm": "nalm.execution.executors.slurm:EXECUTOR",
        "dask": "nalm.execution.executors.dask:EXECUTOR",
    },
    check=_check,
    example="mypackage.clusters:EXECUTOR",
)
"""Executors by name."""
