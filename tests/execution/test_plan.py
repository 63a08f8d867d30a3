"""Keys of runs, and the shards that train what is missing."""

from collections.abc import Callable, Container
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

import nalm
from nalm.execution.plan import by_cost, plan
from nalm.experiments.experiment import Experiment
from nalm.experiments.runs import Run, Shard
from nalm.spec.recipe import Recipe
from nalm.store.costs import cost_kind
from nalm.store.store import Store
from nalm.tasks import start_training
from nalm.tasks.subsets.task import SubsetTask

RECIPE: dict[str, Any] = {
    "module": "NMRU",
    "regularizers": {"weight": {"coefficient": 10.0, "ramp": [20_000, 35_000]}},
    "optimizer": "sgd",
}
TASK: dict[str, Any] = {"operation": "div", "train": [1, 2], "test": [2, 6], "input_size": 4, "subset_ratio": 0.25}

OTHER_RECIPES: dict[str, Any] = {
    "module": {"name": "NMRU", "sign": "none"},
    "criterion": "mape",
    "pcc_iterations": 1,
    "regularizers": {"weight": {"coefficient": 10.0, "ramp": [20_000, 35_001]}},
    "optimizer": "adam",
    "learning_rate": 2e-3,
    "schedule": "cosine",
    "init": {"weight": {"constant": 0.5}},
    "momentum": 0.5,
    "clip_gradient_norm": 1.0,
    "clip_gradient_value": 1.0,
    "batch_size": 64,
    "iterations": 10,
    "evaluate_every": 10,
    "precision": "float64",
    "reinitialize": {},
    "second": "NMU",
    "stop_when_solved": True,
}
OTHER_TASKS: dict[str, Any] = {
    "operation": "mul",
    "train": [1, 3],
    "test": {"union": [[-6, -2], [2, 6]]},
    "input_size": 5,
    "subset_ratio": 0.5,
    "overlap_ratio": 0.5,
    "subsets": 3,
    "simple": True,
    "hidden_size": 3,
}
JUDGING: dict[str, Any] = {"threshold": 1e-3, "judged_rows": 10}
"""Fields of tasks that judge runs."""
SAID_DEFAULTS: list[dict[str, Any]] = [
    {"module": {"name": "NMRU"}},
    {"module": {"name": "NMRU", "sign": "retrieved", "identity_epsilon": 0}},
    {"criterion": "mse", "batch_size": 128, "iterations": 50_000, "precision": "float32"},
    {"learning_rate": 0.001, "momentum": 0, "clip_gradient_norm": None},
    {"regularizers": {"weight": {"ramp": [20_000, 35_000], "coefficient": 10, "growth": None}}},
]


def run(recipe: dict[str, Any] | None = None, task: dict[str, Any] | None = None, seed: int = 0) -> Run:
    return Run(Recipe.model_validate(RECIPE | (recipe or {})), SubsetTask.model_validate(TASK | (task or {})), seed)


def shards_of(experiment: Experiment, finished: Container[str]) -> list[Shard]:
    return plan([experiment], finished).shards


def keys(shards: list[Shard]) -> list[str]:
    return [run.key for shard in shards for run in shard.runs]


# Keys


def test_every_field_of_recipes_and_tasks_is_tried_here() -> None:
    assert set(OTHER_RECIPES) == set(Recipe.model_fields)
    assert {*OTHER_TASKS, *JUDGING} == set(SubsetTask.model_fields)


@pytest.mark.parametrize("field", OTHER_RECIPES)
def test_each_field_of_a_recipe_changes_the_key_of_a_run(field: str) -> None:
    assert run({field: OTHER_RECIPES[field]}).key != run().key


@pytest.mark.parametrize("field", OTHER_TASKS)
def test_each_field_of_a_task_changes_the_key_of_a_run(field: str) -> None:
    assert run(task={field: OTHER_TASKS[field]}).key != run().key


def test_the_seed_changes_the_key_of_a_run() -> None:
    assert run(seed=1).key != run(seed=0).key


@pytest.mark.parametrize("field", JUDGING)
def test_thresholds_change_the_key_of_a_run_only_with_early_stopping(field: str) -> None:
    judged = {field: JUDGING[field]}
    assert run(task=judged).key == run().key
    stopped = {"stop_when_solved": True}
    assert run(stopped, judged).key != run(stopped).key


@pytest.mark.parametrize("defaults", SAID_DEFAULTS)
def test_an_explicit_default_does_not_change_the_key_of_a_run(defaults: dict[str, Any]) -> None:
    assert run(defaults).key == run().key


def test_a_task_with_explicit_defaults_is_the_same() -> None:
    said = {"overlap_ratio": 0, "subsets": 2, "simple": False}
    assert run(task=said).key == run().key


def test_the_order_of_regularizers_does_not_change_the_key_of_a_run() -> None:
    one, two = {"coefficient": 1}, {"coefficient": 2}
    assert run({"regularizers": {"l1": one, "l2": two}}).key == run({"regularizers": {"l2": two, "l1": one}}).key


def test_labels_do_not_change_the_keys_of_runs(write_yaml: Callable[..., Path]) -> None:
    one = nalm.load_experiment(str(write_yaml("one")))
    two = nalm.load_experiment(
        str(
            write_yaml(
                "two",
                title="title: Another title",
                ranges="ranges: [{train: [1, 2], test: [2, 6], label: another task}]",
                variants="variants: [{label: another variant, recipe: {base: nmru}}]",
            )
        )
    )
    assert keys(shards_of(two, set())) == keys(shards_of(one, set()))
    assert shards_of(two, set(keys(shards_of(one, set())))) == []


# Shards


@pytest.fixture(scope="module")
def figure_3() -> Experiment:
    return nalm.load_experiment("figure-3")


def test_every_run_is_in_exactly_one_shard(figure_3: Experiment) -> None:
    planned = keys(shards_of(figure_3, set()))
    expected = {
        Run(recipe, task, seed).key
        for recipe in figure_3.variants.values()
        for task in figure_3.tasks.values()
        for seed in figure_3.seeds
    }
    assert len(planned) == len(expected) == 900
    assert set(planned) == expected


def test_the_runs_of_a_shard_share_their_recipe_and_are_at_most_225(figure_3: Experiment) -> None:
    shards = shards_of(figure_3.narrowed(range(60)), set())
    assert max(len(shard.runs) for shard in shards) == 225
    assert all(run.recipe == shard.recipe for shard in shards for run in shard.runs)


def test_more_seeds_plan_only_the_missing_runs(figure_3: Experiment) -> None:
    first = shards_of(figure_3.narrowed(range(5), ["NMRU"]), set())
    then = shards_of(figure_3.narrowed(range(25), ["NMRU"]), set(keys(first)))
    assert len(keys(first)) == 5 * 9
    assert len(keys(then)) == 20 * 9
    assert {run.seed for shard in then for run in shard.runs} == set(range(5, 25))


@given(st.lists(st.sets(st.integers(0, 60), min_size=1, max_size=12), min_size=1, max_size=5))
def test_every_run_is_planned_once_whatever_was_trained_before(asked: list[set[int]]) -> None:
    experiment = nalm.load_experiment("figure-3").narrowed(variants=["NRU"])
    experiment = experiment.model_copy(update={"tasks": dict(list(experiment.tasks.items())[:2])})
    finished: set[str] = set()
    trained: list[str] = []
    for seeds in asked:
        new = keys(shards_of(experiment.narrowed(sorted(seeds)), finished))
        trained += new
        finished |= set(new)
    assert len(trained) == len(set(trained)) == 2 * len(set.union(*asked))


def test_blocks_of_seeds_do_not_depend_on_the_first_seed(figure_3: Experiment) -> None:
    one = figure_3.narrowed(range(50), ["NMRU"])
    late = figure_3.narrowed(range(20, 50), ["NMRU"])
    first, second = shards_of(late, set())
    assert first.name in [shard.name for shard in shards_of(one, set())]
    assert {run.seed for run in first.runs} == set(range(25, 50))
    assert {run.seed for run in second.runs} == set(range(20, 25))


def test_nothing_is_planned_when_all_runs_are_finished(figure_3: Experiment) -> None:
    assert shards_of(figure_3, set(keys(shards_of(figure_3, set())))) == []


def test_two_variants_with_one_recipe_are_trained_once(tiny_experiment: Experiment) -> None:
    twins = {"NMRU": tiny_experiment.variants["NMRU"], "twin": tiny_experiment.variants["NMRU"]}
    assert len(keys(shards_of(tiny_experiment.model_copy(update={"variants": twins}), set()))) == 6


def test_runs_that_cannot_train_together_are_in_different_shards(write_yaml: Callable[..., Path]) -> None:
    ranges = """ranges:
  - {train: [1, 2], test: [2, 6]}
  - {train: [-2, 2], test: {union: [[-6, -2], [2, 6]]}}
  - {train: {union: [[-6, -2], [2, 6]]}, test: [2, 6]}
  - {train: {halves: [[-2, -1], [1, 2]]}, test: [2, 6]}
  - {train: [3, 4], test: [2, 6], operation: mul}
  - {train: [4, 5], test: [2, 6], input_size: 4}
  - {train: [5, 6], test: [2, 6], input_size: 4, subset_ratio: 0.25}
  - {train: [6, 7], test: [2, 6], label: the same but for its threshold, threshold: 1}"""
    experiment = nalm.load_experiment(str(write_yaml(ranges=ranges)))
    shards = shards_of(experiment, set())
    assert sorted(len(shard.runs) for shard in shards) == [2, 2, 2, 2, 8]
    for shard in shards:
        assert len({run.task.group for run in shard.runs}) == 1
        start_training(shard.recipe, [(run.task, run.seed) for run in shard.runs], compiled=False)


def test_runs_that_experiments_share_are_planned_and_counted_once(figure_3: Experiment) -> None:
    part = figure_3.narrowed(range(5), ["NMRU", "NRU"]).model_copy(update={"name": "part"})
    other = figure_3.narrowed(range(3, 7), ["NRU"]).model_copy(update={"name": "other"})
    planned = plan([part, other], set())
    assert planned.runs == len(keys(planned.shards)) == len(set(keys(planned.shards))) == (2 * 5 + 2) * 9
    assert plan([part, other], set(keys(planned.shards))) == (planned.runs, [])


def test_the_longest_shards_come_first(figure_3: Experiment) -> None:
    short = figure_3.changed({"iterations": 10}, only="NRU")
    assert [shard.recipe.module.name for shard in shards_of(short, set())] == ["RealNPU", "RealNPU", "NMRU", "NRU"]


def test_workers_train_first_what_took_longest_in_the_store(
    tiny_experiment: Experiment, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shards = plan([tiny_experiment], set()).shards
    costs = {"NMRU": 1e-3, "NRU": 2e-3}
    measured = {
        cost_kind(shard.recipe, shard.runs[0].task.identity): costs[shard.recipe.architecture] for shard in shards
    }
    monkeypatch.setattr("nalm.execution.plan.compiled_costs", lambda store: measured)
    ordered = by_cost(shards, Store(tmp_path))
    assert [shard.recipe.architecture for shard in ordered] == ["NRU", "NMRU"]
    assert {shard.name for shard in ordered} == {shard.name for shard in shards}


def test_without_measured_costs_workers_train_the_longest_shards_of_the_plan_first(
    tiny_experiment: Experiment, tmp_path: Path
) -> None:
    shards = plan([tiny_experiment, tiny_experiment.changed({"iterations": 40})], set()).shards
    assert [shard.recipe.iterations for shard in by_cost(shards[::-1], Store(tmp_path))] == [40, 40, 20, 20]
