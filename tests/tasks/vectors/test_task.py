import numpy as np
import pytest
import torch
from pydantic import ValidationError

from nalm.spec.ranges import Interval
from nalm.tasks import family_of
from nalm.tasks.subsets.task import SubsetTask
from nalm.tasks.vectors.data import vector_sequences
from nalm.tasks.vectors.task import VectorTask
from nalm.tasks.vectors.thresholds import perturbed_sequence_error

EPSILON = 1e-5


def _task(**fields: object) -> VectorTask:
    ten = {"input_size": 10, "subset_ratio": 0.25, "overlap_ratio": 0.5}
    common = {"operation": "mul", "train": [1, 2], "test": [1, 2], "steps": 10, "test_steps": 1000}
    return VectorTask.model_validate(ten | common | fields)


def test_operands_are_sums_over_slices_of_all_vectors_of_a_sequence() -> None:
    made = vector_sequences(Interval(intervals=((1, 2),)), np.random.RandomState(3), 4, 7, 10)
    drawn = 1 + np.random.RandomState(3).random_sample((4, 7, 10))
    assert np.array_equal(made.vectors.numpy(), drawn)
    first, second = drawn[:, :, 5:7].sum((1, 2)), drawn[:, :, 6:8].sum((1, 2))
    for operation, expected in (("mul", first * second), ("add", first + second)):
        # Sums in another order.
        assert made.targets(_task(operation=operation), 5).numpy() == pytest.approx(expected, rel=1e-12)


def test_a_perturbed_network_is_one_whose_weights_are_off_at_every_step() -> None:
    task = _task(test_steps=5, operation="add")
    made = vector_sequences(task.test, np.random.RandomState(0), 2_048, 5, 10)
    weight = torch.full((2, 10), EPSILON, dtype=torch.float64)
    weight[0, 0:2] = weight[1, 1:3] = 1 - EPSILON
    kept = torch.tensor([[1 - EPSILON, EPSILON], [EPSILON, 1 - EPSILON]], dtype=torch.float64)
    state = torch.zeros(2_048, 2, dtype=torch.float64)
    for vectors in made.vectors.unbind(1):
        state = vectors @ weight.T + state @ kept.T
    expected = ((state.sum(1) - made.targets(task, 0)) ** 2).mean().item()
    assert perturbed_sequence_error(task) == pytest.approx(expected, rel=1e-9)
    assert task.limit == perturbed_sequence_error(task)
    assert _task(threshold=0.5).limit == 0.5


def test_one_step_without_states_is_what_thresholds_of_two_layers_are_but_for_the_length_of_slices() -> None:
    task = _task(test_steps=1, operation="add")
    made = vector_sequences(task.test, np.random.RandomState(0), 2_048, 1, 10)
    x = made.vectors[:, 0]
    off = 2 * EPSILON * (x.sum(1)) - 2 * EPSILON * (x[:, 0:2].sum(1) + x[:, 1:3].sum(1))
    assert perturbed_sequence_error(task) == pytest.approx((off**2).mean().item(), rel=1e-6)


def test_an_error_that_is_not_finite_is_no_threshold() -> None:
    with pytest.raises(ValueError, match="threshold perturbed needs finite errors, found nan"):
        perturbed_sequence_error(_task(operation="root", train=[-2, -1], test=[-2, -1], test_steps=2))


def test_tasks_with_steps_are_on_vectors() -> None:
    fields = _task().model_dump(mode="json", exclude_defaults=True)
    assert family_of(fields) is VectorTask
    assert VectorTask.model_validate(fields) == _task()
    assert family_of({"operation": "mul"}) is SubsetTask
    assert _task().module_inputs == 12


def test_tasks_that_are_tested_otherwise_are_learnt_by_one_network() -> None:
    assert _task(test_steps=5, test=[2, 6], threshold=1.0, judged_rows=3).training == _task().training
    assert _task(steps=9).training != _task().training
    assert _task(operation="add").training != _task().training


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"steps": 0}, "greater than or equal to 1"),
        ({"subset_ratio": 0.05}, "found subsets of 0 inputs"),
        ({"threshold": "gold"}, "Input should be 'perturbed'"),
    ],
)
def test_what_makes_no_sense_is_refused(fields: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        _task(**fields)
    with pytest.raises(ValueError, match="found sequences of vectors, expected a task on rows of numbers"):
        _task().gold_operands()
