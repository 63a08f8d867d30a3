"""Results: outcomes, summaries and trained modules, read from the store."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from tests.columns import RUN_COLUMNS, SUMMARY_COLUMNS

import nalm
from nalm.analysis.results import Results, TrainedRun, learnt_expression
from nalm.errors import NalmError
from nalm.experiments.experiment import Experiment
from nalm.experiments.runs import Run, Shard
from nalm.modules import DMU, NAU, NMRU, NRU, TwoLayers
from nalm.spec.recipe import Recipe
from nalm.store.store import Store
from nalm.tasks.subsets.task import SubsetTask
from nalm.training.history import History

Rows = Callable[[float, float], tuple[torch.Tensor, torch.Tensor]]

TASK = SubsetTask.model_validate({"operation": "div", "train": [1, 2], "test": [2, 6]})
RECIPE = Recipe.model_validate({"module": "NRU", "iterations": 20, "evaluate_every": 10})

# What happened to each seed: three validation errors, three test errors, and the iteration of the first NaN weight.
SOLVED_EARLY = ([3, 2, 1], [1, 1e-6, 1e-7], -1)
SOLVED_LATE = ([3, 2, 1], [1, 1, 1e-8], -1)
SOLVED_AND_LOST = ([3, 2, 1], [1, 1e-6, 1], -1)
BEST_BEFORE_THE_END = ([3, 1, 2], [1, 1e-6, 1], -1)
NEVER = ([3, 2, 1], [1, 1, 1], -1)
DIVERGED = ([3, 2, np.nan], [1, 1, np.nan], 11)
BROKEN_FROM_THE_START = ([np.nan] * 3, [np.nan] * 3, 1)


@pytest.fixture
def happened(tmp_path: Path, history: Callable[..., History]) -> Callable[..., Results]:
    """Results of one variant and task in which each seed had its fate."""

    def make(*fates: tuple[list[float], list[float], int]) -> Results:
        validation, test, diverged = zip(*fates, strict=True)
        store = Store(tmp_path / "fates")
        store.make_directories()
        seeds = tuple(range(len(fates)))
        experiment = Experiment(name="fates", title="Fates", variants={"A": RECIPE}, tasks={"one": TASK}, seeds=seeds)
        store.experiments.save(experiment)
        shard = Shard(RECIPE, tuple(Run(RECIPE, TASK, seed) for seed in seeds))
        store.add(shard, history(np.transpose(validation), np.transpose(test), list(diverged)), {"device": "cpu"})
        return nalm.load(store.path)

    return make


Happened = Callable[..., Results]


# Runs


@pytest.mark.parametrize(
    ("fate", "solved", "iteration_solved", "test_error"),
    [
        (SOLVED_EARLY, True, 10, 1e-7),
        (SOLVED_LATE, True, 20, 1e-8),
        (SOLVED_AND_LOST, False, 10, 1),  # solved is judged at the best validation row, the iteration is the first
        (BEST_BEFORE_THE_END, True, 10, 1e-6),
        (NEVER, False, None, 1),
        (DIVERGED, False, None, 1),
    ],
)
def test_a_run_is_judged_at_its_best_validation_row(
    happened: Happened,
    fate: tuple[list[float], list[float], int],
    solved: bool,
    iteration_solved: int | None,
    test_error: float,
) -> None:
    (run,) = happened(fate).runs().to_dict(orient="records")
    assert run["solved"] is solved
    assert (None if pd.isna(run["iteration_solved"]) else run["iteration_solved"]) == iteration_solved
    assert run["test_error"] == test_error
    assert run["sparsity_error"] == test_error / 10


def test_a_diverged_run_says_when(happened: Happened) -> None:
    runs = happened(DIVERGED, NEVER).runs()
    assert runs["diverged_at"].tolist() == [11, pd.NA]
    assert runs["validation_error"].tolist() == [2, 1]


def test_a_run_with_only_nan_errors_is_not_solved(happened: Happened) -> None:
    runs = happened(BROKEN_FROM_THE_START).runs()
    assert runs["solved"].tolist() == [False]
    assert runs["test_error"].isna().all()


def test_runs_are_in_the_experiments_order(results: Path, tiny_experiment: Experiment) -> None:
    runs = nalm.load(results).runs()
    assert list(runs.columns) == RUN_COLUMNS
    assert list(zip(runs["variant"], runs["task"], runs["seed"], strict=True)) == [
        (variant, task, seed)
        for variant in tiny_experiment.variants
        for task in tiny_experiment.tasks
        for seed in tiny_experiment.seeds
    ]


def test_columns_of_runs_have_their_types(results: Path) -> None:
    types = nalm.load(results).runs().dtypes.astype(str)
    assert types[["seed", "solved", "iteration_solved", "diverged_at"]].tolist() == ["int64", "bool", "Int64", "Int64"]
    assert set(types[["validation_error", "test_error", "sparsity_error"]]) == {"float64"}


# Summary


def test_a_summary_counts_solved_runs_and_takes_speed_and_sparsity_from_them(happened: Happened) -> None:
    summary = happened(SOLVED_EARLY, SOLVED_LATE, SOLVED_AND_LOST, NEVER, DIVERGED).summary()
    assert list(summary.columns) == SUMMARY_COLUMNS
    of_task, total = summary.to_dict(orient="records")
    assert (of_task["variant"], of_task["task"]) == ("A", "one")
    assert (of_task["runs"], of_task["solved"], of_task["success_rate"]) == (5, 2, 0.4)
    assert (of_task["iterations_median"], of_task["iterations_mean"]) == (15, 15)
    assert of_task["sparsity_error"] == pytest.approx((1e-8 + 1e-9) / 2)
    assert of_task["success_low"] < 0.4 < of_task["success_high"]
    assert pd.isna(total.pop("task"))
    assert total == {name: value for name, value in of_task.items() if name != "task"}


def test_a_summary_without_solved_runs_has_only_a_rate(happened: Happened) -> None:
    first = happened(NEVER, DIVERGED).summary().iloc[0]
    assert (first["solved"], first["success_rate"], first["success_low"]) == (0, 0, 0)
    missing = ["iterations_median", "iterations_mean", "iterations_low", "sparsity_error", "sparsity_high"]
    assert first[missing].isna().all()


def test_the_last_row_of_a_variant_is_over_all_its_tasks(results: Path) -> None:
    summary = nalm.load(results).summary()
    tasks = summary["task"].astype(object).where(summary["task"].notna(), None)
    assert list(zip(summary["variant"], tasks, summary["runs"], summary["solved"], strict=True)) == [
        ("NMRU", "U[1,2)", 3, 0),
        ("NMRU", "negative", 3, 0),
        ("NMRU", None, 6, 0),
        ("NRU", "U[1,2)", 3, 3),
        ("NRU", "negative", 3, 3),
        ("NRU", None, 6, 6),
    ]


def test_a_task_summary_has_no_totals(results: Path) -> None:
    found = nalm.load(results)
    assert found.task_summary()["task"].tolist() == ["U[1,2)", "negative"] * 2
    assert len(found.summary()) == 6


# Missing runs


def test_missing_runs_are_counted(results: Path, tiny_experiment: Experiment) -> None:
    Store(results).experiments.save(tiny_experiment.narrowed(range(5)))
    found = nalm.load(results)
    assert (found.experiment.runs, len(found.trained), found.missing) == (20, 12, 8)
    assert len(found.runs()) == 12
    assert found.summary()["runs"].max() == 6


def test_an_experiment_without_results_has_empty_tables(tmp_path: Path, tiny_experiment: Experiment) -> None:
    store = Store(tmp_path / "empty")
    store.make_directories()
    store.experiments.save(tiny_experiment)
    found = nalm.load(store.path)
    assert (found.missing, len(found.runs()), len(found.summary())) == (12, 0, 0)


def test_a_task_summary_without_results_is_empty(tmp_path: Path, tiny_experiment: Experiment) -> None:
    store = Store(tmp_path / "empty")
    store.make_directories()
    store.experiments.save(tiny_experiment)
    assert len(nalm.load(store.path).task_summary()) == 0


# One run


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("task", "low", "high"), [("U[1,2)", 2, 6), ("negative", -6, -2)])
@pytest.mark.parametrize(("variant", "kind"), [("NMRU", NMRU), ("NRU", NRU)])
def test_a_trained_module_has_the_error_that_was_stored(
    results: Path,
    test_rows: Rows,
    variant: str,
    kind: type[torch.nn.Module],
    task: str,
    low: float,
    high: float,
    seed: int,
) -> None:
    trained = nalm.load(results).run(variant, task, seed)
    module = trained.module()
    x, target = test_rows(low, high)
    assert isinstance(module, kind)
    assert not module.training
    with torch.no_grad():
        error = ((module(x) - target) ** 2).mean().item()
    # 1e-4: a sum of 10,000 float32 numbers; 1e-13: where all that is left is the rounding of each.
    assert error == pytest.approx(trained.final_test_error, rel=1e-4, abs=1e-13)


def test_a_module_is_that_of_its_run(results: Path) -> None:
    found = nalm.load(results)
    modules = [found.module("NMRU", "U[1,2)", seed) for seed in range(3)]
    again = found.run("NMRU", "U[1,2)", 1).module()
    assert torch.equal(modules[1].get_parameter("weight"), again.get_parameter("weight"))
    assert len({tuple(module.get_parameter("weight").flatten().tolist()) for module in modules}) == 3


def test_a_history_has_a_row_per_evaluation(results: Path) -> None:
    history = nalm.load(results).run("NRU", "U[1,2)", 0).history()
    assert list(history.columns) == [
        "iteration",
        "wall_time",
        "validation_error",
        "test_error",
        "sparsity_error",
        "criterion",
        "penalty",
        "weight.0",
        "weight.1",
    ]
    assert history["iteration"].tolist() == [0, 10, 20]
    assert history["wall_time"].is_monotonic_increasing
    assert history[["weight.0", "weight.1"]].iloc[0].tolist() == pytest.approx([-0.4115226, -0.3679695], abs=1e-7)


def test_a_diverged_history_ends_before_the_first_nan_weight(happened: Happened) -> None:
    history = happened(DIVERGED).run("A", "one", 0).history()
    assert history["iteration"].tolist() == [0, 10]
    assert history["weight.0"].tolist() == [0, 1]


def test_a_description_says_how_a_run_was_made(results: Path) -> None:
    trained = nalm.load(results).run("NRU", "U[1,2)", 0)
    assert isinstance(trained, TrainedRun)
    assert {"device", "versions", "host", "seconds"} <= trained.provenance.keys()
    assert trained.provenance["compiled"] is False


def test_a_run_whose_module_is_another_one_now_is_shown_but_for_the_expression(results: Path) -> None:
    trained = nalm.load(results).run("NRU", "U[1,2)", 0)
    changed = replace(trained, flat_parameters={"weight": np.arange(5.0)})
    shown = changed.description()
    assert shown["expression"].startswith("unknown: found the stored parameters weight, expected those that NRU has")
    assert shown["weights"] == {"weight": [0.0, 1.0, 2.0, 3.0, 4.0]}
    assert len(shown["history"]) == 3


def test_the_expression_of_a_quotient_of_nothing_is_nan_and_says_so() -> None:
    first = NAU(2, 2)
    torch.nn.init.zeros_(first.weight)
    assert learnt_expression(TwoLayers(2, 1, first, NMRU(2, 1).gold("div"))) == "nan (a division by 0)"


def test_a_module_without_formula_has_no_expression() -> None:
    assert learnt_expression(DMU(2, 1, heads=True)) is None


@pytest.mark.parametrize(
    ("run", "sentence"),
    [
        (("X", "U[1,2)", 0), r"^found unknown variant 'X', expected one of: NMRU, NRU$"),
        (("NRU", "X", 0), r"^found unknown task 'X', expected one of: U\[1,2\), negative$"),
        (("NRU", "U[1,2)", 7), r"^found no run of seed 7, expected one of: 0, 1, 2$"),
    ],
)
def test_an_unknown_run_is_refused_with_the_known_ones(results: Path, run: tuple[Any, ...], sentence: str) -> None:
    with pytest.raises(NalmError, match=sentence):
        nalm.load(results).run(*run)


# Loading


def test_a_name_is_needed_only_among_several(results: Path, write_yaml: Callable[..., Path]) -> None:
    assert nalm.load(results).experiment.name == "tiny"
    nalm.run(str(write_yaml()), results, workers=0, compiled=False)
    assert nalm.load(results, "tiny").missing == 0
    with pytest.raises(NalmError, match=r"holds several experiments, name one of: mine, tiny$"):
        nalm.load(results)


def test_an_unknown_experiment_is_refused_with_the_known_ones(results: Path) -> None:
    with pytest.raises(NalmError, match=r"^found unknown experiment 'figure-3' in '.*', expected one of: tiny$"):
        nalm.load(results, "figure-3")


@pytest.mark.parametrize("name", ["nowhere", "file", "empty"])
def test_a_directory_without_results_is_refused_and_left_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "empty").mkdir()
    with pytest.raises(NalmError, match=rf"^found no results in '.*{name}', expected a directory that `nalm run`"):
        nalm.load(tmp_path / name)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["empty", "file"]


def test_loading_only_reads(results: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in results.rglob("*")}
    found = nalm.load(results)
    found.summary()
    found.module("NMRU", "negative", 2)
    assert {path: path.stat().st_mtime_ns for path in results.rglob("*")} == before
