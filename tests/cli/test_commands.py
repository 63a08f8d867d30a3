"""The commands from end to end: data on stdout, everything else on stderr."""

import csv
import json
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pyarrow.parquet as pq
import pytest
from tests.cli.reading import one_run
from tests.columns import RUN_COLUMNS, SUMMARY_COLUMNS
from tests.fixture_types import Cli, Contents

import nalm

COMMANDS = [
    "list",
    "modules",
    "run",
    "reproduce",
    "train",
    "bench",
    "shard",
    "script",
    "status",
    "merge",
    "export",
    "import",
    "summary",
    "runs",
    "plot",
    "show",
    "report",
    "compare",
    "thresholds",
    "gold-error",
    "landscape",
]


def data(done: CompletedProcess[str]) -> Any:
    """Return the JSON that a command wrote, after checking that it succeeded and wrote nothing to stderr."""
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


# run


def test_a_run_trains_everything_and_says_so_on_stderr(train_tiny: Cli, tiny: Path, tmp_path: Path) -> None:
    done = train_tiny(tiny)
    assert (done.returncode, done.stdout) == (0, "")
    first, *_, last = done.stderr.splitlines()
    assert first == "tiny: Tiny (12 runs, seeds 0-2)"
    assert last.startswith("all 12 runs are in results, trained in ")
    assert nalm.load(tmp_path / "results").missing == 0


def test_the_same_run_again_trains_nothing_and_changes_nothing(
    train_tiny: Cli, results: Path, tiny: Path, contents: Callable[[Path], Contents]
) -> None:
    before = contents(results)
    done = train_tiny(tiny)
    assert (done.returncode, done.stdout) == (0, "")
    assert "nothing was left to train" in done.stderr
    assert contents(results) == before


def test_more_seeds_and_more_variants_train_only_what_is_missing(
    train_tiny: Cli, tiny: Path, tmp_path: Path, contents: Callable[[Path], Contents]
) -> None:
    trained: set[str] = set()
    for arguments, rows in (
        (("--variants", "NMRU", "--seeds", "0,1"), 4),
        (("--variants", "NMRU", "--seeds", "0-2"), 2),
        (("--seeds", "0-2"), 6),
        ((), 0),
    ):
        assert train_tiny(tiny, *arguments).returncode == 0
        shards = {path.name for path in (tmp_path / "results" / "shards").iterdir()}
        new = [pq.read_table(tmp_path / "results" / "shards" / name).num_rows for name in shards - trained]
        assert sum(new) == rows
        trained = shards
    assert nalm.load(tmp_path / "results").missing == 0


def test_options_of_a_run_reach_its_recipes(train_tiny: Cli, tiny: Path, tmp_path: Path) -> None:
    settings = ("--set", "NMRU.learning_rate=0.5", "--set", "*.batch_size=16")
    done = train_tiny(tiny, "--iterations", 4, "--evaluate-every", 2, "--seeds", 7, *settings, "--out", "elsewhere")
    assert done.returncode == 0
    nmru, nru = nalm.load(tmp_path / "elsewhere").experiment.variants.values()
    assert (nmru.learning_rate, nmru.batch_size, nmru.iterations, nmru.evaluate_every) == (0.5, 16, 4, 2)
    assert (nru.learning_rate, nru.batch_size, nru.iterations, nru.evaluate_every) == (1, 16, 4, 2)
    history = nalm.load(tmp_path / "elsewhere").run("NRU", "U[1,2)", 7).history()
    assert history["iteration"].tolist() == [0, 2, 4]


@pytest.mark.parametrize("arguments", [("--variants", "NRU", "--variants", "NMRU"), ("--variants", "NRU, NMRU")])
def test_variants_are_given_again_or_with_commas(train_tiny: Cli, tiny: Path, arguments: tuple[str, ...]) -> None:
    done = train_tiny(tiny, *arguments, "--dry-run")
    assert "runs      12, of which 12 are missing, in 2 shards" in done.stdout


def test_a_variant_whose_label_has_a_comma_can_be_chosen(train_tiny: Cli, write_yaml: Callable[..., Path]) -> None:
    labelled = "label: 'NRU, rate {learning_rate}', recipe: {base: nru}, grid: {learning_rate: [1e-3, 1e-2]}"
    done = train_tiny(write_yaml(variants=f"variants: [{{{labelled}}}]"), "--variants", "NRU, rate 0.01", "--dry-run")
    assert (done.returncode, done.stderr) == (0, "")
    assert "runs      2, of which 2 are missing" in done.stdout


def test_a_name_of_the_catalog_runs_like_a_file(train_tiny: Cli, tmp_path: Path) -> None:
    done = train_tiny("figure-3", "--variants", "NMRU", "--seeds", 0, "--iterations", 0)
    assert done.returncode == 0
    found = nalm.load(tmp_path / "results")
    assert (found.experiment.name, found.missing, len(found.runs())) == ("figure-3", 0, 9)


def test_a_dry_run_says_what_it_would_take_and_writes_nothing(
    nalm_cli: Cli, tiny: Path, tmp_path: Path, contents: Callable[[Path], Contents]
) -> None:
    before = contents(tmp_path)
    done = nalm_cli("run", tiny, "--dry-run")
    assert (done.returncode, done.stderr) == (0, "")
    assert "12, of which 12 are missing, in 2 shards" in done.stdout
    assert contents(tmp_path) == before


def test_a_dry_run_leaves_out_what_is_there(
    nalm_cli: Cli, tiny: Path, results: Path, contents: Callable[[Path], Contents]
) -> None:
    before = contents(results)
    done = nalm_cli("run", tiny, "--seeds", "0-3", "--dry-run")
    assert "16, of which 4 are missing, in 2 shards" in done.stdout
    assert contents(results) == before


def test_replace_goes_on_with_a_changed_recipe_and_keeps_the_old_runs(
    train_tiny: Cli, tiny: Path, results: Path, contents: Callable[[Path], Contents]
) -> None:
    before = contents(results / "shards")
    done = train_tiny(tiny, "--iterations", 30, "--replace")
    after = contents(results / "shards")
    assert done.returncode == 0
    assert {name: after[name] for name in before} == before
    assert len(after) == 2 * len(before)


def test_an_interrupted_run_says_how_to_go_on(train_tiny: Cli, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(nalm, "run", interrupted, raising=False)
    done = train_tiny(tiny)
    assert done.returncode == 130
    assert "the same command resumes it" in done.stderr.splitlines()[-1]


# summary and runs


def test_a_summary_is_json_with_a_row_per_task_and_one_for_all_of_them(nalm_cli: Cli, results: Path) -> None:
    rows = data(nalm_cli("summary", results, "--json"))
    assert [list(row) for row in rows] == [SUMMARY_COLUMNS] * 6
    assert [(row["variant"], row["task"], row["runs"], row["solved"]) for row in rows] == [
        ("NMRU", "U[1,2)", 3, 0),
        ("NMRU", "negative", 3, 0),
        ("NMRU", None, 6, 0),
        ("NRU", "U[1,2)", 3, 3),
        ("NRU", "negative", 3, 3),
        ("NRU", None, 6, 6),
    ]
    assert rows[0]["success_rate"] == 0.0
    assert rows[0]["iterations_mean"] is None
    assert rows[0]["sparsity_error"] is None
    assert rows[-1]["success_rate"] == 1.0
    assert rows[-1]["success_low"] < rows[-1]["success_high"]
    assert rows[-1]["iterations_low"] < rows[-1]["iterations_mean"] < rows[-1]["iterations_high"]


def test_a_summary_is_csv_with_the_same_fields_and_nothing_where_json_has_null(nalm_cli: Cli, results: Path) -> None:
    done = nalm_cli("summary", results, "tiny", "--csv")
    rows = list(csv.DictReader(done.stdout.splitlines()))
    assert (done.returncode, done.stderr) == (0, "")
    expected = data(nalm_cli("summary", results, "--json"))
    assert [list(row) for row in rows] == [SUMMARY_COLUMNS] * 6
    assert rows == [{name: "" if value is None else str(value) for name, value in row.items()} for row in expected]


def test_runs_are_json_with_a_row_each(nalm_cli: Cli, results: Path) -> None:
    rows = data(nalm_cli("runs", results, "--json"))
    assert [list(row) for row in rows] == [RUN_COLUMNS] * 12
    assert [row["seed"] for row in rows] == [0, 1, 2] * 4
    nmru, nru = rows[0], rows[-1]
    assert (nmru["variant"], nmru["task"], nmru["solved"], nmru["iteration_solved"]) == ("NMRU", "U[1,2)", False, None)
    assert (nru["variant"], nru["task"], nru["solved"]) == ("NRU", "negative", True)
    assert nru["iteration_solved"] in (10, 20)
    assert nru["diverged_at"] is None
    assert isinstance(nru["test_error"], float)


def test_runs_are_csv_with_the_same_fields(nalm_cli: Cli, results: Path) -> None:
    done = nalm_cli("runs", results, "--csv")
    rows = list(csv.DictReader(done.stdout.splitlines()))
    expected = data(nalm_cli("runs", results, "--json"))
    assert (done.returncode, done.stderr) == (0, "")
    assert rows == [{name: "" if value is None else str(value) for name, value in row.items()} for row in expected]


@pytest.mark.parametrize("command", ["summary", "runs"])
def test_a_table_for_people_names_every_variant_and_task(nalm_cli: Cli, results: Path, command: str) -> None:
    done = nalm_cli(command, results)
    assert (done.returncode, done.stderr) == (0, "")
    for word in ("NMRU", "NRU", "U[1,2)", "negative"):
        assert word in done.stdout
    assert "nan" not in done.stdout


@pytest.mark.parametrize("command", ["summary", "runs"])
def test_missing_runs_are_counted_on_stderr(nalm_cli: Cli, results: Path, command: str) -> None:
    sorted((results / "shards").iterdir())[0].unlink()
    done = nalm_cli(command, results, "--json")
    assert done.returncode == 0
    assert done.stderr == f"nalm: 6 of 12 runs (variants × tasks × seeds) of tiny are not in {results}\n"
    assert json.loads(done.stdout)


# show


def test_a_run_is_shown_with_its_outcome_weights_expression_and_history(nalm_cli: Cli, results: Path) -> None:
    shown = data(nalm_cli("show", results, *one_run(), "--json"))
    assert list(shown)[: len(RUN_COLUMNS)] == RUN_COLUMNS
    assert (shown["variant"], shown["task"], shown["seed"], shown["solved"]) == ("NMRU", "U[1,2)", 0, False)
    module = nalm.load(results).module("NMRU", "U[1,2)", 0)
    assert shown["weights"] == {"weight": module.get_parameter("weight").tolist()}
    assert shown["expression"] == "x1/x2"
    assert shown["provenance"]["versions"]["nalm"] == nalm.__version__
    assert [row["iteration"] for row in shown["history"]] == [0, 10, 20]
    assert shown["history"][0]["weight.0"] == pytest.approx(0.4037114, abs=1e-7)


def test_a_run_is_shown_to_people_with_a_line_per_evaluation(nalm_cli: Cli, results: Path) -> None:
    done = nalm_cli("show", results, "tiny", *one_run())
    assert (done.returncode, done.stderr) == (0, "")
    assert "x1/x2" in done.stdout
    assert [line.split()[0] for line in done.stdout.splitlines()[-3:]] == ["0", "10", "20"]


def test_no_number_of_a_wide_history_is_cut(
    nalm_cli: Cli, train_tiny: Cli, write_yaml: Callable[..., Path], tmp_path: Path
) -> None:
    train_tiny(write_yaml(task="task: {operation: div, input_size: 10, subset_ratio: 0.1}"))
    done = nalm_cli("show", tmp_path / "results", *one_run())
    assert done.returncode == 0
    assert "…" not in done.stdout
    assert "weight.19" in done.stdout


# several experiments


def test_several_experiments_are_reproduced_and_what_they_share_is_trained_once(
    nalm_cli: Cli, write_yaml: Callable[..., Path], tmp_path: Path
) -> None:
    one = write_yaml("one")
    two = write_yaml("two", seeds="seeds: 1-2")
    done = nalm_cli("reproduce", one, two, "--out", "both", "--workers", 0, "--no-compile")
    assert done.returncode == 0
    assert "all 3 runs are in both" in done.stderr
    for name in ("one", "two"):
        assert f"wrote {name}.csv, {name}.pdf, {name}.png into both" in done.stderr
        assert (tmp_path / "both" / f"{name}.png").stat().st_size > 1000
    assert [len(nalm.load(tmp_path / "both", name).trained) for name in ("one", "two")] == [2, 2]


def test_a_figure_is_reproduced_with_its_summary(nalm_cli: Cli, tiny: Path) -> None:
    done = nalm_cli("reproduce", tiny, "--workers", 0, "--no-compile", "--variants", "NMRU")
    assert done.returncode == 0
    assert "negative" in done.stdout


@pytest.mark.parametrize("option", [("--variants", "NMRU"), ("--set", "NMRU.learning_rate=1")])
def test_what_means_one_experiment_is_refused_with_several(
    nalm_cli: Cli, tiny: Path, write_yaml: Callable[..., Path], option: tuple[str, str]
) -> None:
    done = nalm_cli("run", tiny, write_yaml(), *option)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "nalm: found --variants, --tasks or --set with 2 experiments, expected them with one\n"


@pytest.mark.parametrize("option", [("--seeds", "0"), ("--iterations", 3), ("--variants", "x"), ("--set", "x.y=1")])
def test_options_of_training_are_refused_where_nothing_is_trained(nalm_cli: Cli, option: tuple[str, object]) -> None:
    done = nalm_cli("reproduce", "figure-5", *option)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "nalm: nothing is trained for figure-5: found options of training, expected none\n"


def test_a_page_is_written(nalm_cli: Cli, results: Path, tmp_path: Path) -> None:
    done = nalm_cli("report", results, "-o", "page.md")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "writing tiny\nwrote page.md\n")
    assert (tmp_path / "figures" / "tiny.png").exists()


# list, train, help


def test_the_catalog_is_listed_as_json(nalm_cli: Cli) -> None:
    rows = data(nalm_cli("list", "--json"))
    assert [list(row) for row in rows] == [["name", "figure", "title", "runs", "iterations"]] * len(rows)
    (figure_3,) = (row for row in rows if row["name"] == "figure-3")
    assert figure_3 == {
        "name": "figure-3",
        "figure": "3",
        "title": "Division without redundancy, 2 inputs",
        "runs": 900,
        "iterations": 50_000,
    }


def test_the_catalog_is_listed_for_people(nalm_cli: Cli) -> None:
    done = nalm_cli("list")
    assert (done.returncode, done.stderr) == (0, "")
    assert "figure-3" in done.stdout
    assert "50,000" in done.stdout


def test_one_module_is_trained_and_described_as_json(nalm_cli: Cli, tmp_path: Path) -> None:
    done = nalm_cli("train", "NRU", "--iterations", 20, "--evaluate-every", 10, "--no-compile", "--json")
    assert done.returncode == 0
    described = json.loads(done.stdout)
    assert list(described) == [
        "module",
        "operation",
        "task",
        "seed",
        "solved",
        "validation_error",
        "test_error",
        "weights",
        "expression",
        "diverged_at",
    ]
    assert (described["module"], described["operation"], described["task"]) == ("NRU", "div", "U[1,2)")
    assert (described["seed"], described["solved"], described["expression"]) == (0, True, "x1/x2")
    assert described["weights"] == {"weight": [[1.0, -1.0]]}
    assert [line.split()[0] for line in done.stderr.splitlines()] == ["0", "10", "20"]
    assert list(tmp_path.iterdir()) == []


def test_one_module_is_trained_with_other_ranges_inputs_and_fields(nalm_cli: Cli) -> None:
    done = nalm_cli(
        *("train", "NMRU", "--operation", "mul", "--train-range", "[-2,-1]", "--test-range", "-6,-2", "--inputs", 3),
        *("--seed", 4, "--iterations", 1, "--set", "learning_rate=0.1", "--set", "module.sign=none", "--no-compile"),
    )
    assert done.returncode == 0
    assert "U[-2,-1)" in done.stdout
    assert "mul" in done.stdout


def test_a_users_module_is_trained_by_its_import_path(nalm_cli: Cli, user_module: Callable[[str, str], None]) -> None:
    user_module("ad_hoc_layers", "from torch import nn\n\nclass MyUnit(nn.Linear):\n    pass\n")
    done = nalm_cli("train", "ad_hoc_layers:MyUnit", "--iterations", 5, "--no-compile", "--json")
    described = json.loads(done.stdout)
    assert (done.returncode, described["module"], described["expression"]) == (0, "ad_hoc_layers:MyUnit", None)
    assert described["weights"].keys() == {"weight", "bias"}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(nalm_cli: Cli, command: str) -> None:
    done = nalm_cli(command, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    text = " ".join(done.stdout.split())
    assert f"Example: nalm {command}" in text
    example = shlex.split(text.partition("Example: ")[2].partition(" Arguments:")[0].partition(" Options:")[0])
    assert {word for word in example if word.startswith("--")} <= set(text.replace(",", " ").split())


def test_the_version_is_nalms(nalm_cli: Cli) -> None:
    assert nalm_cli("--version").stdout == f"nalm {nalm.__version__}\n"


def test_python_m_nalm_is_the_command_and_its_help_lists_every_command() -> None:
    # In a process of its own: commands are listed in the order in which their modules are imported.
    done = subprocess.run([sys.executable, "-m", "nalm", "--help"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    listed = [line.split()[0] for line in done.stdout.partition("Commands:")[2].splitlines() if line.strip()]
    assert listed == COMMANDS
