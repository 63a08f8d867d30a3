"""The declaration that every executor makes: its settings, and how it opens."""

from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict

__all__ = ["ExecutorKind", "Settings"]


class Settings(BaseModel):
    """Base class of an executor's settings: immutable, without unknown fields.

    Every field needs a default. Its description is the help text of its option on the command line. A field that holds
    several values (a tuple or a dictionary) becomes an option that can be repeated, named in the singular. The option's
    value is called as ``metavar`` in ``json_schema_extra`` says.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")


S = TypeVar("S", bound=Settings)


@dataclass(frozen=True)
class ExecutorKind(Generic[S]):
    """An executor that people choose by name.

    The file that declares it should import heavy packages only when it opens: every command reads the settings.

    Arguments:
        settings: its settings: a section of the configuration file, and options of the command line.
        open: takes the settings and the number of workers (None: not given), and returns a context. The context yields
            an executor as in ``concurrent.futures``, or None for the local workers of `run`. An exception within the
            context cancels what was submitted. Raises `NalmError` if a package is missing or a service does not answer.
    """

    settings: type[S]
    open: Callable[[S, int | None], AbstractContextManager[Executor | None]]
