"""Kaplan and Meier's estimate against other people's implementations."""

import importlib
import math
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, example, given, strategies as st

from nalm.analysis.survival import kaplan_meier
from nalm.errors import NalmError

Runs = list[tuple[int, bool]]

RUNS = st.lists(st.tuples(st.integers(0, 12), st.booleans()), min_size=1, max_size=40)


def arrays(runs: Runs) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    return np.array([time for time, _ in runs], float), np.array([happened for _, happened in runs])


def lifelines_of(times: npt.NDArray[np.float64], happened: npt.NDArray[np.bool_]) -> tuple[Any, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitter = importlib.import_module("lifelines").KaplanMeierFitter().fit(times, happened)
        ends = importlib.import_module("lifelines.utils").median_survival_times(fitter.confidence_interval_)
    return fitter, ends.to_numpy().ravel()


@given(RUNS)
@example([(1000, True)] * 25)
@example([(5, False)] * 3)
@example([(0, True), (3, False)])
def test_the_estimate_its_interval_and_the_median_are_those_of_lifelines(runs: Runs) -> None:
    times, happened = arrays(runs)
    ours, (theirs, median_ends) = kaplan_meier(times, happened), lifelines_of(times, happened)
    indices = theirs.survival_function_.index.searchsorted(ours.times)
    assert ours.share == pytest.approx(theirs.survival_function_.to_numpy().ravel()[indices], abs=1e-12)
    low, high = theirs.confidence_interval_.to_numpy()[indices].T
    assert ours.low == pytest.approx(low, abs=1e-12)
    assert ours.high == pytest.approx(high, abs=1e-12)
    # Where a share is one half up to rounding, the median depends on the order of multiplications.
    assume(not np.isclose(np.column_stack([ours.share, ours.low, ours.high]), 0.5, rtol=1e-12).any())
    median = ours.median()
    assert (median.value, median.low, median.high) == (theirs.median_survival_time_, *median_ends)


@given(RUNS)
def test_the_estimate_is_that_of_statsmodels(runs: Runs) -> None:
    times, happened = arrays(runs)
    assume(happened.any())
    theirs = importlib.import_module("statsmodels.duration.survfunc").SurvfuncRight(times + 1, happened)  # only > 0
    ours = kaplan_meier(times + 1, happened)
    indices = np.searchsorted(ours.times, theirs.surv_times)
    assert ours.share[indices] == pytest.approx(theirs.surv_prob, abs=1e-12)


@given(st.lists(st.integers(0, 9), min_size=1))
def test_without_censoring_the_share_is_that_of_later_times(times: list[int]) -> None:
    curve = kaplan_meier(times, [True] * len(times))
    assert curve.share == pytest.approx([np.mean(np.array(times) > time) for time in curve.times], abs=1e-12)


@given(st.lists(st.integers(0, 99), min_size=1, max_size=60))
def test_without_censoring_the_median_is_the_time_at_which_half_are_gone(times: list[int]) -> None:
    middle = sorted(times)[math.ceil(len(times) / 2) - 1]
    assert kaplan_meier(times, [True] * len(times)).median().value == middle


@given(RUNS)
def test_the_share_falls_and_stays_within_its_interval(runs: Runs) -> None:
    curve = kaplan_meier(*arrays(runs))
    assert (np.diff(curve.share) <= 0).all()
    assert (curve.low >= 0).all()
    assert (curve.low <= curve.share + 1e-12).all()
    assert (curve.share <= curve.high + 1e-12).all()
    assert (curve.high <= 1).all()


@given(RUNS, st.integers(1, 50))
def test_more_censored_times_raise_the_share(runs: Runs, more: int) -> None:
    one = kaplan_meier(*arrays(runs))
    other = kaplan_meier(*arrays([*runs, *([(12, False)] * more)]))
    indices = np.searchsorted(other.times, one.times)
    assert (other.share[indices] >= one.share - 1e-12).all()


def test_without_times_there_is_no_estimate_and_no_median() -> None:
    curve = kaplan_meier([], [])
    assert curve.share.size == 0
    median = curve.median()
    assert math.isnan(median.value)
    assert median.method == "none"


@pytest.mark.parametrize(
    ("times", "happened", "confidence", "sentence"),
    [
        ([1.0, 2.0], [True], 0.95, "found 2 times and 1 events, expected equally many"),
        ([1.0, -2.0], [True, True], 0.95, "times must be finite and at least 0: found -2.0"),
        ([math.inf], [False], 0.95, "times must be finite and at least 0: found inf"),
        ([math.nan], [False], 0.95, "times must be finite and at least 0: found nan"),
        ([1.0], [True], 1.0, "confidence must lie between 0 and 1, both excluded: found 1.0"),
    ],
)
def test_invalid_times_and_confidences_are_refused(
    times: list[float], happened: list[bool], confidence: float, sentence: str
) -> None:
    with pytest.raises(NalmError, match=sentence):
        kaplan_meier(times, happened, confidence)
