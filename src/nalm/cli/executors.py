"""The options that say where shards train, which several commands share."""

import functools
import inspect
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Any

import typer

from nalm.errors import NalmError
from nalm.execution.executors.settings import ExecutorSettings, load_settings

__all__ = ["with_executor"]


class Executor(StrEnum):
    """Where shards train."""

    local = "local"
    slurm = "slurm"
    dask = "dask"


def with_executor(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command the options of :func:`_settings`, in place of its argument ``executor``, which gets the result.

    What is not typed is as the user's configuration file has it.
    """
    options = inspect.signature(_settings).parameters
    own = [parameter for name, parameter in inspect.signature(command).parameters.items() if name != "executor"]

    @functools.wraps(command)
    def with_options(**arguments: Any) -> None:
        typed = {name: arguments.pop(name) for name in options}
        command(**arguments, executor=_settings(**typed))

    with_options.__signature__ = inspect.Signature([*own, *options.values()])  # type: ignore[attr-defined]
    return with_options


def _settings(
    executor: Annotated[
        Executor | None, typer.Option(help="Where shards train, if not as ~/.config/nalm/config.yaml says; else local.")
    ] = None,
    slurm_partition: Annotated[str | None, typer.Option(help="Where jobs wait.")] = None,
    slurm_time: Annotated[int | None, typer.Option(min=1, help="Minutes that a job may take; 60 by default.")] = None,
    slurm_cpus: Annotated[int | None, typer.Option(min=1, help="Cores of a job; a shard trains on one.")] = None,
    slurm_memory: Annotated[str | None, typer.Option(help="Memory of a job, such as 4G.")] = None,
    slurm_parallel: Annotated[int | None, typer.Option(min=1, help="Jobs that may run at once.")] = None,
    slurm_option: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="Any other option of sbatch; again for more.")
    ] = None,
    slurm_setup: Annotated[
        list[str] | None, typer.Option(metavar="LINE", help="Shell line before Python starts; again for more.")
    ] = None,
    dask_scheduler: Annotated[
        str | None, typer.Option(help="Such as tcp://host:8786; without one, a cluster on this machine.")
    ] = None,
) -> ExecutorSettings:
    slurm = {
        "partition": slurm_partition,
        "time": slurm_time,
        "cpus": slurm_cpus,
        "memory": slurm_memory,
        "parallel": slurm_parallel,
        "options": dict(map(_option, slurm_option)) if slurm_option else None,
        "setup": slurm_setup or None,
    }
    typed = {
        "executor": executor and executor.value,
        "slurm": _typed(slurm),
        "dask": _typed({"scheduler": dask_scheduler}),
    }
    settings = load_settings(_typed(typed))
    for name in ("slurm", "dask"):
        if typed[name] and settings.executor != name:
            raise NalmError(f"found options of {name} for the executor {settings.executor}, expected --executor {name}")
    return settings


def _typed(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _option(text: str) -> tuple[str, str | None]:
    name, equals, value = text.removeprefix("--").partition("=")
    if not name:
        raise NalmError(f"found option {text!r} of sbatch, expected KEY=VALUE or KEY")
    return name, value if equals else None
