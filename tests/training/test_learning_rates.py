"""Schedules of the learning rate are those of torch.optim.lr_scheduler."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from tests.training.ensembles import assert_bit_equal, trained
from tests.training.resuming import check_resuming
from torch import nn
from torch.optim import lr_scheduler

from nalm.errors import NalmError
from nalm.spec.document import valid
from nalm.spec.rates import RATE_SCHEDULES
from nalm.spec.recipe import Recipe
from nalm.tasks.digits.task import DigitTask
from nalm.training.optimizers import iteration_scalars, learning_rates

RATE, LAST = 0.02, 200


def make(name: str, **options: Any) -> Callable[[torch.optim.Optimizer], Any]:
    return lambda optimizer: getattr(lr_scheduler, name)(optimizer, **options)


def warm_up(optimizer: torch.optim.Optimizer) -> Any:
    first = lr_scheduler.LinearLR(optimizer, start_factor=0.1, total_iters=50)
    then = lr_scheduler.CosineAnnealingLR(optimizer, T_max=LAST - 50)
    return lr_scheduler.SequentialLR(optimizer, [first, then], milestones=[50])


def one_cycle(**options: Any) -> Callable[[torch.optim.Optimizer], Any]:
    return make("OneCycleLR", max_lr=RATE, total_steps=LAST + 1, cycle_momentum=False, **options)


CASES: list[tuple[Any, Callable[[torch.optim.Optimizer], Any]]] = [
    ("cosine", make("CosineAnnealingLR", T_max=LAST)),
    ({"cosine": {"over": LAST, "end": 0.1}}, make("CosineAnnealingLR", T_max=LAST, eta_min=0.1 * RATE)),
    ({"step": {"every": 30}}, make("StepLR", step_size=30)),
    ({"step": {"every": 7, "factor": 0.9}}, make("StepLR", step_size=7, gamma=0.9)),
    ({"steps": {"at": [150, 30, 31], "factor": 0.5}}, make("MultiStepLR", milestones=[30, 31, 150], gamma=0.5)),
    ({"decay": {"factor": 0.97}}, make("ExponentialLR", gamma=0.97)),
    ("linear", make("LinearLR", start_factor=1.0, end_factor=0.0, total_iters=LAST)),
    (
        {"linear": {"start": 0.5, "end": 0.2, "over": 60}},
        make("LinearLR", start_factor=0.5, end_factor=0.2, total_iters=60),
    ),
    ({"warm_up": {"over": 40, "start": 0.2}}, make("LinearLR", start_factor=0.2, total_iters=40)),
    ({"warm_up": {"over": 50, "start": 0.1, "then": "cosine"}}, warm_up),
    ("one_cycle", one_cycle()),
    (
        {"one_cycle": {"rise": 0.5, "first": 10, "final": 100, "anneal": "linear"}},
        one_cycle(pct_start=0.5, div_factor=10, final_div_factor=100, anneal_strategy="linear"),
    ),
]
SCHEDULES = [written for written, _ in CASES]
SEVERAL = [SCHEDULES[0], SCHEDULES[9], SCHEDULES[10]]


def recipe(schedule: Any, **changes: Any) -> Recipe:
    fields = {"module": "NMRU", "schedule": schedule, "learning_rate": RATE, "iterations": LAST}
    return Recipe.model_validate(fields | changes)


def test_every_schedule_is_compared_with_torch() -> None:
    names = [written if isinstance(written, str) else next(iter(written)) for written in SCHEDULES]
    assert set(names) == set(RATE_SCHEDULES)


@pytest.mark.parametrize(("written", "theirs"), CASES)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_rates_are_those_of_torch(written: Any, theirs: Callable[[torch.optim.Optimizer], Any]) -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=RATE)
    scheduler, expected = theirs(optimizer), []
    for iteration in range(LAST + 1):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if iteration < LAST:
            scheduler.step()
    np.testing.assert_allclose(learning_rates(recipe(written), np.arange(LAST + 1)), expected, rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("written", SCHEDULES)
@pytest.mark.parametrize("optimizer", ["adamw", "nadam"])
def test_the_rate_of_an_iteration_does_not_depend_on_those_before(written: Any, optimizer: str) -> None:
    whole = iteration_scalars(recipe(written, optimizer=optimizer), np.arange(LAST + 1))
    part = iteration_scalars(recipe(written, optimizer=optimizer), np.arange(77, 90))
    for name, values in part.items():
        np.testing.assert_array_equal(values, whole[name][77:90], err_msg=name)


@pytest.mark.parametrize("written", SEVERAL)
def test_training_that_is_resumed_is_uninterrupted_training_to_the_bit(written: Any) -> None:
    ours = recipe(written, iterations=60, evaluate_every=10)
    history = trained(ours)
    assert_bit_equal(trained(ours, resumed=True), history)
    assert not np.array_equal(history.final_test_errors, trained(recipe(None, iterations=60)).final_test_errors)


def test_a_network_that_trains_by_itself_follows_the_schedule_and_resumes_to_the_bit() -> None:
    task = DigitTask.model_validate({"operation": "add", "length": 2, "test_length": 3})
    fields = {"module": "NAU", "batch_size": 16, "iterations": 6, "evaluate_every": 2, "schedule": "cosine"}
    check_resuming(Recipe.model_validate(fields), [(task, 0)])


@pytest.mark.compiled
@pytest.mark.slow
def test_compiled_training_is_eager_training_and_goes_on_to_the_bit() -> None:
    for written in SEVERAL:  # they share a program
        ours = recipe(written, iterations=60, evaluate_every=10, precision="float64")
        compiled = trained(ours, compiled=True)
        assert_bit_equal(trained(ours, compiled=True, resumed=True), compiled)
        np.testing.assert_allclose(compiled.final_test_errors, trained(ours).final_test_errors, rtol=1e-9)


def test_fields_at_their_defaults_are_left_out() -> None:
    assert recipe("cosine").schedule == recipe({"cosine": {"end": 0}}).schedule == recipe({"cosine": None}).schedule
    assert recipe("cosine").schedule == "cosine"
    assert recipe({"step": {"every": 30, "factor": 0.1}}) == recipe({"step": {"every": 30}})
    nested = {"warm_up": {"over": 9, "then": {"step": {"every": 5, "factor": 0.1}}}}
    assert recipe(nested) == recipe({"warm_up": {"over": 9, "then": {"step": {"every": 5}}}})
    assert recipe({"warm_up": {"over": 9, "then": "cosine"}}) == recipe(
        {"warm_up": {"over": 9, "then": {"cosine": {}}}}
    )
    assert recipe(None) == Recipe.model_validate({"module": "NMRU", "learning_rate": RATE, "iterations": LAST})
    for written in SCHEDULES:
        read = recipe(written)
        assert Recipe.model_validate(read.model_dump(mode="json", exclude_defaults=True)) == read


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        (5, "found 5, expected a schedule's name, or one name with fields"),
        ({}, "found {}, expected a schedule's name, or one name with fields"),
        ({"cosine": {}, "linear": {}}, "expected a schedule's name, or one name with fields"),
        ("cosin", "found unknown schedule of learning rates 'cosin' (did you mean cosine?), expected one of: cosine"),
        ({"step": {}}, "step.every: found nothing, expected a value"),
        ({"step": {"every": 0}}, "step.every: found 0, expected greater than or equal to 1"),
        (
            {"step": {"evry": 3}},
            "step: found unknown field 'evry' (did you mean every?), expected one of: every, factor",
        ),
        ({"step": 5}, "step: found 5, expected a mapping of fields"),
        ({"steps": {"at": []}}, "steps.at: found [], expected a list of at least 1"),
        ({"decay": {"factor": 2}}, "decay.factor: found 2, expected less than or equal to 1"),
        ({"linear": {"end": -1}}, "linear.end: found -1, expected greater than or equal to 0"),
        ({"one_cycle": {"anneal": "x"}}, "one_cycle.anneal: found 'x', expected 'cos' or 'linear'"),
        ({"warm_up": {"over": 5, "then": "nothing"}}, "found unknown schedule of learning rates 'nothing'"),
        (
            {"warm_up": {"over": 5, "then": {"warm_up": {"over": 2}}}},
            "warm_up.then: found warm_up within warm_up, expected",
        ),
    ],
)
def test_a_wrong_schedule_is_refused_in_one_sentence(written: Any, sentence: str) -> None:
    with pytest.raises(NalmError) as caught:
        valid(Recipe, {"module": "NMRU", "schedule": written})
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
