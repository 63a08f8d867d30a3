"""The abstract base class of tasks on sequences, which a recurrent network learns by itself."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

from nalm.modules.names import CELLS
from nalm.spec.recipe import PARAMETER_NORMS, Recipe
from nalm.spec.task import Task
from nalm.spec.thresholds import Threshold

if TYPE_CHECKING:
    import torch
    from torch import nn

    from nalm.training.recurrent import Data, RecurrentNetwork
    from nalm.training.single import SingleTraining

__all__ = ["RecurrentTask", "check_cell", "check_noise"]

INAPPLICABLE = ("reinitialize", "stop_when_solved")
"""Fields of recipes that do not apply to networks that train by themselves."""
SECONDS_PER_STEP = 0.25e-3
"""Typical time to train on one step of a whole batch of sequences, on one core of 2026."""


class RecurrentTask(Task):
    """A task on sequences, which a recurrent network learns by itself.

    Tasks that differ only in their test data, their threshold or ``judged_rows`` share one network.
    """

    tasks_per_shard: ClassVar[int] = 2**31
    seeds_per_shard: ClassVar[int] = 1
    axis: ClassVar[str] = "Task"
    learnt_from: ClassVar[str]
    """Name of the sequences in error messages."""

    @property
    @abstractmethod
    def training(self) -> Self:
        """Return the task with default test data and thresholds: the part that decides the network."""

    @property
    @abstractmethod
    def limit(self) -> float:
        """Return the threshold that the test error must be below, or NaN if it depends on reference runs."""

    @property
    @abstractmethod
    def module_inputs(self) -> int:
        """Return the number of inputs of the module, states included."""

    @property
    @abstractmethod
    def steps_per_sequence(self) -> int:
        """Return the number of steps in a training sequence."""

    @property
    @abstractmethod
    def numbers_per_step(self) -> int:
        """Return how many numbers a step reads, as a measure of its cost."""

    @abstractmethod
    def network(self, recipe: Recipe) -> RecurrentNetwork:
        """Build the network around the recipe's module."""

    @abstractmethod
    def data(self, tasks: Sequence[Any], seed: int, recipe: Recipe, device: torch.device) -> Data:
        """Prepare the data of a seed, with the test data of all tasks that share the network."""

    @abstractmethod
    def check_network(self, recipe: Recipe) -> None:
        """Check that the recipe's module fits into the network.

        Raises:
            ValueError: it does not.
        """

    @property
    def group(self) -> Hashable:
        """Return the part of the task that decides the network."""
        return self.training

    def build(self, recipe: Recipe) -> nn.Module:
        """Build the module of the network."""
        return recipe.build(self.module_inputs)

    def gold_operands(self, seed: int | None = None) -> list[int]:
        """Return the inputs to which gold weights apply the operation, in families that know them.

        Raises:
            ValueError: gold weights are not known for this family.
        """
        raise ValueError(f"found {self.learnt_from}, expected a task on rows of numbers for gold weights")

    def check(self, recipe: Recipe) -> None:
        """Check that the recipe's network can be trained on this task.

        Raises:
            ValueError: it cannot.
        """
        for field in INAPPLICABLE:
            if getattr(recipe, field):
                raise ValueError(f"found {field} with {self.learnt_from}, expected none")
        self.check_network(recipe)

    def trainer(
        self, recipe: Recipe, runs: Sequence[tuple[Self, int]], device: torch.device | str, compiled: bool
    ) -> SingleTraining:
        """Prepare the training of the network that all runs share.

        Raises:
            ValueError: the runs differ in more than their tests.
            NalmError: the data cannot be read.
        """
        import torch

        from nalm.training.single import SingleTraining

        if len({(task.group, seed) for task, seed in runs}) > 1:
            raise ValueError(
                "runs that share a network must have the same seed, and tasks that differ in their tests only"
            )
        tasks, (seed, *_) = zip(*runs, strict=True)
        data = self.data(tasks, seed, recipe, torch.device(device))
        return SingleTraining(recipe, lambda: self.network(recipe), data, len(runs), seed, device)

    def success_threshold(self, recipe: Recipe) -> Threshold:
        """Return the threshold; it is NaN, which no error meets, if it depends on reference runs."""
        return Threshold(self.limit, inclusive=False, rows=self.judged_rows)

    def work(self, recipe: Recipe, runs: int) -> int:
        """Return how many numbers the network reads in training; all runs share the network."""
        return (recipe.iterations + 1) * recipe.batch_size * self.steps_per_sequence * self.numbers_per_step

    def typical_seconds(self, recipe: Recipe, runs: int) -> float:
        """Return the typical time of one run's share of an iteration, in seconds."""
        return SECONDS_PER_STEP * self.steps_per_sequence / runs


def check_cell(recipe: Recipe, task: RecurrentTask) -> None:
    """Check that a recipe's module can be used as a cell with one state.

    Raises:
        ValueError: it cannot.
    """
    if recipe.second is not None:
        raise ValueError(f"found second with {task.learnt_from}, expected none")
    name = recipe.module.name
    if name == "Accumulator":
        operation = recipe.module.options.get("operation", "add")
        if operation != task.operation:
            raise ValueError(f"found an Accumulator that computes {operation}, expected {task.operation}")
        if recipe.regularizers:
            raise ValueError("found regularizers of an Accumulator, which has no parameters, expected none")
        task.build(recipe)
    elif name in CELLS:
        recipe.check_terms(PARAMETER_NORMS)
    else:
        recipe.check(task.module_inputs)
        check_noise(name, task.probe(recipe), task)
    if recipe.init:
        recipe.check_starts(task.probe(recipe))


def check_noise(name: str, module: nn.Module, task: RecurrentTask) -> None:
    """Check that a module has no noise, because it would be drawn anew at every step of a sequence.

    Raises:
        ValueError: the module has noise.
    """
    import torch

    from nalm.modules.base import ArithmeticModule

    if isinstance(module, ArithmeticModule) and module.noise_shape(torch.Size((1, task.module_inputs))) is not None:
        raise ValueError(f"found {name} with noise, expected a module without any for {task.learnt_from}")
