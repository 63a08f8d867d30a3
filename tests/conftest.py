"""What the tests of experiments, sweeps, commands and results share: a tiny experiment, a store, and the command."""

import shutil
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings

import nalm
from nalm.cli import main
from nalm.experiments.experiment import Experiment
from nalm.log import LOGGER
from nalm.remember import Memory
from nalm.training.history import History
from tests.fixture_types import Cli, Contents

TINY = """\
title: Tiny
task: {operation: div}
ranges:
  - {train: [1, 2], test: [2, 6]}
  - {train: [-2, -1], test: [-6, -2], label: negative}
seeds: 0-2
recipe: {iterations: 20, evaluate_every: 10}
variants:
  - {label: NMRU, recipe: {base: nmru}}
  - {label: NRU, recipe: {base: nru}}
"""
LONGEST_SENTENCE = 700
"""Characters: the names of all experiments, which are the values allowed, take 550."""


# How long an example takes depends on what else the machine does: it must not decide a test.
settings.register_profile("nalm", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("nalm")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "processes: starts real worker processes")


@pytest.fixture(autouse=True)
def _forget_warnings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nalm.log._given", {})
    monkeypatch.setattr(LOGGER, "disabled", False)


@pytest.fixture(autouse=True, scope="session")
def _nobody_has_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.getbasetemp() / "config"))
        patch.setattr("nalm.remember.MEMORY", Memory(lambda: None))  # tests change what answers follow from
        yield


@pytest.fixture
def contents() -> Callable[[Path], Contents]:
    """Every file below a directory with its bytes, and every directory."""

    def read(directory: Path) -> Contents:
        paths = sorted(directory.rglob("*"))
        return {str(path.relative_to(directory)): None if path.is_dir() else path.read_bytes() for path in paths}

    return read


@pytest.fixture
def write_yaml(tmp_path: Path) -> Callable[..., Path]:
    """Writes an experiment file; every field that is given replaces the tiny experiment's, or is added at the end."""

    def write(name: str = "mine", **fields: str) -> Path:
        lines = {
            "title": "title: Mine",
            "task": "task: {operation: div}",
            "ranges": "ranges: [{train: [1, 2], test: [2, 6]}]",
            "seeds": "seeds: 0-1",
            "recipe": "recipe: {iterations: 20, evaluate_every: 10}",
            "variants": "variants: [{label: NMRU, recipe: {base: nmru}}]",
        }
        path = tmp_path / f"{name}.yaml"
        path.write_text("\n".join((lines | fields).values()) + "\n", encoding="utf-8")
        return path

    return write


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A YAML file with two variants, two tasks and three seeds, which train in a moment."""
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY)
    return path


@pytest.fixture
def tiny_experiment(tiny: Path) -> Experiment:
    return nalm.load_experiment(str(tiny))


@pytest.fixture(scope="session")
def _trained_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("trained")
    (directory / "tiny.yaml").write_text(TINY)
    nalm.run(str(directory / "tiny.yaml"), directory / "results", workers=0, compiled=False)
    return directory / "results"


@pytest.fixture
def results(_trained_once: Path, tmp_path: Path) -> Path:
    """A results directory of its own with the tiny experiment in it, all 12 runs trained."""
    return Path(shutil.copytree(_trained_once, tmp_path / "results"))


@pytest.fixture
def nalm_cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Cli:
    """The command ``nalm`` in this process, with ``tmp_path`` as the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments: object) -> CompletedProcess[str]:
        monkeypatch.setattr(sys, "argv", ["nalm", *map(str, arguments)])
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = capsys.readouterr()
        return CompletedProcess(sys.argv, code, out, err)

    return call


@pytest.fixture
def train_tiny(nalm_cli: Cli) -> Cli:
    """``nalm run``, eagerly and in this process."""
    return lambda *arguments: nalm_cli("run", *arguments, "--no-compile", "--workers", 0)


@pytest.fixture
def refused(nalm_cli: Cli, contents: Callable[[Path], Contents], tmp_path: Path) -> Callable[..., str]:
    """Calls a command that must be refused as wrong input, without a trace, and returns its one sentence."""

    def call(*arguments: object) -> str:
        before = contents(tmp_path)
        done = nalm_cli(*arguments)
        assert done.returncode == 2
        assert done.stdout == ""
        assert contents(tmp_path) == before
        *_, last = done.stderr.splitlines()
        assert last.startswith("nalm: ")
        assert done.stderr.count("nalm: ") == 1
        assert len(last) < LONGEST_SENTENCE
        return last.removeprefix("nalm: ")

    return call


@pytest.fixture
def user_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
    """Writes a Python module that can be imported while the test runs."""
    monkeypatch.syspath_prepend(tmp_path)
    names = []

    def write(name: str, source: str) -> None:
        (tmp_path / f"{name}.py").write_text(source)
        names.append(name)

    yield write
    for name in names:
        sys.modules.pop(name, None)


@pytest.fixture
def history() -> Callable[..., History]:
    """A history as an ensemble leaves it: errors ``(evaluations, runs)`` every 10 iterations, one weight pair a run."""

    def make(
        validation_errors: list[list[float]], test_errors: list[list[float]], diverged_at: list[int] | None = None
    ) -> History:
        evaluations, runs = np.shape(test_errors)
        rows = np.array(test_errors, dtype=np.float64)
        weights = [np.full((runs, 1, 2), evaluation, dtype=np.float64) for evaluation in range(evaluations + 1)]
        return History(
            iterations=[10 * evaluation for evaluation in range(evaluations)],
            wall_times=[1000.0 + evaluation for evaluation in range(evaluations)],
            validation_errors=list(np.array(validation_errors, dtype=np.float64)),
            test_errors=list(rows),
            sparsity_errors=list(rows / 10),
            criteria=list(rows / 2),
            penalties=list(rows / 4),
            parameters=[{"weight": weight} for weight in weights],
            final_validation_errors=rows[-1],
            final_test_errors=rows[-1],
            restarts=[[] for _ in range(runs)],
            diverged_at=np.array([-1] * runs if diverged_at is None else diverged_at),
        )

    return make


@pytest.fixture
def test_rows() -> Callable[[float, float], tuple[torch.Tensor, torch.Tensor]]:
    """The original's 10,000 test rows for the division of two inputs from ``[low, high)``, apart from nalm's own."""

    def draw(low: float, high: float) -> tuple[torch.Tensor, torch.Tensor]:
        x = torch.from_numpy(np.random.RandomState(8689336).uniform(low, high, (10_000, 2)))
        return x.float(), (x[:, :1] / x[:, 1:]).float()

    return draw


@pytest.fixture
def idx_directory(tmp_path: Path) -> Callable[..., Path]:
    """Makes the files of MNIST, with a bar for each digit, which is easily learnt."""

    def make(train: int, test: int) -> Path:
        directory = tmp_path / f"mnist-{train}-{test}"
        directory.mkdir()
        for name, count in (("train", train), ("t10k", test)):
            labels = np.arange(count, dtype=np.uint8) % 10
            images = np.zeros((count, 28, 28), dtype=np.uint8)
            images[np.arange(count), labels] = 200
            images[np.arange(count), 27 - labels] = 100
            images_head = struct.pack(">4i", 0x0803, count, 28, 28)
            (directory / f"{name}-images-idx3-ubyte").write_bytes(images_head + images.tobytes())
            labels_head = struct.pack(">2i", 0x0801, count)
            (directory / f"{name}-labels-idx1-ubyte").write_bytes(labels_head + labels.tobytes())
        return directory

    return make
