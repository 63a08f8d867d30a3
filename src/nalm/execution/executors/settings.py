"""Which executor trains, and how: from the user's configuration file and the command line."""

import concurrent.futures
import os
import re
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from nalm.errors import NalmError
from nalm.spec.document import Document, check, valid

__all__ = [
    "DaskSettings",
    "ExecutorSettings",
    "JobSettings",
    "SlurmSettings",
    "load_settings",
    "open_executor",
    "settings_path",
]


class JobSettings(BaseModel):
    """What every job of a queue asks for.

    Arguments:
        time: minutes that a job may take.
        cpus: cores of a job; a shard trains on one.
        memory: of a job, such as ``4G``; the queue's default if there is none.
        parallel: how many jobs may run at once; as many as there are if there is none.
        setup: shell lines before Python starts, such as ``module load gcc``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    time: int = Field(60, ge=1)
    cpus: int = Field(1, ge=1)
    memory: str | None = None
    parallel: int | None = Field(None, ge=1)
    setup: tuple[str, ...] = ()

    @field_validator("memory")
    @classmethod
    def _has_a_unit(cls, memory: str | None) -> str | None:
        if memory is not None and not re.fullmatch(r"[1-9][0-9]*[KMGT]", memory):
            raise ValueError("expected a number and K, M, G or T, such as 4G")
        return memory


class SlurmSettings(JobSettings):
    """What jobs of Slurm ask for.

    Arguments:
        partition: where they wait; the cluster's default if there is none.
        options: further options of ``sbatch``, such as ``{"account": "me"}``; None stands for one without a value.
        folder: where submitit keeps what it hands to jobs (pickles) and their logs: a directory that login and compute
            nodes share, never within results; ``$XDG_STATE_HOME/nalm/submitit`` if there is none.
    """

    partition: str | None = None
    options: dict[str, str | int | None] = {}
    folder: Path | None = None


class DaskSettings(BaseModel):
    """Where Dask trains: at a scheduler's address such as ``tcp://host:8786``, or in a local cluster."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scheduler: str | None = None


class ExecutorSettings(BaseModel):
    """Which executor trains, and what each needs to know."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    executor: Literal["local", "slurm", "dask"] = "local"
    slurm: SlurmSettings = SlurmSettings()
    dask: DaskSettings = DaskSettings()


def settings_path() -> Path:
    """The user's configuration file: ``nalm/config.yaml`` in ``$XDG_CONFIG_HOME``, or else in ``~/.config``."""
    home = os.environ.get("XDG_CONFIG_HOME")
    return (Path(home) if home else Path.home() / ".config") / "nalm" / "config.yaml"


def load_settings(typed: Mapping[str, Any] | None = None) -> ExecutorSettings:
    """The settings of the user's configuration file, if there is one, under those that were typed.

    Arguments:
        typed: fields of `ExecutorSettings`, which come before the file's; mappings are put together.

    Raises:
        NalmError: the file or what was typed is wrong.
    """
    path = settings_path()
    fields: dict[str, Any] = {}
    if path.exists():
        document = Document(path)
        if document.value is not None:  # nothing but comments
            check(ExecutorSettings, document.value, document)
            fields = document.value
    return valid(ExecutorSettings, _over(fields, typed or {}))


def _over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Both mappings together; where both have a value that is no mapping, the one above."""
    together = dict(below)
    for name, value in above.items():
        known = together.get(name)
        together[name] = _over(known, value) if isinstance(known, Mapping) and isinstance(value, Mapping) else value
    return together


def open_executor(
    settings: ExecutorSettings, workers: int | None = None
) -> AbstractContextManager[concurrent.futures.Executor | None]:
    """The executor to give to `run`, as a context: None stands for local workers, which `run` starts itself.

    When something goes wrong within the context, what was submitted is cancelled.

    Arguments:
        settings: which one, and how.
        workers: processes of a local cluster of Dask, as many as cores by default; where jobs or a scheduler decide
            it, a number of workers is wrong input.

    Raises:
        NalmError: what the executor needs is not installed, or cannot be reached.
    """
    if settings.executor == "slurm":
        from nalm.execution.executors.slurm import SlurmExecutor

        if workers is not None:
            raise NalmError(f"found {workers} workers for the executor slurm, expected none: use --slurm-parallel")
        return SlurmExecutor(settings.slurm)
    if settings.executor == "dask":
        from nalm.execution.executors.dask import dask_executor

        return dask_executor(settings.dask, workers)
    return nullcontext()
