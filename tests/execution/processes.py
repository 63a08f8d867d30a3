"""Start processes that run experiments, for tests that kill or stop them."""

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nalm.store.store import Store

Process = subprocess.Popen[str]
Start = Callable[..., Process]

DRIVER = """
import os, sys
import nalm
from nalm.execution import checkpoints
from nalm.training.ensemble.loop import Ensemble

experiment, out, log, compiled, often = sys.argv[1:]
if often == "often":
    checkpoints.SECONDS_AT_LEAST, checkpoints.TIMES_ITS_COST = 0.05, 0
descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
advance = Ensemble._advance

def counted(ensemble, steps):
    os.write(descriptor, b"%d\\n" % steps)  # logged first: iterations cut short by a kill count in full
    advance(ensemble, steps)

Ensemble._advance = counted
nalm.run(experiment, out, workers=0, compiled=compiled == "compiled")
"""
"""Program that runs an experiment and logs the iterations that it executes."""

TWO_SHARDS = {"recipe": "recipe: {iterations: 3000, evaluate_every: 100}", "seeds": "seeds: 0-49"}
"""Fields of an experiment file of two shards, which take two workers a while."""


def launch(*command: object, prepare: Callable[[], None] | None = None, **options: Any) -> Process:
    """Start Python with the default handler of SIGINT, which background jobs of a shell ignore."""

    def reset_sigint() -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        if prepare is not None:
            prepare()

    return subprocess.Popen(
        [sys.executable, *map(str, command)],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=reset_sigint,
        **options,
    )


def drive(start: Start, path: Path, out: Path, log: Path, how: str = "eager", often: bool = True) -> Process:
    return start("-c", DRIVER, path, out, log, how, "often" if often else "usual")


def run_command(path: Path, out: Path, *options: object) -> list[object]:
    return ["-m", "nalm", "run", path, "--out", out, "--no-compile", *options]


def train_two_shards(start: Start, path: Path, out: Path) -> Process:
    """Start to train `TWO_SHARDS` with two workers, and return the process once both train."""
    process = start(*run_command(path, out, "--workers", 2))
    wait_until(lambda: len(files(out, "*.json")) == 2, process)
    return process


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def children(pid: int) -> list[int]:
    """Return the ids of the workers of a process: they were forked from one of its children."""
    processes: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            processes[int(path.parent.name)] = parent_of(int(path.parent.name))
    return [child for child, parent in processes.items() if processes.get(parent) == pid]


def ended(process: Process) -> str:
    """Wait for a process and return its stderr."""
    said: str = process.communicate(timeout=1800)[1]
    return said


def iterations(log: Path) -> int:
    return sum(map(int, log.read_text().split())) if log.exists() else 0


def wait_until(condition: Callable[[], Any], process: Process | None = None, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        assert process is None or process.poll() is None, "the process ended too early"
        time.sleep(0.02)


def files(directory: Path, pattern: str) -> list[Path]:
    return sorted((directory / "running").glob(pattern))


def rows(directory: Path) -> list[str]:
    """Return every run without its times, as text, so that NaN equals NaN."""
    tables = [table.drop_columns(["wall_time"]) for table, _ in Store(directory).runs()]
    return sorted(str(row) for table in tables for row in table.to_pylist())


def assert_every_shard_is_there_once(directory: Path, shards: int) -> None:
    names = [path.stem.partition("-")[0] for path in (directory / "shards").iterdir()]
    assert len(names) == len(set(names)) == shards
    assert list((directory / "running").iterdir()) == []
