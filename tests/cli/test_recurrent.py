"""Commands on sequences of anything but images."""

import json
from pathlib import Path

import pytest
from tests.cli.reading import readers
from tests.fixture_types import Cli, Refused

SHORT = ("--seeds", "0-1", "--iterations", 2, "--evaluate-every", 1, "--set", "*.batch_size=4")
VECTORS = """\
title: Sums
task: {train: [1, 2], test: [1, 2], steps: 2, threshold: 1e9}
ranges:
  - {label: add, operation: add, test_steps: 3}
  - {label: mul, operation: mul, test_steps: 3}
  - {label: longer, operation: mul, test_steps: 4}
seeds: 0-1
recipe: {iterations: 2, evaluate_every: 1, batch_size: 4}
variants:
  - {label: NAU, recipe: {module: NAU, second: NAU, regularizers: {weight: {coefficient: 0.1, exponential: 1e-5}}}}
  - {label: LSTM, recipe: {module: LSTM, second: Linear}}
"""


@pytest.fixture
def vectors(tmp_path: Path) -> Path:
    path = tmp_path / "vectors.yaml"
    path.write_text(VECTORS)
    return path


def test_a_run_on_vectors_ends_and_its_results_are_read_by_everything(
    train_tiny: Cli, nalm_cli: Cli, vectors: Path, tmp_path: Path
) -> None:
    done = train_tiny(vectors, "--out", "out")
    assert done.returncode == 0, done.stderr
    # One network for both lengths of the product.
    assert len(list((tmp_path / "out" / "shards").iterdir())) == 2 * 2 * 2
    summary = json.loads(nalm_cli("summary", "out", "--json").stdout)
    assert {(row["variant"], row["task"], row["runs"], row["solved"]) for row in summary if row["task"]} == {
        (variant, task, 2, 2) for variant in ("NAU", "LSTM") for task in ("add", "mul", "longer")
    }
    for command in readers("add"):
        read = nalm_cli(*command)
        assert read.returncode == 0, (command, read.stderr)
    assert "nothing was left to train" in train_tiny(vectors, "--out", "out").stderr


def test_one_run_on_vectors_shows_the_weights_of_both_layers(train_tiny: Cli, nalm_cli: Cli, vectors: Path) -> None:
    train_tiny(vectors, "--out", "out", "--seeds", 0)
    for variant, weights in (
        ("NAU", {"first.weight", "second.weight"}),
        ("LSTM", {f"first.cell.{name}" for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}),
    ):
        done = nalm_cli("show", "out", "--variant", variant, "--task", "add", "--seed", 0, "--json")
        assert done.returncode == 0, done.stderr
        assert weights <= set(json.loads(done.stdout)["weights"])


def test_the_experiment_on_vectors_runs_and_its_thresholds_are_simulated(train_tiny: Cli, nalm_cli: Cli) -> None:
    done = train_tiny("subset-recurrent", *SHORT, "--seeds", 0, "--variants", "NAU", "--tasks", "add", "--out", "out")
    assert done.returncode == 0, done.stderr
    rows = json.loads(nalm_cli("thresholds", "subset-recurrent", "--json").stdout)
    assert {row["kind"] for row in rows} == {"perturbed"}
    add, mul = ({row["threshold"] for row in rows if row["task"] == task} for task in ("add", "mul"))
    assert len(add) == len(mul) == 1
    assert max(add) < min(mul)


def test_what_makes_no_sense_with_vectors_is_one_sentence(refused: Refused, vectors: Path) -> None:
    found = refused("run", vectors, "--stop-when-solved")
    assert found == "NAU: found stop_when_solved with sequences of vectors, expected none"
    assert refused("run", vectors, "--mnist", "torchvision") == (
        "found --mnist with vectors, expected it with sequences of digits only"
    )


def test_a_run_on_words_ends_and_its_results_are_read_by_everything(train_tiny: Cli, nalm_cli: Cli) -> None:
    done = train_tiny("number-translation", *SHORT, "--variants", "NAU,LSTM", "--out", "out")
    assert done.returncode == 0, done.stderr
    summary = json.loads(nalm_cli("summary", "out", "--json").stdout)
    assert {(row["variant"], row["task"], row["runs"], row["solved"]) for row in summary if row["task"]} == {
        (variant, "1 to 999", 2, 0) for variant in ("NAU", "LSTM")
    }
    for command in readers("1 to 999"):
        read = nalm_cli(*command)
        assert read.returncode == 0, (command, read.stderr)
    shown = json.loads(nalm_cli("show", "out", "--variant", "NAU", "--task", "1 to 999", "--seed", 0, "--json").stdout)
    assert len(shown["weights"]["weight"][0]) == 3


def test_reproducing_makes_a_figure_of_sequences(nalm_cli: Cli, tmp_path: Path) -> None:
    options = ("--seeds", 0, "--iterations", 0, "--no-compile", "--workers", 0, "--out", "out")
    done = nalm_cli("reproduce", "number-translation", *options)
    assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.rglob("number-translation.p*"))) == 2
    assert not list(tmp_path.rglob("*-lengths.*"))
