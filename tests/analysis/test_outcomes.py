"""Outcomes of many runs at once are what each run tells by itself."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.fixture_types import Cli

from nalm.analysis.results import load
from nalm.analysis.statistics import bca_mean
from nalm.experiments.experiment import Experiment
from nalm.experiments.runs import Run, Shard
from nalm.spec.recipe import Recipe
from nalm.spec.thresholds import Threshold
from nalm.store.shard_file import ShardFile
from nalm.store.store import Store
from nalm.tasks.subsets.task import SubsetTask
from nalm.training.history import History

RECIPE = Recipe.model_validate({"module": "NRU", "iterations": 20, "evaluate_every": 10})
TASKS = {
    label: SubsetTask.model_validate({"operation": "div", "train": [1, 2], "test": [low, 6], **fields})
    for label, low, fields in (("all", 2, {}), ("last two", 3, {"judged_rows": 2}), ("last", 4, {"judged_rows": 1}))
}
ERRORS = [np.nan, np.inf, 0.0, 1e-6, 1e-5, 2e-5, 1.0]


@pytest.mark.parametrize("seed", range(5))
def test_outcomes_of_all_runs_are_those_of_each_run(tmp_path: Path, history: Callable[..., History], seed: int) -> None:
    rng, store = np.random.default_rng(seed), Store(tmp_path / "results")
    store.make_directories()
    seeds = tuple(range(30))
    experiment = Experiment(name="fates", title="Fates", variants={"A": RECIPE}, tasks=TASKS, seeds=seeds)
    store.experiments.save(experiment)
    for task in TASKS.values():
        runs = tuple(Run(RECIPE, task, run) for run in seeds if rng.random() < 0.9)
        validation, test = rng.choice(ERRORS, (2, 3, len(runs)))
        diverged = rng.choice([-1, -1, 0, 1, 11, 15], len(runs))
        store.add(Shard(RECIPE, runs), history(validation, test, diverged.tolist()), {"device": "cpu"})
    results = load(store.path)
    alone = pd.DataFrame([run.outcome() for run in results.trained])
    alone = alone.astype({"iteration_solved": "Int64", "diverged_at": "Int64"})
    pd.testing.assert_frame_equal(results.runs(), alone)
    assert results.finished == len(results.trained)
    assert results.missing == experiment.runs - len(alone)


def test_runs_without_any_evaluation_are_not_solved(tmp_path: Path, history: Callable[..., History]) -> None:
    store = Store(tmp_path / "results")
    store.make_directories()
    experiment = Experiment(
        name="fates", title="Fates", variants={"A": RECIPE}, tasks={"all": TASKS["all"]}, seeds=(0, 1)
    )
    store.experiments.save(experiment)
    runs = tuple(Run(RECIPE, TASKS["all"], seed) for seed in (0, 1))
    store.add(Shard(RECIPE, runs), history([[1, 1]], [[0, 0]], [0, 0]), {"device": "cpu"})
    frame = load(store.path).runs()
    assert frame["solved"].tolist() == [False, False]
    assert frame["iteration_solved"].isna().all()
    assert frame["test_error"].isna().all()


@pytest.mark.parametrize("threshold", [Threshold(1e-5, False), Threshold(1e-5, True), Threshold(1e-5, True, 1e-9)])
def test_an_error_meets_a_threshold_if_it_is_at_most_the_greatest_one_that_does(threshold: Threshold) -> None:
    assert threshold.met(threshold.greatest)
    assert not threshold.met(np.nextafter(threshold.greatest, 1))
    assert not threshold.met(np.nan)
    assert threshold.met(1e-5) == threshold.inclusive


def test_no_error_meets_a_threshold_that_is_not_known_yet() -> None:
    assert not Threshold(np.nan, False).met(0.0)


def test_the_interval_of_many_values_is_that_of_drawing_each_one() -> None:
    from scipy import stats

    values = np.random.default_rng(3).exponential(size=2_000)
    found = bca_mean(values)
    drawn = stats.bootstrap((values,), np.mean, n_resamples=9999, batch=500, rng=1).confidence_interval
    width = drawn.high - drawn.low
    assert found.method == "bca bootstrap"
    assert found.low == pytest.approx(drawn.low, abs=0.04 * width)
    assert found.high == pytest.approx(drawn.high, abs=0.04 * width)


def test_one_run_is_found_in_a_shard_that_no_plan_has(results: Path, nalm_cli: Cli) -> None:
    store = Store(results)
    for rows, about in list(store.runs()):
        store.add_rows(rows.slice(2, 3), about)
    for path in (results / "shards").iterdir():
        if len(ShardFile(path, path.read_bytes()).keys) > 3:
            path.unlink()
    loaded = load(results)
    assert loaded.finished == 6
    for run in loaded.trained:
        assert loaded.run(run.variant, run.task, run.run.seed).key == run.key
