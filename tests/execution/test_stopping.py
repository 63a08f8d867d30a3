"""Experiments with two layers whose runs are retired once solved, from the command line to the results."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import nalm
import nalm.cli.training
from nalm.cli.app import app
from nalm.experiments.runs import Run
from nalm.spec.recipe import Recipe
from nalm.tasks.subsets.task import SubsetTask

FILE = """
title: Sums of 20 inputs
task: {train: [1, 2], test: [2, 6], input_size: 20, overlap_ratio: 0.5, subset_ratio: 0.5}
ranges:
  - {label: sub, operation: sub}
  - {label: mul, operation: mul}
seeds: 1-5
recipe: {second: NAU, learning_rate: 1e-2, iterations: 700, evaluate_every: 20}
variants:
  - {label: NAU, recipe: {module: NAU}}
"""


@pytest.fixture(scope="module")
def sums(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sums") / "sums.yaml"
    path.write_text(FILE, encoding="utf-8")
    return path


def invoke(*arguments: object) -> Any:
    return CliRunner().invoke(app, [*map(str, arguments)])


@pytest.fixture(scope="module")
def results(sums: Path) -> nalm.Results:
    experiment = nalm.load_experiment(str(sums)).changed({"stop_when_solved": True})
    return nalm.load(nalm.run(experiment, sums.parent / "stopped", workers=0, compiled=False).path)


def test_solved_runs_end_when_they_are_solved_and_others_at_the_last_iteration(results: nalm.Results) -> None:
    outcomes = [(run.outcome(), run.iterations[-1]) for run in results.trained]
    assert {outcome["task"] for outcome, _ in outcomes if outcome["solved"]} == {"sub"}
    for outcome, last in outcomes:
        assert (last < 700) == outcome["solved"]
        if outcome["solved"]:
            assert outcome["iteration_solved"] <= last


def test_the_history_and_the_module_of_a_retired_run_are_those_of_its_last_evaluation(results: nalm.Results) -> None:
    run = next(run for run in results.trained if run.outcome()["solved"])
    history = run.history()
    assert len(history) == len(run.iterations)
    weight = run.module().get_parameter("second.weight").detach().numpy().ravel()
    np.testing.assert_array_equal(history[["second.weight.0", "second.weight.1"]].iloc[-1], weight)
    assert run.final_test_error == history["test_error"].iloc[-1]


def test_weights_over_iterations_and_the_figure_work_with_early_stopping(results: nalm.Results, tmp_path: Path) -> None:
    table = nalm.weight_histories(results)
    assert set(table["parameter"]) == {"first.weight", "second.weight"}
    nalm.plot(results, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 1000


def test_early_stopped_runs_are_stored_separately(sums: Path, tmp_path: Path) -> None:
    options = ("--out", tmp_path, "--workers", 0, "--no-compile", "--iterations", 20, "--seeds", "1")
    first = invoke("run", sums, *options, "--tasks", "sub")
    assert first.exit_code == 0
    second = invoke("run", sums, *options, "--stop-when-solved")
    assert second.exit_code != 0
    assert "stop_when_solved: False there, True now" in str(second.exception)


def test_tasks_can_be_chosen(sums: Path, tmp_path: Path) -> None:
    options = ("--out", tmp_path, "--workers", 0, "--no-compile", "--iterations", 20, "--seeds", "1")
    assert invoke("run", sums, *options, "--tasks", "sub").exit_code == 0
    assert list(nalm.load(tmp_path).experiment.tasks) == ["sub"]
    assert invoke("run", sums, *options, "--tasks", "sub,mul").exit_code == 0
    assert list(nalm.load(tmp_path).experiment.tasks) == ["sub", "mul"]
    wrong = invoke("run", sums, *options, "--tasks", "div")
    assert str(wrong.exception) == "found unknown task 'div', expected one of: sub, mul"


def test_a_threshold_changes_the_key_only_with_early_stopping() -> None:
    def key(stop: bool, threshold: float) -> str:
        task = SubsetTask.model_validate({"operation": "sub", "train": [1, 2], "test": [2, 6], "threshold": threshold})
        return Run(Recipe.model_validate({"module": "NAU", "stop_when_solved": stop}), task, 0).key

    assert key(False, 1e-5) == key(False, 1e-3)
    assert len({key(False, 1e-5), key(True, 1e-5), key(True, 1e-3)}) == 3


def test_two_layers_can_be_trained_ad_hoc() -> None:
    found = invoke(
        *("train", "NAU", "--second", "NMU", "--operation", "mul", "--inputs", 6, "--subset-ratio", 0.5),
        *("--hidden-size", 3, "--iterations", 10, "--no-compile", "--json"),
    )
    assert found.exit_code == 0
    assert '"module": "NAU + NMU"' in found.output


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--hidden-size", 3), "found hidden_size 3, expected it with a second layer only"),
        (("--second", "NPUs"), "found unknown module 'NPUs'"),
        (("--second", "NMU", "--subset-ratio", 2), "subset_ratio: found 2.0, expected less than or equal to 1"),
    ],
)
def test_wrong_ad_hoc_training_is_refused_in_one_sentence(arguments: tuple[object, ...], sentence: str) -> None:
    found = invoke("train", "NAU", "--operation", "add", "--inputs", 4, *arguments)
    assert isinstance(found.exception, nalm.NalmError)
    assert sentence in str(found.exception)
