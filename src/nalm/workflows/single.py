"""Train one module, without storing anything."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import nn

from nalm.errors import NalmError
from nalm.execution.run import check_device
from nalm.experiments.catalog import default_recipe, load_experiment
from nalm.experiments.experiment import Experiment
from nalm.experiments.seeds import LARGEST_SEED
from nalm.spec.document import valid
from nalm.spec.recipe import HIDDEN_SIZE, Recipe
from nalm.spec.task import Task
from nalm.tasks import check_tasks, start_training
from nalm.tasks.digits.task import DigitTask
from nalm.tasks.subsets.task import SubsetTask
from nalm.training.trainer import Trainer

__all__ = ["SingleRun", "one_input_each", "single_run", "single_sequence_run", "train_single"]

SEQUENCE_EXPERIMENTS = {
    "add": "sequential-mnist-sum",
    "mul": "sequential-mnist-product",
    "div": "sequential-mnist-quotient",
}


@dataclass(frozen=True)
class SingleRun:
    """A trained module, whether it solved its task or diverged, and its errors after the last update.

    ``solved`` is None if the success threshold depends on other runs.
    """

    module: nn.Module
    solved: bool | None
    diverged_at: int | None
    validation_error: float
    test_error: float


def single_run(
    module: str,
    operation: str,
    train: Sequence[float] = (1, 2),
    test: Sequence[float] = (2, 6),
    inputs: int = 2,
    seed: int = 0,
    *,
    second: str | None = None,
    hidden_size: int = HIDDEN_SIZE,
    subset_ratio: float | None = None,
    overlap_ratio: float = 0.0,
) -> Experiment:
    """Return an experiment of one run, with the module's usual recipe. By default, each operand is one input.

    Arguments:
        module: name or import path of the module, or of the first layer.
        operation: operation to learn.
        train: lower and upper end of the training range.
        test: lower and upper end of the test range.
        inputs: number of inputs.
        seed: seed of the run.
        second: name or import path of the second layer, if there is one.
        hidden_size: number of values between two layers.
        subset_ratio: share of the inputs that each operand sums.
        overlap_ratio: share of an operand's inputs that the next operand also sums.

    Raises:
        NalmError: the module, the operation or a range is wrong.
    """
    operands = min(2, inputs)
    fields = {
        "operation": operation,
        "train": list(train),
        "test": list(test),
        "input_size": inputs,
        "subset_ratio": one_input_each(inputs) if subset_ratio is None else float(subset_ratio),
        "overlap_ratio": float(overlap_ratio),
        "subsets": operands,
        "hidden_size": hidden_size,
    }
    task = valid(SubsetTask, fields)
    recipe = valid(Recipe, default_recipe(module, second))
    label = module if second is None else recipe.architecture
    return _experiment(label, f"{label} learns {operation}", recipe, task, seed)


def single_sequence_run(
    module: str, operation: str, length: int, test_length: int | None = None, seed: int = 0
) -> Experiment:
    """Return an experiment of one run on sequences of digits, with the catalog's recipe for the module if it has one.

    Arguments:
        module: name of a module or of a cell.
        operation: ``add``, ``mul`` or ``div``.
        length: length of the training sequences.
        test_length: length of the test sequences; by default ten times ``length``.
        seed: seed of the run.

    Raises:
        NalmError: the module, the operation or a length is wrong.
    """
    digits = "0-9" if operation == "add" else "1-9"
    tested = 10 * length if test_length is None else test_length
    fields = {"operation": operation, "length": length, "test_length": tested, "digits": digits}
    task = valid(DigitTask, fields)
    known = load_experiment(SEQUENCE_EXPERIMENTS[operation]).variants.values()
    usual = valid(Recipe, {"module": module, "batch_size": 64, "iterations": 3000, "evaluate_every": 100})
    recipe = next((recipe for recipe in known if recipe.module.name == module), usual)
    return _experiment(module, f"{module} learns {operation} of digits", recipe, task, seed)


def _experiment(label: str, title: str, recipe: Recipe, task: Task, seed: int) -> Experiment:
    """Return an experiment of one run, after checking it."""
    if not 0 <= seed <= LARGEST_SEED:
        raise NalmError(f"found seed {seed}, expected 0 to {LARGEST_SEED}")
    _check(recipe, task)
    return Experiment(name="single", title=title, variants={label: recipe}, tasks={task.label: task}, seeds=(seed,))


def _check(recipe: Recipe, task: Task) -> None:
    try:
        check_tasks(recipe, [task])
    except ValueError as error:
        raise NalmError(str(error)) from None


def one_input_each(inputs: int) -> float:
    """Return the subset ratio for operands of exactly one input, in spite of rounding."""
    return min(1.0, math.nextafter(1 / inputs, 2))


def train_single(
    experiment: Experiment,
    device: str = "cpu",
    compiled: bool = True,
    on_evaluation: Callable[[int, float, float], None] | None = None,
) -> SingleRun:
    """Train the only run of an experiment, and return its module. Nothing is stored.

    Arguments:
        experiment: an experiment with one variant, one task and one seed.
        device: device to train on.
        compiled: whether to compile if possible.
        on_evaluation: called with iteration, validation error and test error.

    Raises:
        NalmError: the run cannot be trained.
    """
    check_device(device)
    ((recipe,), (task,), (seed,)) = experiment.variants.values(), experiment.tasks.values(), experiment.seeds
    _check(recipe, task)
    ensemble = start_training(recipe, [(task, seed)], device, compiled)

    def report(ensemble: Trainer) -> None:
        history = ensemble.history
        if on_evaluation is not None:
            on_evaluation(ensemble.iteration, history.validation_errors[-1].item(), history.test_errors[-1].item())

    history = ensemble.train(report)
    validation, test = (
        [errors.item() for errors in series] for series in (history.validation_errors, history.test_errors)
    )
    threshold = task.success_threshold(recipe)
    return SingleRun(
        ensemble.module(0),
        None if math.isnan(threshold.value) else threshold.solved(validation, test),
        history.diverged_at.item() if history.diverged_at.item() >= 0 else None,
        history.final_validation_errors.item(),
        history.final_test_errors.item(),
    )
