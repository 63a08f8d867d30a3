"""Tasks on sequences, which one recurrent network learns by itself, whatever the sequences are of."""

from abc import abstractmethod
from collections.abc import Hashable, Sequence
from typing import Any, ClassVar, Self

import torch
from torch import nn

from nalm.modules.base import ArithmeticModule
from nalm.modules.cells import CELLS, Accumulator
from nalm.spec.recipe import PARAMETER_NORMS, Recipe
from nalm.spec.task import Task
from nalm.spec.thresholds import Threshold
from nalm.training.recurrent import Data, RecurrentNetwork
from nalm.training.single import SingleTraining

__all__ = ["RecurrentTask", "check_cell", "check_noise"]

INAPPLICABLE = ("reinitialize", "stop_when_solved")
"""Fields of recipes that do not apply to networks which train by themselves."""
SECONDS_PER_STEP = 0.25e-3
"""Typical time to learn from one step of a whole batch of sequences, on a core of 2026."""


class RecurrentTask(Task):
    """Learns from sequences, with a recurrent network that trains by itself.

    Tasks that differ only in their tests and in how they are judged share one network.
    """

    tasks_per_shard: ClassVar[int] = 2**31
    seeds_per_shard: ClassVar[int] = 1
    axis: ClassVar[str] = "Task"
    learnt_from: ClassVar[str]
    """What the sequences are, in words."""

    @property
    @abstractmethod
    def training(self) -> Self:
        """The task without its test and its threshold: what decides the network."""

    @property
    @abstractmethod
    def limit(self) -> float:
        """The test error must be below this; NaN if the threshold depends on other runs."""

    @property
    @abstractmethod
    def module_inputs(self) -> int:
        """Inputs of the module, states included."""

    @property
    @abstractmethod
    def steps_per_sequence(self) -> int:
        """Steps of a training sequence."""

    @property
    @abstractmethod
    def numbers_per_step(self) -> int:
        """Numbers that a step reads: its cost compared with others'."""

    @abstractmethod
    def network(self, recipe: Recipe) -> RecurrentNetwork:
        """Build the network around the recipe's module."""

    @abstractmethod
    def data(self, tasks: Sequence[Any], seed: int, recipe: Recipe, device: torch.device) -> Data:
        """Prepare the data of a seed, with the tests of all tasks that share the network."""

    @abstractmethod
    def check_network(self, recipe: Recipe) -> None:
        """Check that the recipe's module fits into the network.

        Raises:
            ValueError: it does not.
        """

    @property
    def group(self) -> Hashable:
        """What decides the network."""
        return self.training

    def build(self, recipe: Recipe) -> nn.Module:
        """Build the module of the network."""
        return recipe.build(self.module_inputs)

    def gold_operands(self, seed: int | None = None) -> list[int]:
        """Return the inputs to which gold weights apply the operation, if they are known.

        Raises:
            ValueError: they are not.
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
        if len({(task.group, seed) for task, seed in runs}) > 1:
            raise ValueError(
                "runs that share a network must have the same seed, and tasks that differ in their tests only"
            )
        tasks, (seed, *_) = zip(*runs, strict=True)
        data = self.data(tasks, seed, recipe, torch.device(device))
        return SingleTraining(recipe, lambda: self.network(recipe), data, len(runs), seed, device)

    def success_threshold(self, recipe: Recipe) -> Threshold:
        """Return the threshold; NaN, which no error meets, if it depends on other runs."""
        return Threshold(self.limit, inclusive=False, rows=self.judged_rows)

    def work(self, recipe: Recipe, runs: int) -> int:
        """Return the numbers that the network reads; all runs share it."""
        return (recipe.iterations + 1) * recipe.batch_size * self.steps_per_sequence * self.numbers_per_step

    def typical_seconds(self, recipe: Recipe, runs: int) -> float:
        """Return the seconds of one run's share of an iteration."""
        return SECONDS_PER_STEP * self.steps_per_sequence / runs


def check_cell(recipe: Recipe, task: RecurrentTask) -> None:
    """Check that a recipe's module can be a cell that has inputs and one state.

    Raises:
        ValueError: it cannot.
    """
    if recipe.second is not None:
        raise ValueError(f"found second with {task.learnt_from}, expected none")
    name = recipe.module.name
    if name == Accumulator.__name__:
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


def check_noise(name: str, module: nn.Module, task: RecurrentTask) -> None:
    """Check that a module draws no noise, which would be other noise at every step.

    Raises:
        ValueError: it does.
    """
    if isinstance(module, ArithmeticModule) and module.noise_shape(torch.Size((1, task.module_inputs))) is not None:
        raise ValueError(f"found {name} with noise, expected a module without any for {task.learnt_from}")
