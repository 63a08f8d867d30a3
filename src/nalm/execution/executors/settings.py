"""The choice of an executor and its settings, from the configuration file and the command line."""

import concurrent.futures
import contextlib
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, create_model, field_validator

from nalm.errors import NalmError
from nalm.execution.executors import EXECUTORS
from nalm.execution.executors.kind import Settings
from nalm.paths import user_directory
from nalm.spec.document import Document, check, valid

__all__ = ["SECTIONS", "ExecutorSettings", "load_settings", "open_executor", "settings_path"]


def _sections() -> dict[str, type[Settings]]:
    found = {}
    for name in EXECUTORS:
        with contextlib.suppress(ValueError):  # a package that cannot be imported; choosing its executor says why
            found[name] = EXECUTORS[name].settings
    return {name: settings for name, settings in found.items() if settings.model_fields}


SECTIONS = _sections()
"""The settings of every executor that has any, by the executor's name."""


class _Choice(BaseModel):
    """The executor that trains shards, and a section of settings for each executor that has any."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    executor: str = "local"

    @field_validator("executor")
    @classmethod
    def _is_known(cls, name: str) -> str:
        return EXECUTORS.check_name(name)


if TYPE_CHECKING:

    class ExecutorSettings(_Choice):  # noqa: D101
        def __init__(self, *, executor: str = ..., **sections: Settings) -> None: ...
        def __getattr__(self, section: str) -> Any: ...

else:
    ExecutorSettings = create_model(
        "ExecutorSettings",
        __base__=_Choice,
        __doc__=_Choice.__doc__,
        __module__=__name__,
        **{name: (settings, settings()) for name, settings in SECTIONS.items()},
    )


def settings_path() -> Path:
    """Return the path of the configuration file: ``nalm/config.yaml`` in ``$XDG_CONFIG_HOME`` or ``~/.config``."""
    return user_directory("XDG_CONFIG_HOME", ".config") / "config.yaml"


def load_settings(typed: Mapping[str, Any] | None = None) -> ExecutorSettings:
    """Return the settings of the user's configuration file, if there is one.

    Arguments:
        typed: fields of `ExecutorSettings` that override the file's. Mappings are merged.

    Raises:
        NalmError: the file or a typed field is wrong.
    """
    fields: dict[str, Any] = {}
    if (path := _settings_file()) is not None:
        document = Document(path, may_be_empty=True)
        check(ExecutorSettings, document.value, document)
        fields = document.value
    return valid(ExecutorSettings, _merged(fields, typed or {}))


def _settings_file() -> Path | None:
    """Return the path of the configuration file; None if there is none that this user can have."""
    try:
        return settings_path() if settings_path().exists() else None
    except (NalmError, PermissionError):  # no home directory, or that of somebody else, as in containers
        return None


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for name, value in above.items():
        known = merged.get(name)
        merged[name] = _merged(known, value) if isinstance(known, Mapping) and isinstance(value, Mapping) else value
    return merged


def open_executor(
    settings: ExecutorSettings, workers: int | None = None
) -> AbstractContextManager[concurrent.futures.Executor | None]:
    """Open the executor to pass to `run`, as a context.

    The context yields None for local workers, which `run` starts itself. An exception within the context cancels what
    was submitted.

    Arguments:
        settings: the executor and its settings.
        workers: number of worker processes of a local Dask cluster, one per core by default. An error where jobs or a
            scheduler decide the number.

    Raises:
        NalmError: a package that the executor needs is not installed, or the cluster cannot be reached.
    """
    kind = EXECUTORS[settings.executor]
    return kind.open(getattr(settings, settings.executor, None) or kind.settings(), workers)
