"""Quantiles of errors over iterations: the table and the curves."""

import math
from pathlib import Path

import numpy as np
import pytest
from tests.figures.drawing import drawn, lines_of, segments_of
from tests.trained import changed

import nalm
from nalm.analysis.results import Results, TrainedRun
from nalm.errors import NalmError
from nalm.figures.curves import QUANTILES, error_quantiles


def nmru(found: Results) -> list[TrainedRun]:
    return [run for run in found.trained if (run.variant, run.task) == ("NMRU", "U[1,2)")]


def with_errors(found: Results, *errors: list[float]) -> Results:
    """Replace the test errors of some runs."""
    runs = [changed(run, test_errors=values) for run, values in zip(nmru(found), errors, strict=False)]
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


def test_nan_errors_are_the_worst_and_leave_the_others_alone(results: Path) -> None:
    found = with_errors(nalm.load(results), [1, 2, math.nan], [3, math.inf, 1], [2, 1, 0])
    table = error_quantiles(found).query("error == 'test'")
    assert table["median"].tolist() == [2, 2, 1]
    assert table["high"].tolist() == [3, math.inf, math.inf]


def test_a_diverged_run_has_infinite_errors_from_then_on(results: Path) -> None:
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


def test_a_run_with_fewer_evaluations_counts_where_it_has_them(results: Path) -> None:
    found = nalm.load(results)
    first, *rest = nmru(found)
    found.trained[:] = [changed(first, 2), *rest]
    assert error_quantiles(found).query("error == 'test'")["runs"].tolist() == [3, 3, 2]


def test_an_unknown_variant_is_refused(results: Path) -> None:
    with pytest.raises(NalmError, match=r"^found unknown variant 'NAU', expected one of: NMRU, NRU$"):
        error_quantiles(nalm.load(results), ["NAU"])


# The curves


def test_curves_have_a_panel_per_variant_and_task_with_both_medians_and_the_threshold(found: Results) -> None:
    picture = drawn(nalm.training_curves(found))
    assert len(picture.axes) == 4
    table = nalm.error_quantiles(found, ["NMRU"], ["U[1,2)"])
    shown = [line.ravel().tolist() for line in lines_of(picture.axes[0])]
    for error in ("validation", "test"):
        rows = table[table["error"] == error]
        median = np.column_stack([rows["iteration"], np.log10(rows["median"])]).ravel()
        assert any(line == pytest.approx(median) for line in shown if len(line) == 6)
    flat = [np.asarray(line.get_ydata()).tolist() for line in picture.axes[0].lines]
    flat += [part[:, 1].tolist() for part in segments_of(picture.axes[0])]
    assert [-5, -5] in flat


def test_errors_of_0_are_drawn_at_the_lower_edge_and_infinite_ones_at_the_upper(found: Results) -> None:
    for index, run in enumerate(found.trained):
        found.trained[index] = changed(run, test_errors=[math.inf, 1.0, 0.0])
    axes = drawn(nalm.training_curves(found, ["NRU"], ["negative"])).axes[0]
    test = next(line[:, 1] for line in lines_of(axes) if len(line) == 3 and line[1, 1] == 0)
    low, high = axes.get_ylim()
    assert low < test[2] < test[1] < test[0] < high
    assert np.isfinite([low, high]).all()


def test_curves_that_are_never_finite_are_drawn(found: Results) -> None:
    for index, run in enumerate(found.trained):
        errors = {
            name: [math.nan] * 3 if run.variant == "NRU" else [0.1, 3.7, 77.7]
            for name in ("test_errors", "validation_errors")
        }
        found.trained[index] = changed(run, None, **errors)
    for axes in drawn(nalm.training_curves(found)).axes:
        heights = {float(y) for line in lines_of(axes) if len(line) == 3 for y in line[:, 1]}
        assert np.isfinite(list(heights)).all()
        assert max(heights) < axes.get_ylim()[1]
