"""Another package adds one of everything, each with as many files as CONTRIBUTING says, and people use it."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import pytest

import nalm
from nalm.experiments.catalog import load_experiment

EXTENDING = Path(__file__).parent / "extending"
KINDS = (
    *("modules", "operations", "criteria", "optimizers", "schedules", "rate_schedules", "distributions"),
    *("tasks", "executors", "figures"),
)

SCRIPT = """
import sys
import nalm
from nalm.testing import check_module
from mynalm.module import Weighted

check_module(Weighted)
experiment = nalm.load_experiment("rows.yaml")
with nalm.open_executor(nalm.load_settings({"executor": "thread", "thread": {"name": "mine"}})) as executor:
    nalm.run(experiment, "results", compiled=False, executor=executor)
nalm.run("sequences.yaml", "results", workers=0, compiled=False)
runs = nalm.load("results", "rows").runs()
assert len(runs) == 4 and not runs["test_error"].isna().any(), runs
sums = nalm.load("results", "sequences")
assert sums.runs()["solved"].all(), sums.runs()
assert "x1 + x2" in str(sums.trained[0].description()["expression"]), sums.trained[0].description()["expression"]
nalm.plot(nalm.load("results", "rows"), "bars.svg", "bars")
"""


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the package, installed, and two experiments that use what it adds."""
    return Path(shutil.copytree(EXTENDING, tmp_path_factory.mktemp("extending") / "package"))


def call(workplace: Path, *command: str) -> str:
    path = os.pathsep.join([str(workplace), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = os.environ | {"PYTHONPATH": path}
    done = subprocess.run(
        [sys.executable, *command], cwd=workplace, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_everything_that_can_be_added_is_added_by_one_file_and_one_line() -> None:
    lines = ConfigParser()
    lines.read(EXTENDING / "mynalm-1.0.dist-info" / "entry_points.txt")
    assert set(lines.sections()) == {f"nalm.{kind}" for kind in KINDS}
    for kind in KINDS:
        ((_, place),) = lines[f"nalm.{kind}"].items()
        file = EXTENDING / Path(*place.partition(":")[0].split(".")).with_suffix(".py")
        others = {path.stem for path in (EXTENDING / "mynalm").glob("*.py")} - {file.stem}
        assert file.is_file()
        assert not any(f"import {name}" in file.read_text() for name in others), "a file of its own is enough"


def test_what_another_package_adds_is_trained_stored_judged_and_drawn(workplace: Path) -> None:
    call(workplace, "-c", SCRIPT)
    assert (workplace / "bars.svg").is_file()


def test_commands_know_what_another_package_adds(workplace: Path) -> None:
    assert "--thread-name" in call(workplace, "-m", "nalm", "run", "--help")
    assert "Weighted" in call(workplace, "-m", "nalm", "modules")
    common = ("--iterations", "2", "--evaluate-every", "1", "--no-compile")
    call(workplace, "-m", "nalm", "run", "rows.yaml", "--out", "again", "--executor", "thread", *common)
    call(workplace, "-c", "import nalm; assert nalm.load('again').missing == 0")


def test_an_experiment_is_one_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "title: Mine\ntask: {operation: div}\nranges: [{train: [1, 2], test: [2, 6]}]\n"
        "variants: [{label: NMRU, recipe: {base: nmru}}]\n"
    )
    assert load_experiment(str(path)).runs == 25


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("variants", "NAU", "criterion"), "hostile:X"),
        (("variants", "NAU", "optimizer"), "hostile:X"),
        (("variants", "NAU", "schedule"), "hostile:X"),
        (("variants", "NAU", "module"), "hostile:X"),
        (("tasks", "t", "train"), {"hostile:X": {}}),
        (("tasks", "t", "operation"), "hostile:X"),
    ],
    ids=["criterion", "optimizer", "rate schedule", "module", "distribution", "operation"],
)
def test_reading_results_never_imports_what_they_name_by_a_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: tuple[str, str, str], value: object
) -> None:
    (tmp_path / "hostile.py").write_text("raise SystemExit('the code of a stranger')\n")
    monkeypatch.syspath_prepend(tmp_path)
    task = {"operation": "add", "train": [1, 2], "test": [2, 6], "threshold": "perturbed"}
    stored: dict[str, Any] = {"name": "e", "title": "E", "variants": {"NAU": {"module": "NAU"}}, "tasks": {"t": task}}
    room, label, field = path
    stored[room][label][field] = value
    (tmp_path / "results" / "experiments").mkdir(parents=True)
    (tmp_path / "results" / "experiments" / "e.json").write_text(json.dumps(stored | {"seeds": [0]}))
    with contextlib.suppress(nalm.NalmError):
        nalm.load(tmp_path / "results").summary()
    with contextlib.suppress(nalm.NalmError):
        nalm.forecast(nalm.load_experiment("figure-3"), tmp_path / "results")
