"""The commands for other tools: what goes to stdout, what is said, and what is refused."""

import csv
from pathlib import Path

import pytest
from tests.fixture_types import Cli, Refused

import nalm
from nalm.experiments.experiment import Experiment
from nalm.export.csv_files import TIDY_COLUMNS
from nalm.original.files import ORIGINAL_COLUMNS
from nalm.store.store import Store


@pytest.mark.parametrize(("arguments", "columns"), [((), TIDY_COLUMNS), (("--schema", "original"), ORIGINAL_COLUMNS)])
def test_a_table_is_all_that_goes_to_stdout(
    nalm_cli: Cli, results: Path, arguments: tuple[str, ...], columns: tuple[str, ...]
) -> None:
    done = nalm_cli("export", results, "--csv", *arguments)
    rows = list(csv.reader(done.stdout.splitlines()))
    assert (done.returncode, done.stderr) == (0, "")
    assert (tuple(rows[0]), len(rows)) == (columns, 1 + 36)


@pytest.mark.parametrize("variants", [("--variants", "NRU"), ("--variants", "NRU,NMRU"), ()])
def test_variants_are_chosen_as_for_training(nalm_cli: Cli, results: Path, variants: tuple[str, ...]) -> None:
    done = nalm_cli("export", results, "tiny", "--csv", *variants)
    rows = csv.DictReader(done.stdout.splitlines())
    assert {row["variant"] for row in rows} == ({"NRU"} if variants[1:] == ("NRU",) else {"NRU", "NMRU"})


def test_what_is_missing_or_left_out_is_said(nalm_cli: Cli, results: Path, tiny_experiment: Experiment) -> None:
    nmru = tiny_experiment.variants["NMRU"].model_copy(update={"iterations": 10})
    nalm.run(
        tiny_experiment.model_copy(update={"name": "short", "variants": {"short": nmru}, "seeds": (0, 1)}),
        results,
        workers=0,
        compiled=False,
    )
    Store(results).experiments.save(
        tiny_experiment.model_copy(update={"name": "short", "variants": {"short": nmru}, "seeds": (0, 1, 2)})
    )
    done = nalm_cli("export", results, "--csv", "--schema", "original")
    assert done.returncode == 0
    assert sorted(done.stderr.splitlines()) == [
        f"nalm: 2 of 18 runs are not in {results}",
        "nalm: 4 runs are left out (NMRU: the original gives other runs the same names)",
    ]


def test_logs_are_written_and_counted(nalm_cli: Cli, results: Path, tmp_path: Path) -> None:
    done = nalm_cli("export", results, "--tensorboard", "logs")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "wrote TensorBoard logs of 12 runs into logs\n"
    assert len(list((tmp_path / "logs").rglob("*tfevents*"))) == 12


def test_an_import_says_what_became_of_runs(nalm_cli: Cli, results: Path, tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "old.csv").write_text(nalm_cli("export", results, "--csv", "--schema", "original").stdout)
    done = nalm_cli("import", "old.csv", "--out", "new", "--experiment", tiny)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "added 12 runs of tiny to new\n")
    summaries = [nalm_cli("summary", directory, "--csv").stdout for directory in (results, "new")]
    assert summaries[0] == summaries[1]
    again = nalm_cli("import", "old.csv", "--out", "new", "--experiment", tiny)
    assert again.stderr.splitlines() == [
        "added 0 runs of tiny to new",
        "nalm: 12 runs were there already or were found more than once: the first of each is kept",
    ]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "found neither --csv nor --tensorboard, expected one of them"),
        (("--csv", "--tensorboard", "logs"), "found both --csv and --tensorboard, expected one of them"),
        (("--csv", "--verbose"), "found --verbose without --tensorboard, expected them together"),
        (("--csv", "--gradients"), "found --gradients without --tensorboard, expected them together"),
        (
            ("--tensorboard", "logs", "--schema", "original"),
            "found --schema with --tensorboard, expected it with --csv",
        ),
        (("figure-3", "--csv"), "found unknown experiment 'figure-3' in "),
        (("--csv", "--variants", "NAU"), "found unknown variant 'NAU', expected one of: NMRU, NRU"),
    ],
)
def test_what_cannot_be_exported(refused: Refused, results: Path, arguments: tuple[str, ...], sentence: str) -> None:
    assert refused("export", results, *arguments).startswith(sentence)


def test_a_directory_without_results_cannot_be_exported(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert refused("export", "empty", "--csv").startswith("found no results in 'empty'")


@pytest.mark.parametrize("option", ["--verbose", "--gradients"])
def test_training_with_more_to_log_needs_logs(refused: Refused, tiny: Path, option: str) -> None:
    sentence = refused("run", tiny, option, "--no-compile", "--workers", 0)
    assert sentence == f"found {option} without --tensorboard, expected them together"
