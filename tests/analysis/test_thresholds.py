"""Thresholds of experiments, and those of two-layer networks beside the published ones."""

import math
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from tests.tasks.subsets.small_numbers import BORN_GOLD

import nalm
from nalm.errors import NalmError
from nalm.experiments.experiment import Experiment
from nalm.tasks.subsets import thresholds

WriteYaml = Callable[..., Path]
UserModule = Callable[[str, str], None]


def test_an_experiments_thresholds_are_listed_by_variant_and_task(write_yaml: WriteYaml) -> None:
    path = write_yaml(
        ranges="""ranges:
  - {train: [1, 2], test: [2, 6]}
  - {train: [0, 1], test: [0, 1], threshold: gold}""",
        variants="variants: [{label: A, recipe: {module: NRU}}, {label: B, recipe: {module: RealNPU}}]",
    )
    experiment = nalm.load_experiment(str(path))
    frame = nalm.thresholds(experiment)
    gold = {
        label: experiment.tasks["U[0,1)"].success_threshold(recipe).value
        for label, recipe in experiment.variants.items()
    }
    assert frame.to_dict(orient="split")["columns"] == ["variant", "task", "kind", "threshold", "comparison"]
    assert list(frame.itertuples(index=False, name=None)) == [
        ("A", "U[1,2)", "flat", 1e-5, "<"),
        ("A", "U[0,1)", "gold", gold["A"], "<="),
        ("B", "U[1,2)", "flat", 1e-5, "<"),
        ("B", "U[0,1)", "gold", gold["B"], "<="),
    ]
    pd.testing.assert_frame_equal(nalm.thresholds(str(path)), frame)


def test_a_perturbed_threshold_is_listed_as_simulated(write_yaml: WriteYaml, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thresholds, "SIMULATED_ROWS", 2_000)
    path = write_yaml(task="task: {operation: mul, input_size: 4, threshold: perturbed}")
    (row,) = nalm.thresholds(str(path)).to_dict(orient="records")
    assert (row["kind"], row["comparison"]) == ("perturbed", "<")
    assert 0 < row["threshold"] < 1e-5


def test_an_unknown_experiment_has_no_thresholds() -> None:
    with pytest.raises(NalmError, match="found unknown experiment 'figure-33'"):
        nalm.thresholds("figure-33")


def test_a_module_without_gold_weights_is_found_when_the_experiment_is_read(write_yaml: WriteYaml) -> None:
    path = write_yaml(
        task="task: {operation: div, threshold: gold}",
        variants="variants: [{label: fine, recipe: {module: NRU}}, {label: A, recipe: {module: NAU}}]",
    )
    with pytest.raises(NalmError) as caught:
        nalm.load_experiment(str(path))
    line = 1 + path.read_text()[: path.read_text().index("NAU")].count("\n")
    assert str(caught.value) == (
        f"{path}:{line}: variants[1].recipe: threshold gold needs gold weights: NAU: operation is 'div', "
        "expected one of: add, sub"
    )


def test_sums_under_a_gold_threshold_are_found_at_their_range(write_yaml: WriteYaml) -> None:
    path = write_yaml(ranges="ranges: [{train: [1, 2], test: [2, 6], input_size: 4, threshold: gold}]")
    with pytest.raises(NalmError, match=r"ranges\[0\]: threshold gold needs subsets of 1 input, found subsets of 2"):
        nalm.load_experiment(str(path))


def test_a_module_that_is_changed_later_is_checked_before_training(write_yaml: WriteYaml, tmp_path: Path) -> None:
    experiment: Experiment = nalm.load_experiment(str(write_yaml(task="task: {operation: div, threshold: gold}")))
    changed = experiment.with_setting("NMRU.regularizers={}").with_setting("NMRU.module=Linear")
    with pytest.raises(NalmError, match=r"^NMRU: threshold gold needs gold weights: Linear: operation is 'div'"):
        nalm.run(changed, tmp_path / "results", workers=0, compiled=False)
    assert not (tmp_path / "results").exists()


def test_runs_are_judged_by_gold_thresholds(write_yaml: WriteYaml, user_module: UserModule, tmp_path: Path) -> None:
    user_module("layers_born_gold", BORN_GOLD.format(module="RealNPU", operation="div"))
    path = write_yaml(
        ranges="""ranges:
  - {train: [0, 1e-4], test: [0, 1e-4], threshold: gold, label: gold}
  - {train: [0, 1e-4], test: [0, 1e-4], label: flat}""",
        recipe="recipe: {iterations: 2, evaluate_every: 1, learning_rate: 1e-9}",
        variants='variants: [{label: A, recipe: {module: "layers_born_gold:Born"}}, {label: B, recipe: {module: NRU}}]',
    )
    nalm.run(str(path), tmp_path / "results", workers=0, compiled=False)
    outcomes = {
        (run["variant"], run["task"], run["seed"]): (run["solved"], run["iteration_solved"], run["test_error"])
        for run in (trained.outcome() for trained in nalm.load(tmp_path / "results").trained)
    }
    for seed in (0, 1):
        solved, iteration, error = outcomes["A", "gold", seed]
        assert (solved, iteration) == (True, 0)
        assert outcomes["A", "flat", seed] == (False, None, error)
        assert not outcomes["B", "gold", seed][0]


@pytest.mark.slow
def test_every_published_two_layer_threshold_is_reproduced() -> None:
    frame = nalm.thresholds()
    assert len(frame) == 40
    # Both are means of 1,000,000 rows, each with its standard error. With slices of the task's own length, instead of
    # one input more, that of the sum would be missed by more than 500.
    deviations = (frame["threshold"] - frame["published"]) / (math.sqrt(2) * frame["standard_error"])
    assert deviations.abs().max() < 4
    assert (deviations**2).mean() < 3
    assert frame["relative_difference"].abs().max() < 0.005
