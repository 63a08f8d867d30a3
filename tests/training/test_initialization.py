"""A recipe may name a distribution for the initial values of a parameter."""

from typing import Any

import numpy as np
import pytest
from tests.training.ensembles import RUNS, assert_bit_equal, trained
from tests.training.resuming import check_resuming

from nalm.errors import NalmError
from nalm.spec.document import valid
from nalm.spec.recipe import Recipe
from nalm.tasks import check_tasks
from nalm.tasks.digits.task import DigitTask
from nalm.tasks.words.task import WordTask

UNIFORM = {"weight": {"uniform": [0, 0.02]}}
RESTARTS = {"reinitialize": {"every": 5, "history": 10, "above": 1e-9}}


def recipe(init: Any, **changes: Any) -> Recipe:
    fields = {"module": "NMRU", "iterations": 30, "evaluate_every": 10, "init": init}
    return Recipe.model_validate(fields | changes)


def first_weights(init: Any, name: str = "weight", **changes: Any) -> Any:
    return trained(recipe(init, **changes)).parameters[0][name]


@pytest.mark.parametrize(
    ("start", "low", "high"),
    [
        ({"uniform": [0.5, 0.52]}, 0.5, 0.52),
        ({"truncated_normal": [0.5, 1, 0.4, 0.6]}, 0.4, 0.6),
        ({"normal": [0.5, 1e-3]}, 0.49, 0.51),
        ({"constant": 0.25}, 0.25, 0.25),
    ],
)
def test_initial_values_come_from_the_distribution(start: dict[str, Any], low: float, high: float) -> None:
    weights = first_weights({"weight": start})
    assert np.all((low <= weights) & (weights <= high))
    assert len(np.unique(weights)) == (1 if low == high else weights.size)


def test_only_the_named_parameter_changes() -> None:
    own, both = recipe({}, module="NALU"), recipe({"gate_weight": {"constant": 0.1}}, module="NALU")
    first, second = trained(own).parameters[0], trained(both).parameters[0]
    changed = [name for name in first if not np.array_equal(first[name], second[name])]
    assert changed == ["gate_weight"]


def test_a_layer_of_a_network_of_two_is_named_by_its_place() -> None:
    weights = first_weights({"second.weight": {"constant": 0.5}}, "second.weight", module="NAU", second="NMU")
    assert np.all(weights == 0.5)


def test_initial_values_do_not_depend_on_the_runs_beside() -> None:
    alone, beside = trained(recipe(UNIFORM), RUNS[1:2]), trained(recipe(UNIFORM))
    np.testing.assert_array_equal(alone.parameters[0]["weight"][0], beside.parameters[0]["weight"][1])
    np.testing.assert_array_equal(alone.final_test_errors[0], beside.final_test_errors[1])


def test_runs_that_restart_draw_from_the_distribution_and_resume_to_the_bit() -> None:
    ours = recipe(UNIFORM, **RESTARTS)
    history = trained(ours)
    assert any(history.restarts)
    assert_bit_equal(trained(ours, resumed=True), history)


def test_a_network_that_trains_by_itself_starts_from_the_distribution_and_resumes_to_the_bit() -> None:
    fields = {"module": "NAU", "iterations": 5, "evaluate_every": 2, "batch_size": 8, "init": UNIFORM}
    check_resuming(Recipe.model_validate(fields), [(WordTask.model_validate({"operation": "translate"}), 0)])


@pytest.mark.parametrize(("module", "known"), [("LSTM", "_hh"), ("Accumulator", "has: none")])
def test_a_cell_without_the_parameter_is_refused_before_it_trains(module: str, known: str) -> None:
    task = DigitTask.model_validate({"operation": "add", "length": 2, "test_length": 3})
    with pytest.raises((NalmError, ValueError), match=f"found init of the parameter 'nothing', .*{known}"):
        check_tasks(recipe({"nothing": {"constant": 0.1}}, module=module), [task])


@pytest.mark.compiled
@pytest.mark.slow
def test_compiled_training_starts_from_the_distribution_and_goes_on_to_the_bit() -> None:
    ours = recipe(UNIFORM, precision="float64")
    compiled = trained(ours, compiled=True)
    assert_bit_equal(trained(ours, compiled=True, resumed=True), compiled)
    np.testing.assert_array_equal(compiled.parameters[0]["weight"], trained(ours).parameters[0]["weight"])


@pytest.mark.parametrize(
    ("init", "sentence"),
    [
        ({"wieght": {"constant": 1}}, "found init of the parameter 'wieght' (did you mean weight?), expected one that"),
        ({"weight": {}}, "found no distribution, expected one of: uniform, normal, truncated_normal, constant"),
        ({"weight": {"uniform": [0, 1], "constant": 1}}, "found uniform and constant, expected one of: uniform"),
        ({"weight": {"uniform": [1, 0]}}, "found uniform from 1 to 0, expected low < high"),
        ({"weight": {"truncated_normal": [0, 1, 2, 2]}}, "found truncated_normal from 2 to 2, expected low < high"),
        ({"weight": {"normal": [0, 0]}}, "found 0, expected greater than 0"),
        ({"weight": {"uniform": 5}}, "found 5, expected a list"),
        ({"weight": {"constant": float("inf")}}, "found inf, expected a finite number"),
        ({"weight": {"unifrom": [0, 1]}}, "found unknown field 'unifrom', expected one of: "),
        ({"weight": 5}, "found 5, expected a mapping of fields"),
        (5, "init: found 5, expected a mapping of fields"),
    ],
)
def test_a_wrong_distribution_is_refused_in_one_sentence(init: Any, sentence: str) -> None:
    with pytest.raises(NalmError) as caught:
        valid(Recipe, {"module": "NMRU", "init": init})
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
