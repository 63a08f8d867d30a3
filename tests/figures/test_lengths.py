"""Errors by length of sequences: the table, the figure, and errors."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nalm
from nalm.analysis.results import Results
from nalm.errors import NalmError
from nalm.execution.plan import plan
from nalm.experiments.experiment import Experiment
from nalm.experiments.runs import Shard
from nalm.log import warnings_given
from nalm.spec.task import Judged
from nalm.store.store import Store
from nalm.tasks.digits.reference import reference_thresholds, upper_limit
from nalm.training.history import History

ERRORS = {"NAU": 2.0, "LSTM": 400.0, "solved": 1.0}
"""Test errors of seed 0 on length 1; they grow by 10 % per seed and with the square of the length."""


@pytest.fixture
def make(tmp_path: Path, history: Callable[..., History]) -> Callable[..., Results]:
    """Return a function that makes results of sequences without training."""

    def made(lengths: tuple[int, ...] = (1, 10, 100), variants: tuple[str, ...] = tuple(ERRORS)) -> Results:
        modules = {"solved": "Accumulator"}
        task = {"operation": "add", "length": 10}
        experiment = Experiment.model_validate(
            {
                "name": "sums",
                "title": "Sums",
                "variants": {label: {"module": modules.get(label, label)} for label in variants},
                "tasks": {f"length {length}": task | {"test_length": length} for length in lengths},
                "seeds": [0, 1, 2],
            }
        )
        store = Store(tmp_path / "results")
        store.make_directories()
        store.experiments.add(experiment)
        for shard in plan([experiment], ()).shards:
            store.add(shard, _history(shard, experiment, history), {"seconds": 1.0})
        return nalm.load(store.path)

    return made


def _history(shard: Shard, experiment: Experiment, history: Callable[..., History]) -> History:
    (variant,) = [label for label, recipe in experiment.variants.items() if recipe == shard.recipe]
    errors = [ERRORS[variant] * (1 + run.seed / 10) * vars(run.task)["test_length"] ** 2 for run in shard.runs]
    wrong = [7.0 for _ in shard.runs]
    made: History = history([[0.1] * len(wrong), [0.0] * len(wrong), [0.5] * len(wrong)], [wrong, errors, wrong])
    made.parameters = [{} for _ in made.parameters]
    return made


def test_the_table_has_medians_over_seeds_and_multiples_of_the_accumulators(make: Callable[..., Results]) -> None:
    table: Any = nalm.length_errors(make()).set_index(["variant", "tested"])
    assert table.loc[("NAU", 100), ["runs", "trained"]].tolist() == [3, 10]
    assert table.loc[("NAU", 100), ["low", "median", "high"]].tolist() == pytest.approx([2e4, 2.2e4, 2.4e4])
    assert table.loc[("NAU", 100), "reference"] == pytest.approx(1.1e4)
    for variant, ratio in (("NAU", 2), ("LSTM", 400), ("solved", 1)):
        assert table.loc[variant, "ratio"].tolist() == [pytest.approx(ratio)] * 3


def test_a_threshold_is_the_upper_limit_of_the_accumulators_errors(make: Callable[..., Results]) -> None:
    results = make()
    errors = [1e4, 1.1e4, 1.2e4]
    # Student's t of 99 % with 2 degrees of freedom, from a table.
    limit = 1.1e4 + 6.965 * np.std(errors, ddof=1) / np.sqrt(3)
    assert upper_limit(errors) == pytest.approx(limit, rel=1e-4)
    thresholds = {run.task: run.threshold.value for run in results.trained}
    assert thresholds["length 100"] == pytest.approx(limit, rel=1e-4)
    summary = results.summary()
    solved = summary[summary["task"].isna()].set_index("variant")["solved"]
    assert solved.to_dict() == {"NAU": 0, "LSTM": 0, "solved": 9}


def test_without_accumulators_nothing_is_solved_and_a_warning_says_why(make: Callable[..., Results]) -> None:
    results = make(variants=("NAU", "LSTM"))
    assert not results.runs()["solved"].any()
    assert warnings_given() == [
        "no run counts as solved: thresholds take at least 2 seeds of the variant with the Accumulator"
    ]
    assert nalm.length_errors(results)["ratio"].isna().all()
    assert nalm.error_lengths(results).draw(show=False).axes
    assert reference_thresholds([]) == {}


def test_a_warning_says_that_an_accumulators_error_is_not_finite(make: Callable[..., Results]) -> None:
    (run, *_) = [run for run in make().trained if run.run.recipe.module.name == "Accumulator"]
    found = reference_thresholds(
        [Judged(run.task, run.run.task, run.run.recipe, [1.0], [error]) for error in (2.0, math.nan)]
    )
    assert math.isnan(found[run.task].value)
    assert warnings_given() == [f"no run of {run.task} counts as solved: the Accumulator's error is not finite"]


@pytest.mark.parametrize(
    ("lengths", "suffix"),
    [
        ((1, 10, 100), "png"),
        ((2, 3, 4), "pdf"),
        ((10,), "svg"),
        pytest.param((1, 10, 100), "pdf", marks=pytest.mark.slow),
        pytest.param((1, 10, 100), "svg", marks=pytest.mark.slow),
        pytest.param((2, 3, 4), "png", marks=pytest.mark.slow),
        pytest.param((2, 3, 4), "svg", marks=pytest.mark.slow),
        pytest.param((10,), "png", marks=pytest.mark.slow),
        pytest.param((10,), "pdf", marks=pytest.mark.slow),
    ],
)
def test_curves_are_drawn_into_a_whole_file(
    make: Callable[..., Results], tmp_path: Path, lengths: tuple[int, ...], suffix: str
) -> None:
    path = tmp_path / f"lengths.{suffix}"
    nalm.plot(make(lengths), path, "lengths")
    assert path.stat().st_size > 5_000


def test_both_panels_show_every_variant_on_every_length(make: Callable[..., Results]) -> None:
    figure: Any = nalm.error_lengths(make())
    points = figure.data
    assert len(points) == 2 * 3 * 3
    assert list(points["variant"].cat.categories) == ["NAU", "LSTM", "solved"]
    assert len(figure.draw(show=False).axes) == 2


def test_results_without_sequences_are_refused(results: Path) -> None:
    with pytest.raises(NalmError, match="found no sequences of images in tiny, expected an experiment on them"):
        nalm.plot(nalm.load(results), results / "x.pdf", "lengths")
