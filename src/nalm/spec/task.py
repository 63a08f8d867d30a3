"""What all tasks have in common, whatever is learnt."""

from abc import abstractmethod
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from pydantic import BaseModel, ConfigDict
from torch import nn

from nalm.spec.recipe import Recipe
from nalm.spec.thresholds import Threshold

if TYPE_CHECKING:
    from nalm.training.ensemble.data import HeldOut
    from nalm.training.trainer import Trainer

__all__ = ["Task"]


class Task(BaseModel):
    """What is to be learnt, from which data, and when it counts as solved.

    A family of tasks is a subclass with fields of its own; the rest of nalm asks a task for what it needs and never
    looks at its family. Every family has the fields ``operation``, ``threshold`` and ``judged_rows`` (among how many of
    a run's last evaluations the best one is looked for).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    if TYPE_CHECKING:  # each family declares these as fields, with its own types and defaults
        operation: str
        threshold: float | str
        judged_rows: int

    tasks_per_shard: ClassVar[int]
    """How many tasks of one group train in one shard, at most."""
    seeds_per_shard: ClassVar[int]
    """How many seeds: block k holds those from k times as many."""
    scales_schedules: ClassVar[bool] = False
    """Whether a change of the number of iterations rescales the ramps of regularizers."""
    on_rows: ClassVar[bool] = False
    """Whether inputs are rows of numbers, drawn for all runs of a shard at once."""

    @classmethod
    @abstractmethod
    def claims(cls, fields: dict[str, Any]) -> bool:
        """Tell whether the fields of an experiment file describe a task of this family."""

    # For people

    @property
    @abstractmethod
    def label(self) -> str:
        """Name of the task, such as its training range."""

    @property
    @abstractmethod
    def trained_on(self) -> str:
        """Training data in words."""

    @property
    @abstractmethod
    def tested_on(self) -> str:
        """Test data in words."""

    axis: ClassVar[str] = "Training range"
    """What labels of tasks name, on the axis of a figure."""

    @property
    @abstractmethod
    def columns(self) -> int:
        """Numbers in a row of inputs, or in a step of a sequence."""

    @property
    def lengths(self) -> tuple[int, int] | None:
        """Training and test length of sequences, if errors can be compared over lengths."""
        return None

    # What identifies it

    @property
    def identity(self) -> dict[str, Any]:
        """Fields that affect training, without those at their defaults; thresholds judge runs and are left out."""
        return self.model_dump(mode="json", exclude_defaults=True, exclude={"threshold", "judged_rows"})

    @property
    @abstractmethod
    def group(self) -> Hashable:
        """What tasks must have in common to train in one shard."""

    # The network

    @abstractmethod
    def build(self, recipe: Recipe) -> nn.Module:
        """Build the module that a recipe trains on this task."""

    def probe(self, recipe: Recipe) -> nn.Module:
        """Build one to look at, without changing torch's random numbers."""
        with torch.random.fork_rng(devices=[]):
            return self.build(recipe)

    @abstractmethod
    def gold_operands(self, seed: int | None = None) -> list[int]:
        """Return the inputs to which gold weights apply the operation, for a run's seed if it moves them.

        Raises:
            ValueError: gold weights are not known for this task.
        """

    # Training

    @abstractmethod
    def check(self, recipe: Recipe) -> None:
        """Check that a recipe can be trained on this task and its runs be judged.

        Raises:
            ValueError: it cannot.
        """

    @abstractmethod
    def trainer(
        self, recipe: Recipe, runs: Sequence[tuple[Self, int]], device: torch.device | str, compiled: bool
    ) -> "Trainer":
        """Prepare the training of a shard.

        Arguments:
            recipe: how the runs are trained.
            runs: task and seed of each; this task is the first.
            device: where they train.
            compiled: whether to compile where that is possible.

        Raises:
            ValueError: the runs cannot train together.
            NalmError: data cannot be read.
        """

    def validation_rows(self, recipe: Recipe, runs: Sequence[tuple[Self, int]]) -> "HeldOut | None":
        """Return the validation data of runs, if it is rows of numbers."""
        return None

    @abstractmethod
    def success_threshold(self, recipe: Recipe) -> Threshold:
        """Return the threshold that decides whether a run of a recipe has solved this task.

        A threshold that depends on other runs is NaN, and no error meets it, until those runs are known.

        Raises:
            NalmError: the module has no gold weights for the operation, or cannot be built.
        """

    # Costs

    @abstractmethod
    def work(self, recipe: Recipe, runs: int) -> int:
        """Return how much a shard of so many runs has to compute, in units that compare within an experiment."""

    @abstractmethod
    def typical_seconds(self, recipe: Recipe, runs: int) -> float:
        """Return the typical seconds of one run's iteration in a shard of so many runs."""
