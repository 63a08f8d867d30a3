"""The shell completes commands, and names that fit where they are typed."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.fixture_types import Cli

from nalm.cli.completion import COMPLETIONS

Complete = Callable[..., list[str]]


@pytest.fixture
def complete(nalm_cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Complete:
    """What bash offers for the last of some words."""

    def ask(*words: str) -> list[str]:
        monkeypatch.setenv("_NALM_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", " ".join(["nalm", *words]))
        monkeypatch.setenv("COMP_CWORD", str(len(words)))
        return list(filter(None, nalm_cli().stdout.splitlines()))

    return ask


def test_commands_are_completed(complete: Complete) -> None:
    assert complete("ru") == ["run", "runs"]


def test_options_are_completed(complete: Complete) -> None:
    assert complete("run", "figure-3", "--exec") == ["--executor"]


def test_experiments_are_completed_by_name_and_by_file(complete: Complete, tiny: Path) -> None:
    assert complete("run", "figure-2") == [f"figure-{n}" for n in ("2a", "2b", "2c", "20", "21", "22", "23")]
    assert complete("reproduce", "tin") == ["tiny.yaml"]


def test_variants_are_those_of_the_experiment(complete: Complete, tiny: Path) -> None:
    assert complete("run", "figure-3", "--variants", "")[1:] == ["Real NPU (modified)", "NRU", "NMRU"]
    assert complete("run", "tiny.yaml", "--variants", "NM") == ["NMRU"]


def test_tasks_are_those_of_the_experiment(complete: Complete, tiny: Path) -> None:
    assert complete("run", "tiny.yaml", "--tasks", "n") == ["negative"]


def test_results_complete_their_experiments_variants_and_tasks(complete: Complete, results: Path) -> None:
    assert complete("summary", "results", "") == ["tiny"]
    assert complete("plot", "results", "tiny", "--variants", "NR") == ["NRU"]
    assert complete("plot", "results", "--tasks", "neg") == ["negative"]


def test_modules_are_completed(complete: Complete) -> None:
    assert complete("modules", "NM") == ["NMU", "NMRU"]
    assert complete("train", "NAC") == ["NAC", "NACMul", "NACSigma", "NACNMU"]


def test_where_nothing_can_be_known_nothing_is_offered_and_nothing_fails(complete: Complete, tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").write_text("title: [")
    assert complete("run", "broken.yaml", "--variants", "") == []
    assert complete("run", "nothing", "--tasks", "") == []
    assert complete("summary", "nowhere", "") == []
    assert complete("plot", "nowhere", "--variants", "") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_gets_a_script(shell: str) -> None:
    environment = os.environ | {"_NALM_COMPLETE": f"source_{shell}", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", "import sys; sys.argv = ['nalm']; from nalm.cli import main; main()"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert "_NALM_COMPLETE" in done.stdout


def test_every_kind_of_name_is_offered_by_a_function() -> None:
    assert set(COMPLETIONS) == {"experiments", "variants", "tasks", "modules"}
