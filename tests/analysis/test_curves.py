"""Quantiles of errors over iterations."""

import math
from pathlib import Path

import numpy as np
import pytest
from tests.trained import changed

import nalm
from nalm.analysis.curves import QUANTILES, error_quantiles
from nalm.analysis.results import Results, TrainedRun
from nalm.errors import NalmError


def nmru(found: Results) -> list[TrainedRun]:
    return [run for run in found.trained if (run.variant, run.task) == ("NMRU", "U[1,2)")]


def with_errors(found: Results, *errors: list[float]) -> Results:
    """The results with these test errors instead of those of some runs."""
    runs = [changed(run, test_errors=of) for run, of in zip(nmru(found), errors, strict=False)]
    found.trained[:] = runs
    return found


def test_there_is_a_row_per_variant_task_error_and_evaluation(results: Path) -> None:
    table = nalm.error_quantiles(nalm.load(results))
    assert list(table) == ["variant", "task", "error", "iteration", "runs", *QUANTILES]
    assert len(table) == 2 * 2 * 2 * 3
    assert set(table["runs"]) == {3}
    some = nalm.error_quantiles(nalm.load(results), ["NRU"], ["negative"])
    assert some[["variant", "task"]].drop_duplicates().to_numpy().tolist() == [["NRU", "negative"]]


def test_the_median_of_three_runs_is_the_middle_one(results: Path) -> None:
    found = nalm.load(results)
    errors = np.array([run.validation_errors for run in nmru(found)])
    table = error_quantiles(found, ["NMRU"], ["U[1,2)"]).query("error == 'validation'")
    assert table["median"].tolist() == np.median(errors, axis=0).tolist()
    assert table["low"].tolist() == errors.min(axis=0).tolist()
    assert table["high"].tolist() == errors.max(axis=0).tolist()


def test_errors_that_are_no_numbers_are_the_worst_and_disturb_no_others(results: Path) -> None:
    found = with_errors(nalm.load(results), [1, 2, math.nan], [3, math.inf, 1], [2, 1, 0])
    table = error_quantiles(found).query("error == 'test'")
    assert table["median"].tolist() == [2, 2, 1]
    assert table["high"].tolist() == [3, math.inf, math.inf]


def test_a_run_that_diverged_is_the_worst_from_then_on(results: Path) -> None:
    found = nalm.load(results)
    first, *rest = nmru(found)
    found.trained[:] = [changed(first, 1, diverged_at=3), *rest]
    table = error_quantiles(found).query("error == 'test'")
    assert table["runs"].tolist() == [3, 3, 3]
    assert np.isinf(table["high"]).tolist() == [False, True, True]
    assert np.isfinite(table["median"]).all()


def test_where_all_runs_diverged_at_once_every_error_is_infinite(results: Path) -> None:
    found = nalm.load(results)
    found.trained[:] = [changed(run, 0, diverged_at=0) for run in nmru(found)]
    table = error_quantiles(found)
    assert table["iteration"].tolist() == [0, 10, 20] * 2
    assert np.isinf(table[list(QUANTILES)]).all(axis=None)


def test_a_run_that_was_looked_at_less_often_counts_where_it_was(results: Path) -> None:
    found = nalm.load(results)
    first, *rest = nmru(found)
    found.trained[:] = [changed(first, 2), *rest]
    assert error_quantiles(found).query("error == 'test'")["runs"].tolist() == [3, 3, 2]


def test_an_unknown_variant_is_refused(results: Path) -> None:
    with pytest.raises(NalmError, match=r"^found unknown variant 'NAU', expected one of: NMRU, NRU$"):
        error_quantiles(nalm.load(results), ["NAU"])
