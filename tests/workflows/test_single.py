"""One module trained ad hoc."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import nalm
from nalm.errors import NalmError
from nalm.experiments.catalog import default_recipe
from nalm.experiments.experiment import Experiment
from nalm.modules import NMRU, NRU
from nalm.spec.recipe import Recipe
from nalm.tasks.subsets.task import SubsetTask

SHORT = {"iterations": 20, "evaluate_every": 10}
Rows = Callable[[float, float], tuple[torch.Tensor, torch.Tensor]]


def single(module: str, **changes: Any) -> Experiment:
    return nalm.single_run(module, "div").changed(SHORT | changes)


def test_a_single_run_has_the_modules_usual_recipe() -> None:
    experiment = nalm.single_run("NMRU", "div", (1, 2), (2, 6), 2, 7)
    (recipe,) = experiment.variants.values()
    assert experiment.runs == 1
    assert experiment.seeds == (7,)
    assert recipe == Recipe.model_validate(default_recipe("NMRU"))


@pytest.mark.parametrize("inputs", range(1, 12))
def test_every_operand_is_one_input(inputs: int) -> None:
    operation = "div" if inputs > 1 else "reciprocal"
    (task,) = nalm.single_run("NMRU", operation, inputs=inputs).tasks.values()
    assert isinstance(task, SubsetTask)
    assert [end - start for start, end in task.slices(0)] == [1] * min(2, inputs)


def test_the_trained_module_has_the_errors_that_are_returned(test_rows: Rows) -> None:
    trained = nalm.train_single(single("NMRU"), compiled=False)
    x, target = test_rows(2, 6)
    assert isinstance(trained.module, NMRU)
    assert not trained.module.training
    with torch.no_grad():
        error = ((trained.module(x) - target) ** 2).mean().item()
    assert error == pytest.approx(trained.test_error, rel=1e-4)  # sums of 10,000 float32 numbers


def test_a_module_that_has_learnt_to_divide_is_told_apart() -> None:
    nru = nalm.train_single(single("NRU"), compiled=False)
    nmru = nalm.train_single(single("NMRU"), compiled=False)
    assert (nru.solved, nmru.solved) == (True, False)
    assert isinstance(nru.module, NRU)
    assert nru.module.weight.tolist() == [[1, -1]]
    assert nru.test_error < 1e-5 < nmru.test_error


def test_a_single_run_is_the_same_run_as_in_an_experiment(results: Path) -> None:
    trained = nalm.train_single(single("NMRU"), compiled=False)
    row = nalm.load(results).run("NMRU", "U[1,2)", 0)
    assert trained.test_error == pytest.approx(row.final_test_error, rel=1e-6)
    assert trained.validation_error == pytest.approx(row.final_validation_error, rel=1e-6)


def test_evaluations_are_told_as_they_are_made() -> None:
    told: list[tuple[int, float, float]] = []
    trained = nalm.train_single(single("NMRU"), compiled=False, on_evaluation=lambda *errors: told.append(errors))
    assert [iteration for iteration, *_ in told] == [0, 10, 20]
    assert told[0][2] > told[-1][2] > trained.test_error


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("MAU", "div"), "module: found unknown module 'MAU', expected one of: Linear, ReLU"),
        (("NMRU", "divide"), "operation: found unknown operation 'divide', expected one of: add, "),
        (("NMRU", "div", (2, 1)), "train: the range [2, 1] is empty, expected low < high"),
        (("NMRU", "div", (1, 2), (2, 2)), "test: the range [2, 2] is empty, expected low < high"),
        (("NMRU", "div", (1, 2), (2, 6), 1), "div needs 2 subsets, found 1"),
        (("NMRU", "div", (1, 2), (2, 6), 2, -1), "found seed"),
        (("NMRU", "div", (1, 2), (2, 6), 2, 2**32), "found seed"),
    ],
)
def test_wrong_input_is_refused(arguments: tuple[Any, ...], sentence: str) -> None:
    with pytest.raises(NalmError) as error:
        nalm.single_run(*arguments)
    assert str(error.value).startswith(sentence)


def test_an_unknown_device_is_refused() -> None:
    with pytest.raises(NalmError, match=r"^found device 'warp', expected one that torch can use here, such as cpu"):
        nalm.train_single(single("NMRU"), device="warp")
