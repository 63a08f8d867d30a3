"""Run the command ``nalm`` in processes of its own, for tests of executors."""

import functools
import tempfile
from pathlib import Path

from tests.execution.processes import launch, rows

__all__ = ["FIGURE", "SHARDS", "Command", "trained_locally"]

FIGURE = ("figure-3", "--seeds", "0", "--iterations", "1500", "--evaluate-every", "150", "--no-compile")
"""A small Figure 3: four shards of nine runs, each of which takes some seconds."""
SHARDS = 4


class Command:
    """A running command, which is killed when the context ends."""

    def __init__(self, *arguments: object) -> None:
        self.process = launch("-m", "nalm", *arguments)

    def __enter__(self) -> "Command":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def ended(self, code: int = 0) -> tuple[str, str]:
        """Wait for the expected exit code, and return stdout and stderr."""
        written = self.process.communicate(timeout=300)
        assert self.process.returncode == code, written
        return written


@functools.cache
def trained_locally() -> list[str]:
    """Return the rows of the small figure, trained by local workers."""
    with tempfile.TemporaryDirectory() as directory, Command("run", *FIGURE, "--out", directory) as command:
        command.ended()
        return rows(Path(directory))
