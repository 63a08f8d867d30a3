"""Warnings: given once per process, silenced and routed by the usual means, and shown by the command line."""

import logging
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

import nalm
from nalm.execution.running import ShardProgress
from nalm.experiments.experiment import Experiment
from nalm.log import LOGGER, hide_warnings, warn_once, warnings_given

BRANCHING = """
import torch

class MyUnit(torch.nn.Linear):
    def forward(self, x):
        return super().forward(x if x.sum() > 0 else -x)
"""


def printed(*lines: str) -> str:
    """Run a program that uses nalm as a library, and return its stderr."""
    program = "\n".join(["import logging", "from nalm.log import warn_once", *lines])
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stderr


def test_a_warning_is_given_once(caplog: pytest.LogCaptureFixture) -> None:
    for message in ("100 % of runs diverged", "no compiler", "100 % of runs diverged"):
        warn_once(message)
    assert caplog.record_tuples == [
        ("nalm", logging.WARNING, "100 % of runs diverged"),
        ("nalm", logging.WARNING, "no compiler"),
    ]
    assert warnings_given() == ["100 % of runs diverged", "no compiler"]


def test_hidden_warnings_are_kept(caplog: pytest.LogCaptureFixture) -> None:
    hide_warnings()
    warn_once("no compiler")
    assert caplog.messages == []
    assert warnings_given() == ["no compiler"]


def test_warnings_are_printed_for_a_program_that_configures_nothing() -> None:
    assert printed("warn_once('no compiler')", "warn_once('no compiler')") == "no compiler\n"


def test_a_program_can_silence_warnings() -> None:
    assert printed("logging.getLogger('nalm').setLevel(logging.ERROR)", "warn_once('no compiler')") == ""


def test_a_program_can_route_warnings(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    damaged = min((results / "shards").iterdir())
    damaged.write_bytes(b"")
    handler = logging.FileHandler(tmp_path / "nalm.log")
    monkeypatch.setattr(LOGGER, "propagate", False)
    LOGGER.addHandler(handler)
    try:
        assert nalm.load(results).missing == 6
    finally:
        LOGGER.removeHandler(handler)
        handler.close()
    assert (tmp_path / "nalm.log").read_text().startswith(f"{damaged} is damaged")
    assert caplog.messages == []


def test_the_command_shows_each_warning_once(results: Path, nalm_cli: Callable[..., CompletedProcess[str]]) -> None:
    damaged = min((results / "shards").iterdir())
    damaged.write_bytes(b"")
    lines = nalm_cli("summary", results).stderr.splitlines()
    (warning,) = [line for line in lines if "is damaged" in line]
    assert warning.startswith(f"nalm: {damaged} is damaged and is left out: its runs count as missing")
    assert LOGGER.handlers == []


class Warns:
    """An executor whose workers train nothing, and each give the same warning."""

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(ShardProgress(0, 1, 0, ["cannot compile here"]))
        return future


def test_warnings_of_workers_are_given_once(
    tiny_experiment: Experiment, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    executor: Any = Warns()
    nalm.run(tiny_experiment, tmp_path / "results", executor=executor)
    assert caplog.messages == ["cannot compile here"]


@pytest.mark.processes
def test_the_command_shows_warnings_of_its_workers_once(write_yaml: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "branching.py").write_text(BRANCHING)
    variants = ", ".join(
        f"{{label: {label}, recipe: {{module: 'branching:MyUnit', learning_rate: {rate}}}}}"
        for label, rate in (("slow", 1e-3), ("fast", 1e-2))
    )
    path = write_yaml(variants=f"variants: [{variants}]")
    command = [sys.executable, "-m", "nalm", "run", str(path), "--no-compile", "--workers", "2"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    (warning,) = [line for line in done.stderr.splitlines() if "cannot be vectorized" in line]
    assert warning.startswith("nalm: branching:MyUnit ")
