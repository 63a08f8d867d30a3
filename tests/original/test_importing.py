"""Importing results of the original, from its CSV files and its TensorBoard folders."""

import csv
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tests.original.originals import RUN, name, write_rows
from tests.training.configurations import golden_task

import nalm
from nalm.errors import NalmError
from nalm.execution.plan import plan
from nalm.experiments.catalog import load_experiment
from nalm.experiments.experiment import Experiment
from nalm.experiments.runs import Run
from nalm.original.files import ORIGINAL_COLUMNS
from nalm.original.write_names import name_form
from nalm.store.store import Store
from nalm.training.history import History

Contents = dict[str, bytes | None]
GOLDEN = Path(__file__).parent.parent / "golden" / "runs" / "in2-seed0.csv"
BY_ID = {"A0": "Real NPU (baseline)", "A1": "Real NPU (modified)", "A2": "NRU", "A3": "NMRU"}


def original_csv(directory: Path, path: Path, **options: Any) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        nalm.export_csv(directory, file, schema="original", **options)
    return path


@pytest.fixture
def old(results: Path, tmp_path: Path) -> Path:
    """Write the tiny experiment's runs as the original's CSV."""
    return original_csv(results, tmp_path / "old.csv")


# Export and import


def test_exported_and_imported_results_have_the_same_summary(results: Path, old: Path, tiny: Path) -> None:
    imported = nalm.import_results([old], results.parent / "new", str(tiny))
    assert (imported.runs, imported.there, imported.not_in_experiment, imported.short) == (12, 0, 0, 0)
    ours, theirs = nalm.load(results), nalm.load(results.parent / "new")
    assert theirs.experiment == ours.experiment
    pd.testing.assert_frame_equal(theirs.summary(), ours.summary())
    pd.testing.assert_frame_equal(theirs.runs(), ours.runs())
    columns = ["iteration", "wall_time", "validation_error", "test_error", "sparsity_error"]
    for mine, other in zip(ours.trained, theirs.trained, strict=True):
        pd.testing.assert_frame_equal(other.history()[columns], mine.history()[columns])


def test_a_diverged_run_is_imported_as_diverged(
    tiny_experiment: Experiment, tmp_path: Path, history: Callable[..., History]
) -> None:
    """The NaN is only known to come before the next evaluation, so 15 is imported as 20."""
    known = tiny_experiment.narrowed(variants=["NRU"])
    store = Store(tmp_path / "ours")
    store.make_directories()
    store.experiments.save(known)
    for shard in plan([known], ()).shards:
        runs = len(shard.runs)
        store.add(shard, history([[1.0] * runs] * 3, [[2.0] * runs] * 3, [20, 15, *[-1] * (runs - 2)]), {})
    nalm.import_results([original_csv(store.path, tmp_path / "old.csv")], tmp_path / "new", str(tmp_path / "tiny.yaml"))
    ours, theirs = nalm.load(store.path), nalm.load(tmp_path / "new")
    assert ours.runs()["diverged_at"].dropna().tolist() == [20, 15]
    assert theirs.runs()["diverged_at"].dropna().tolist() == [20, 20]
    for table in (nalm.survival_steps, nalm.survival_medians, nalm.error_quantiles):
        pd.testing.assert_frame_equal(table(theirs), table(ours))
    at_the_end = nalm.error_quantiles(theirs, tasks=["U[1,2)"]).query("iteration == 20")
    assert at_the_end["median"].tolist() == [np.inf, np.inf]


def golden_rows() -> Iterator[tuple[Run, dict[str, str]]]:
    figure = load_experiment("figure-3")
    with GOLDEN.open() as file:
        for row in csv.DictReader(file):
            task = golden_task(row["config"], row["interpolation"], row["extrapolation"])
            yield Run(figure.variants[BY_ID[row["config"]]], task, int(row["seed"])), row


def test_runs_of_the_original_in_its_csv_are_summarized_as_the_same_runs_in_our_store(
    tmp_path: Path, history: Callable[..., History]
) -> None:
    """Golden: 36 whole runs, measured with the original."""
    rows = list(golden_rows())
    cells = [
        (
            name_form(run.recipe, run.task).replace("{seed}", str(run.seed)),
            *(row["validation_mse"], row["iteration"], 1.5, row["test_mse"], row["sparsity_error"]),
        )
        for run, row in rows
    ]
    nalm.import_results([write_rows(tmp_path / "golden.csv", cells)], tmp_path / "imported", "figure-3")
    figure = load_experiment("figure-3").narrowed(seeds=[0])
    store = Store(tmp_path / "ours")
    store.make_directories()
    store.experiments.save(figure)
    by_key: dict[str, list[dict[str, str]]] = {}
    for run, row in rows:
        by_key.setdefault(run.key, []).append(row)
    for shard in plan([figure], ()).shards:
        series = [by_key[run.key] for run in shard.runs]
        validation, test, sparsity = (
            np.array([[float(row[column]) for row in of_run] for of_run in series]).T
            for column in ("validation_mse", "test_mse", "sparsity_error")
        )
        known = history(validation.tolist(), test.tolist())
        known.sparsity_errors = list(sparsity)
        known.iterations = [int(row["iteration"]) for row in series[0]]
        store.add(shard, known, {})
    ours, imported = nalm.load(tmp_path / "ours"), nalm.load(tmp_path / "imported")
    assert imported.experiment == figure
    assert len(imported.trained) == 36
    pd.testing.assert_frame_equal(imported.summary(), ours.summary())
    assert 0 < imported.runs()["solved"].sum() < 36


# Using imported results


def test_imported_runs_are_compared_shown_and_drawn(results: Path, old: Path, tiny: Path, nalm_cli: Any) -> None:
    nalm.import_results([old], results.parent / "new", str(tiny))
    pairs = nalm.compare_results(results, results.parent / "new")
    assert set(pairs["verdict"]) == {"same"}
    assert pairs["both"].sum() + pairs["neither"].sum() == pairs["pairs"].sum() == 24
    shown = nalm.load(results.parent / "new").run("NRU", "negative", 1).description()
    assert (shown["solved"], shown["expression"], shown["weights"]) == (True, None, {})
    assert shown["provenance"]["imported"] == [str(old)]
    for arguments in (("summary",), ("runs", "--csv"), ("status", "--watch", 0), ("plot", "-o", "x.png")):
        command, *options = arguments
        assert nalm_cli(command, results.parent / "new", *options).returncode == 0
    done = nalm_cli("report", results.parent / "new", "-o", "page.md")
    assert done.returncode == 0


def test_the_origin_of_imported_runs_is_shown_as_unknown(
    results: Path, old: Path, tiny: Path, tmp_path: Path, nalm_cli: Any
) -> None:
    nalm.import_results([old], tmp_path / "new", str(tiny))
    ours, theirs = (nalm.load(directory).trained[0].provenance for directory in (results, tmp_path / "new"))
    assert set(theirs["versions"]) == set(ours["versions"])
    assert set(theirs["versions"].values()) == {"unknown"}
    assert [theirs[field] for field in ("host", "device", "threads", "compiled")] == [None] * 4
    assert nalm_cli("report", "new", "-o", "page.html").returncode == 0
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    for field in ("nalm", "torch", "numpy", "python", "host", "device", "threads", "compiled"):
        assert re.search(rf"<td>{field}</td>\s*<td>unknown</td>", page), field
    assert nalm_cli("run", tiny, "--out", "new", "--dry-run").returncode == 0


def test_the_module_of_an_imported_run_is_not_known(results: Path, old: Path, tiny: Path) -> None:
    nalm.import_results([old], results.parent / "new", str(tiny))
    with pytest.raises(nalm.NalmError, match="found no parameters of NRU on negative with seed 1, which was imported"):
        nalm.load(results.parent / "new").module("NRU", "negative", 1)


def test_a_later_run_trains_what_was_not_imported(results: Path, old: Path, tiny: Path, tmp_path: Path) -> None:
    nalm.import_results([old], tmp_path / "new", str(tiny))
    more = nalm.load_experiment(str(tiny)).narrowed(seeds=range(4))
    nalm.run(more, tmp_path / "new", workers=0, compiled=False)
    found = nalm.load(tmp_path / "new")
    assert (found.missing, sum(run.has_parameters for run in found.trained)) == (0, 4)


# Labels, iterations and repeated imports


def test_without_an_experiment_labels_say_what_differs(old: Path, tmp_path: Path) -> None:
    imported = nalm.import_results([old], tmp_path / "new").experiment
    assert (imported.name, imported.runs) == ("imported", 12)
    assert set(imported.variants) == {"NMRU", "NRU"}
    assert set(imported.tasks) == {"U[1,2)", "U[-2,-1)"}
    rows = [
        (name("figure-3", variant, "U[1,2)"), 1, step, 0, 1, 0.1)
        for variant in ("Real NPU (baseline)", "Real NPU (modified)", "NRU")
        for step in (0, 1000)
    ]
    other = nalm.import_results([write_rows(tmp_path / "x.csv", rows)], tmp_path / "other", name="mine").experiment
    ramps = "weight.ramp [40000, 50000], gate.ramp [40000, 50000]"
    assert list(other.variants) == ["RealNPU", f"RealNPU, clip both, init constrained, {ramps}", "NRU"]
    assert other.name == "mine"


def test_a_new_experiment_gets_the_given_name(old: Path, tmp_path: Path) -> None:
    imported = nalm.import_results([old], tmp_path / "new", name="yesterday")
    assert isinstance(imported.experiment, Experiment)
    assert nalm.load(tmp_path / "new", "yesterday").missing == 0


@pytest.mark.parametrize("difference", ["iterations: 10", "precision: float64", "l2"])
def test_variants_that_names_do_not_tell_apart_are_refused(
    refused: Callable[..., str], old: Path, write_yaml: Callable[..., Path], difference: str
) -> None:
    term = "regularizers: {l1: {growth: {start: 0.00001, end: 0.0001}}}"
    other = term.replace("l1", "l2") if difference == "l2" else f"{difference}, {term}"
    fields = {"A": term, "B": other}
    recipes = ", ".join(f"{{label: {label}, recipe: {{module: NRU, {text}}}}}" for label, text in fields.items())
    path = write_yaml(variants=f"variants: [{recipes}]")
    sentence = refused("import", old, "--out", "new", "--experiment", path)
    assert sentence.startswith("the original's names do not tell the variants 'A' and 'B' apart: ")


def test_variants_are_labelled_after_files_with_one_recipe_each(results: Path, tmp_path: Path) -> None:
    files = [
        original_csv(results, tmp_path / f"{label}.csv", experiment="tiny", variants=[variant])
        for label, variant in (("sign-nmru", "NMRU"), ("nru_lr-1", "NRU"))
    ]
    assert list(nalm.import_results(files, tmp_path / "new").experiment.variants) == ["sign-nmru", "nru_lr-1"]


def test_tasks_that_share_a_training_range_are_told_apart(tmp_path: Path) -> None:
    nru = name("figure-3", "NRU", "U[1,2)")
    rows = [
        (nru.replace(*change), 1, 0, 0, 1, 0.1)
        for change in (("", ""), ("op-div", "op-mul"), ("e-2-6", "e-3-6"), ("z-2-0.5", "z-10-0.1"))
    ]
    imported = nalm.import_results([write_rows(tmp_path / "x.csv", rows)], tmp_path / "new")
    assert list(imported.experiment.tasks) == [
        "div U[1,2) → U[2,6), 2 inputs",
        "mul U[1,2) → U[2,6), 2 inputs",
        "div U[1,2) → U[3,6), 2 inputs",
        "div U[1,2) → U[2,6), 10 inputs",
    ]


def test_the_iterations_of_a_variant_are_those_of_its_longest_run(tmp_path: Path) -> None:
    rows = [
        (name("figure-3", "NRU", "U[1,2)", seed), 1, step, 0, 1, 0.1)
        for seed, last in ((0, 30), (1, 10))
        for step in range(0, last + 1, 10)
    ]
    imported = nalm.import_results([write_rows(tmp_path / "x.csv", rows)], tmp_path / "new", "figure-3")
    (recipe,) = imported.experiment.variants.values()
    assert (recipe.iterations, recipe.evaluate_every, imported.short) == (30, 10, 1)
    assert imported.experiment.seeds == (0, 1)
    assert nalm.load(tmp_path / "new").missing == 0
    assert nalm.load(tmp_path / "new").runs()["diverged_at"].tolist() == [pd.NA, 20]


def test_runs_of_another_experiment_are_skipped_and_counted(tmp_path: Path) -> None:
    rows = [
        (name("figure-3", "NRU", "U[1,2)"), 1, 0, 0, 1, 0.1),
        (name("figure-10", "1e-3", "U[1,2)"), 1, 0, 0, 1, 0.1),
    ]
    path = write_rows(tmp_path / "x.csv", rows)
    imported = nalm.import_results([path], tmp_path / "new", "figure-3")
    assert (imported.runs, imported.not_in_experiment, imported.strangers) == (1, 1, 1)
    with pytest.raises(nalm.NalmError, match="found no run of figure-4 among 2 runs"):
        nalm.import_results([path], tmp_path / "other", "figure-4")
    assert not (tmp_path / "other").exists()


def test_repeated_runs_are_counted_and_unchanged(
    old: Path, tiny: Path, tmp_path: Path, contents: Callable[[Path], Contents]
) -> None:
    assert nalm.import_results([old, old], tmp_path / "new", str(tiny)).there == 12
    before = contents(tmp_path / "new" / "shards")
    again = nalm.import_results([old], tmp_path / "new", str(tiny))
    assert (again.runs, again.there) == (0, 12)
    assert contents(tmp_path / "new" / "shards") == before


def test_runs_with_the_same_name_and_different_values_are_refused(refused: Callable[..., str], tmp_path: Path) -> None:
    run = name("figure-3", "NRU", "U[1,2)")
    write_rows(tmp_path / "a.csv", [(run, 1, 0, 0, 1, 0.1)])
    write_rows(tmp_path / "b.csv", [(run, 1, 0, 0, 2, 0.1)])
    write_rows(tmp_path / "longer.csv", [(run, 1, 0, 0, 1, 0.1), (run, 1, 1000, 0, 1, 0.1)])
    write_rows(tmp_path / "renamed.csv", [(f"{run}_id7", 1, 0, 0, 1, 0.2)])
    expected = "differ from those in a.csv, expected the same, or only one of them"
    for other, what in (("b", "test errors"), ("longer", "iterations"), ("renamed", "sparsity errors")):
        sentence = refused("import", "a.csv", f"{other}.csv", "--out", "new")
        ending = f"{run}_id7" if other == "renamed" else run
        assert sentence == f"the {what} of a run in {other}.csv {expected}: {ending}"


def test_a_run_with_other_values_than_it_was_imported_with_is_refused(
    refused: Callable[..., str], nalm_cli: Any, tmp_path: Path
) -> None:
    run = name("figure-3", "NRU", "U[1,2)")
    write_rows(tmp_path / "a.csv", [(run, 1, 0, 0, 1, 0.1)])
    write_rows(tmp_path / "b.csv", [(run, 3, 0, 0, 1, 0.1)])
    assert nalm_cli("import", "a.csv", "--out", "new").returncode == 0
    sentence = refused("import", "b.csv", "--out", "new")
    assert sentence.startswith("the validation errors of a run in b.csv differ from those in a.csv, ")


def test_a_changed_recipe_under_a_known_name_is_refused(old: Path, tiny: Path, tmp_path: Path) -> None:
    nalm.import_results([old], tmp_path / "new", str(tiny))
    rows = [row for row in csv.reader(old.read_text(encoding="utf-8").splitlines()) if row[2] != "20"][1:]
    with pytest.raises(nalm.NalmError, match="the recipe of 'NMRU' in"):
        nalm.import_results([write_rows(tmp_path / "short.csv", rows)], tmp_path / "new", str(tiny))


def test_columns_of_weights_are_ignored_and_empty_cells_are_unknown(tmp_path: Path) -> None:
    rows = [[name("figure-3", "NRU", "U[1,2)"), "", 0, 5.5, "NA", "", 0.3]]
    path = write_rows(tmp_path / "x.csv", rows, [*ORIGINAL_COLUMNS, "weights.w0"])
    nalm.import_results([path], tmp_path / "new", "figure-3")
    (run,) = nalm.load(tmp_path / "new").trained
    outcome = run.outcome()
    assert (outcome["solved"], outcome["iteration_solved"], run.wall_times.tolist()) == (False, None, [5.5])
    assert np.isnan([outcome["validation_error"], outcome["test_error"], outcome["sparsity_error"]]).all()


# Wrong files

HEADER = ",".join(ORIGINAL_COLUMNS)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "x.csv:1: found no column 'name', expected name, metric.valid.interpolation"),
        ("name,step\nx,1\n", "x.csv:1: found no column 'metric.valid.interpolation'"),
        (f"{HEADER}\n", "x.csv: found no rows, expected at least one"),
        (f"{HEADER}\n{RUN},1,0\n", "x.csv:2: found 3 cells, expected 6 as in the header"),
        (f"{HEADER}\n{RUN},much,0,1,1,0\n", "x.csv:2: found 'much' as metric.valid.interpolation, expected a number"),
        (f"{HEADER}\n{RUN},1,0.5,1,1,0\n", "x.csv:2: found step 0.5, expected an integer"),
        (f"{HEADER}\n{RUN},1,,1,1,0\n", "x.csv:2: found step nan, expected an integer"),
        (f"{HEADER}\n{RUN},1,-1,1,1,0\n", "x.csv: found step -1, expected one from 0"),
        (f"{HEADER}\n{RUN},1,9,1,1,0\n{RUN},1,9,1,1,0\n", "x.csv: found step 9, expected one after 9"),
        (f"{HEADER}\nmine,1,0,1,1,0\n", "x.csv: cannot read the run name 'mine': found 1 fields between underscores"),
        (f'{HEADER}\n"open,1,0,1,1,0\n', "x.csv: not valid CSV: "),
        (f"{HEADER}\n\udcff,1,0,1,1,0\n", "x.csv: found bytes that are not text, expected UTF-8"),
    ],
)
def test_a_wrong_file_is_refused_and_nothing_is_written(
    refused: Callable[..., str], tmp_path: Path, text: str, sentence: str
) -> None:
    (tmp_path / "x.csv").write_bytes(text.encode(errors="surrogateescape"))
    assert refused("import", "x.csv", "--out", "new").startswith(sentence)


def test_a_wrong_file_after_a_right_one_leaves_nothing_behind(refused: Callable[..., str], old: Path) -> None:
    (old.parent / "wrong.csv").write_text("x")
    assert refused("import", old, "wrong.csv", "--out", "new").startswith("wrong.csv:1: found no column")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("nowhere.csv",), "cannot read nowhere.csv: No such file or directory"),
        (("empty",), "found no event files of TensorBoard in 'empty'"),
        (("old.csv", "--name", "a/b"), "found the name 'a/b': "),
        (
            ("old.csv", "--experiment", "figure3"),
            "found unknown experiment 'figure3', expected one of: figure-3, ",
        ),
        (
            ("old.csv", "--experiment", "figure-3", "--name", "x"),
            "found the experiment 'figure-3' and the new name 'x'",
        ),
        (("old.csv", "--experiment", "nowhere.yaml"), "cannot read nowhere.yaml"),
    ],
)
def test_wrong_arguments_are_refused(
    refused: Callable[..., str], old: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    (old.parent / "empty").mkdir()
    assert refused("import", *arguments, "--out", "new").startswith(sentence)


def test_an_unwritable_directory_is_refused(refused: Callable[..., str], old: Path) -> None:
    assert refused("import", old, "--out", old / "new").startswith("cannot write results to ")


# What other programs make of the files


def test_a_byte_order_mark_is_no_part_of_the_first_column(old: Path, tmp_path: Path) -> None:
    old.write_bytes(b"\xef\xbb\xbf" + old.read_bytes())
    assert nalm.import_results([old], tmp_path / "new").runs == 12


def test_rows_in_another_order_are_sorted_by_run_and_step_when_asked(
    old: Path, tmp_path: Path, tiny: Path, nalm_cli: Any
) -> None:
    nalm.import_results([old], tmp_path / "sorted", str(tiny))
    header, *rows = old.read_text(encoding="utf-8").splitlines()
    old.write_text("\n".join([header, *rows[::-1]]), encoding="utf-8")
    refused = nalm_cli("import", old, "--out", "new", "--experiment", tiny)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "expected one after 20 (--sort reads rows in any order)" in refused.stderr
    assert nalm_cli("import", old, "--out", "new", "--experiment", tiny, "--sort").returncode == 0
    pd.testing.assert_frame_equal(nalm.load("new").runs(), nalm.load(tmp_path / "sorted").runs())


@pytest.mark.parametrize(
    ("step", "time", "found"),
    [
        (2**63, 0, f"found step {2**63}, expected at most {10**15}"),
        (10**30, 0, "expected at most"),
        (0, 1e300, "found the wall time 1e[+]300, expected seconds from 0"),
        (0, "inf", "found the wall time inf"),
        (0, -1, "found the wall time -1"),
    ],
)
@pytest.mark.parametrize("sort", [False, True])
def test_steps_and_times_that_cannot_be_are_refused(
    tmp_path: Path, step: int, time: float | str, found: str, sort: bool
) -> None:
    path = write_rows(tmp_path / "far.csv", [[RUN, 1.0, step, time, 1.0, 0.5]])
    with pytest.raises(NalmError, match=found):
        nalm.import_results([path], tmp_path / "new", sort=sort)
    assert not (tmp_path / "new").exists()
