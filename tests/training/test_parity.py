"""Trajectories of the original, row by row: the same random streams, weights and errors."""

import csv
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from tests.training.configurations import CATALOG, CATALOGUED, CONFIGURATIONS, golden_task

from nalm.experiments.catalog import load_experiment
from nalm.spec.recipe import Recipe
from nalm.tasks.subsets.task import SubsetTask
from nalm.tasks.subsets.trainer import make_ensemble
from nalm.training.history import History

GOLDEN = Path(__file__).parent.parent / "golden"

TOLERANCE = 1e-4
"""Relative. Another order of float32 operations than the original's; measured for Real NPU: below 2e-6."""
FLOOR = 1e-9
"""Errors below this are rounding: their relative size means nothing."""
WHERE_PRECISIONS_PART = 1e-5
"""Relative difference between float32 and float64 of our own code, from which training is chaotic."""
SELDOM_COMPARED: dict[str, list[int]] = {
    "A2-interval": [1, 1, 4, 11],
    "A3-interval": [8, 6, 4, 3],
    "A13-interval": [1, 4],
    "B3-interval": [11, 1],
    "B9-interval": [11, 1],
    "B12-interval": [11, 1],
    "B13-interval": [11, 5],
    "B18-interval": [11, 1],
    "B19-interval": [1, 4],  # 6 on a processor with AVX2 alone, 4 on one with AVX-512
    "B20-interval": [11, 1],
    "E2-interval": [1],
    "E3-interval": [3],
    "E6-interval": [5],
    "E9-interval": [3],
    "A2-halves": [1, 1, 1, 1],
    "A2-benford": [1],
    "A2-truncated_normal": [1, 1, 1],
    "A3-halves": [4, 3, 11, 8],
    "A3-truncated_normal": [4, 4, 5],
    "B2-truncated_normal": [3],
    "B3-benford": [1],
    "B3-truncated_normal": [1],
    "A2-late-interval": [1, 1],
    "A3-late-interval": [11, 5],
    "NAU-oob-late-interval": [1, 2],
    "NAU-oob-squared-late-interval": [1, 1],
    "NMU-squared-late-interval": [3, 3],
    "NMU-oob-late-interval": [2, 3],
    "NMU-oob-squared-late-interval": [3, 3],
    "NMU-z-interval": [3, 3],
    "NRU-oob-late-interval": [3, 4],
    "NRU-oob-squared-late-interval": [4, 5],
    "NMRU-squared-late-interval": [4, 11],
    "NMRU-oob-late-interval": [2, 11],
    "NMRU-oob-squared-late-interval": [2, 5],
    "NMU-epsilon-interval": [3, 3],
}
"""Cases in which fewer than half of the 11 rows of some run are compared, and how many of each run are at least.

Measured with AVX-512 and without vector instructions, the smaller number of each: they differ in one run each of A13,
B14 and NRU-oob-late. Errors are rounding from there on (NRU at rate 1 solves its task within 20 iterations), or
training is chaotic: benchmarks/README.md says which.
"""

Array = npt.NDArray[np.float64]
COLUMNS = {
    "validation_mse": "validation_errors",
    "test_mse": "test_errors",
    "train_criterion": "criteria",
}


class Case(NamedTuple):
    """All golden runs of one configuration that can train together."""

    configuration: str
    runs: list[tuple[SubsetTask, int]]
    rows: list[list[dict[str, str]]]


def _cases() -> list[Case]:
    runs: dict[tuple[str, str, str, str, str], list[dict[str, str]]] = defaultdict(list)
    for name in ("trajectories", "trajectories-late"):
        with (GOLDEN / f"{name}.csv").open() as file:
            for row in csv.DictReader(file):
                key = (row["config"], row["interpolation"], row["extrapolation"], row["distribution"], row["seed"])
                runs[key].append(row)
    cases: dict[tuple[object, ...], Case] = {}
    for (configuration, train, test, distribution, seed), rows in runs.items():
        task = golden_task(configuration, train, test, distribution)
        case = cases.setdefault((configuration, task.train.stream, len(rows)), Case(configuration, [], []))
        case.runs.append((task, int(seed)))
        case.rows.append(rows)
    return list(cases.values())


def _train(case: Case, precision: str | None = None) -> History:
    recipe = Recipe.model_validate(
        CONFIGURATIONS[case.configuration] | {"iterations": int(case.rows[0][-1]["iteration"]), "evaluate_every": 20}
    )
    ensemble = make_ensemble(recipe, case.runs, compiled=False)
    if precision is None:
        return ensemble.train()
    # The same initial weights in the other precision: torch draws others there.
    other = make_ensemble(recipe.model_copy(update={"precision": precision}), case.runs, compiled=False)
    for name, value in other.stack.state.parameters.items():
        value.copy_(ensemble.stack.state.parameters[name])
    return other.train()


def _relative(ours: Array, reference: Array, floor: float = FLOOR) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        difference = np.abs(ours - reference) / np.abs(reference)
    return np.where((ours == reference) | (np.abs(reference) < floor), 0.0, difference)


def _in_reach(values: Array) -> Array:
    """Make values infinite that float32 cannot hold: NMRU on ten of Benford's numbers has errors of more than 1e38."""
    return np.where(np.abs(values) > np.finfo(np.float32).max, np.inf, values)


def _golden(case: Case, column: str) -> Array:
    return np.array([[float(row[column]) for row in rows] for rows in case.rows]).T


def _name(case: Case) -> str:
    return f"{case.configuration}-{case.runs[0][0].train.kind}"


CASES = _cases()


@pytest.fixture(autouse=True)
def _without_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train without padding, on which nothing here depends: it is ten times faster."""
    monkeypatch.setattr("nalm.training.ensemble.stack.VECTOR", 1)


POWER_UNITS = [case for case in CASES if "NPU" in str(CONFIGURATIONS[case.configuration]["module"])]
OTHERS = [case for case in CASES if case not in POWER_UNITS]


def _mostly_slow(cases: list[Case]) -> list[Any]:
    """Mark cases as slow, but for the first of each module and form of its training range."""
    found: dict[object, Case] = {}
    for case in cases:
        module = Recipe.model_validate(CONFIGURATIONS[case.configuration]).module.name
        found.setdefault((module, case.runs[0][0].train.kind), case)
    quick = [*found.values()]
    return [pytest.param(case, id=_name(case), marks=() if case in quick else pytest.mark.slow) for case in cases]


@pytest.mark.parametrize("case", _mostly_slow(POWER_UNITS))
def test_every_row_of_a_power_unit_is_the_originals(case: Case) -> None:
    history = _train(case)
    for column, attribute in COLUMNS.items():
        difference = _relative(np.stack(getattr(history, attribute)), _golden(case, column))
        assert difference.max() <= TOLERANCE, column
    penalty = _golden(case, "train_penalty")
    np.testing.assert_allclose(np.stack(history.penalties), penalty, rtol=TOLERANCE, atol=1e-12)
    sparsity = _golden(case, "sparsity_error")
    np.testing.assert_allclose(np.stack(history.sparsity_errors), sparsity, rtol=TOLERANCE, atol=1e-6)


@pytest.mark.parametrize("case", _mostly_slow(OTHERS))
def test_other_modules_follow_the_original_until_float32_and_float64_part(case: Case) -> None:
    history, other = _train(case), _train(case, "float64")
    apart = np.zeros((len(history.iterations), len(case.runs)), dtype=bool)
    for attribute in COLUMNS.values():
        ours, in_float64 = np.stack(getattr(history, attribute)), _in_reach(np.stack(getattr(other, attribute)))
        # No floor here: at rounding level the gradient is rounding too, and NRU's rate of 1 amplifies it.
        apart |= _relative(ours, in_float64, floor=0.0) > WHERE_PRECISIONS_PART
    together = ~np.logical_or.accumulate(apart, axis=0)
    assert together[0].all(), "the first row, before any update, is never chaotic"
    expected = SELDOM_COMPARED.get(_name(case), [(len(together) + 1) // 2] * len(case.runs))
    assert (together.sum(axis=0) >= expected).all(), "fewer rows are compared than were"
    for column, attribute in COLUMNS.items():
        difference = _relative(np.stack(getattr(history, attribute)), _golden(case, column))
        assert difference[together].max() <= TOLERANCE, column
    # Distances of weights from discrete values: close to one, a difference of weights shows in full.
    for column, attribute in (("train_penalty", "penalties"), ("sparsity_error", "sparsity_errors")):
        ours, golden = np.stack(getattr(history, attribute)), _golden(case, column)
        np.testing.assert_allclose(ours[together], golden[together], rtol=1e-3, atol=1e-6, err_msg=column)


def test_cases_that_are_seldom_compared_are_one_case_each() -> None:
    names = [_name(case) for case in OTHERS]
    assert {name: names.count(name) for name in SELDOM_COMPARED} == dict.fromkeys(SELDOM_COMPARED, 1)


def test_the_golden_files_hold_runs_of_every_configuration() -> None:
    assert {case.configuration for case in CASES} == set(CONFIGURATIONS)


def test_the_tasks_of_golden_runs_are_those_of_the_catalog() -> None:
    tasks: dict[str, list[object]] = defaultdict(list)
    for experiment, identifiers in CATALOGUED.items():
        for identifier in identifiers:
            tasks[identifier] += [task.identity for task in load_experiment(experiment).tasks.values()]
    for case in CASES:
        for task, _ in case.runs:
            if case.configuration in CATALOG:
                assert task.identity in tasks[case.configuration], (case.configuration, task.label)
