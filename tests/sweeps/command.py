"""The command ``nalm`` in processes of its own, for tests of executors."""

import functools
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from nalm.sweeps.store import Store

__all__ = ["FIGURE", "SHARDS", "Command", "Outcomes", "outcomes", "trained_locally", "wait_for"]

FIGURE = ("figure-3", "--seeds", "0", "--iterations", "1500", "--evaluate-every", "150", "--no-compile")
"""A small Figure 3: four shards of nine runs each, each of which trains for some seconds."""
SHARDS = 4

Outcomes = dict[str, dict[str, object]]


class Command:
    """The command, which ends with the test at the latest."""

    def __init__(self, *arguments: object) -> None:
        command = [sys.executable, "-m", "nalm", *map(str, arguments)]
        self.process = subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def __enter__(self) -> "Command":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def ended(self, code: int = 0) -> tuple[str, str]:
        """What it wrote to stdout and to stderr, when it has ended with that code."""
        written = self.process.communicate(timeout=300)
        assert self.process.returncode == code, written
        return written


def outcomes(directory: Path) -> Outcomes:
    """Every run's row, without its times."""
    rows = [row for table, _ in Store(directory).runs() for row in table.drop_columns(["wall_time"]).to_pylist()]
    return {row["key"]: row for row in rows}


@functools.cache
def trained_locally() -> Outcomes:
    """What becomes of the small figure on local workers."""
    with tempfile.TemporaryDirectory() as directory, Command("run", *FIGURE, "--out", directory) as command:
        command.ended()
        return outcomes(Path(directory))


def wait_for(condition: Callable[[], bool], seconds: float = 120) -> None:
    """Waits until something is so."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.2)
