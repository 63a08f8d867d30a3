"""Types of what the fixtures of the commands give to tests."""

from collections.abc import Callable
from subprocess import CompletedProcess

__all__ = ["Cli", "Contents", "Refused"]

Cli = Callable[..., CompletedProcess[str]]
"""Calls the command ``nalm`` with arguments."""

Refused = Callable[..., str]
"""Calls a command that must refuse its input, and returns its one sentence."""

Contents = dict[str, bytes | None]
"""Files below a directory with their bytes, and directories with None."""
