"""The abstract base class of tasks."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Hashable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

from pydantic import BaseModel, ConfigDict

from nalm.spec.recipe import Recipe
from nalm.spec.thresholds import Threshold

if TYPE_CHECKING:
    import torch
    from torch import nn

    from nalm.training.ensemble.data import HeldOut
    from nalm.training.trainer import Trainer

__all__ = ["Judged", "Task"]


class Judged(NamedTuple):
    """A finished run, as thresholds follow from it.

    Arguments:
        label: label of its task.
        task: its task.
        recipe: its recipe.
        validation_errors: its validation errors.
        test_errors: its test errors.
    """

    label: str
    task: Any
    recipe: Recipe
    validation_errors: Sequence[float]
    test_errors: Sequence[float]


class Task(BaseModel):
    """A learning problem: an operation, training and test data, and the error that counts as solved.

    A family of tasks is a subclass with its own fields. The rest of nalm calls the methods of this class and never
    distinguishes families. Every family has the fields ``operation``, ``threshold`` and ``judged_rows`` (how many of a
    run's last evaluations are searched for the best validation error).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    if TYPE_CHECKING:  # each family declares these as fields, with its own types and defaults
        operation: str
        threshold: float | str
        judged_rows: int

    tasks_per_shard: ClassVar[int]
    """Maximum number of tasks of one group that train in one shard."""
    seeds_per_shard: ClassVar[int]
    """Number of seeds in one shard: block k holds the seeds from ``k * seeds_per_shard`` on."""
    scales_schedules: ClassVar[bool] = False
    """Whether a change of the number of iterations rescales the ramps of regularizers."""
    on_rows: ClassVar[bool] = False
    """Whether inputs are rows of numbers, sampled for all runs of a shard at once."""

    @classmethod
    @abstractmethod
    def claims(cls, fields: dict[str, Any]) -> bool:
        """Tell whether the fields of an experiment file describe a task of this family."""

    # Description

    @property
    @abstractmethod
    def label(self) -> str:
        """Return the name of the task, such as its training range."""

    @property
    @abstractmethod
    def trained_on(self) -> str:
        """Describe the training data in words."""

    @property
    @abstractmethod
    def tested_on(self) -> str:
        """Describe the test data in words."""

    axis: ClassVar[str] = "Training range"
    """Title of a figure's axis that shows the labels of tasks."""

    @property
    @abstractmethod
    def columns(self) -> int:
        """Return how many numbers a row of inputs, or a step of a sequence, has."""

    @property
    def lengths(self) -> tuple[int, int] | None:
        """Return the training and test length of sequences, or None if errors cannot be compared over lengths."""
        return None

    # Identity

    @property
    def identity(self) -> dict[str, Any]:
        """Return the fields that affect training. Fields at their defaults and thresholds are left out."""
        return self.model_dump(mode="json", exclude_defaults=True, exclude={"threshold", "judged_rows"})

    @property
    @abstractmethod
    def group(self) -> Hashable:
        """Return a key that is equal for tasks that can train in one shard."""

    # The network

    @abstractmethod
    def build(self, recipe: Recipe) -> nn.Module:
        """Build the network that a recipe trains on this task."""

    def probe(self, recipe: Recipe) -> nn.Module:
        """Build the network for inspection, without advancing torch's random generator."""
        import torch

        with torch.random.fork_rng(devices=[]):
            return self.build(recipe)

    @abstractmethod
    def gold_operands(self, seed: int | None = None) -> list[int]:
        """Return the inputs to which gold weights apply the operation.

        Arguments:
            seed: the run's seed, if the inputs depend on it.

        Raises:
            ValueError: gold weights are not known for this task.
        """

    # Training

    @abstractmethod
    def check(self, recipe: Recipe) -> None:
        """Check that a recipe can be trained on this task, and that its runs can be judged.

        Raises:
            ValueError: one of these is impossible.
        """

    @abstractmethod
    def trainer(
        self, recipe: Recipe, runs: Sequence[tuple[Self, int]], device: torch.device | str, compiled: bool
    ) -> Trainer:
        """Prepare the training of a shard.

        Arguments:
            recipe: the recipe of all runs.
            runs: task and seed of each run; the first task is this one.
            device: the device to train on.
            compiled: whether to compile where possible.

        Raises:
            ValueError: the runs cannot train together.
            NalmError: data cannot be read.
        """

    def validation_rows(self, recipe: Recipe, runs: Sequence[tuple[Self, int]]) -> HeldOut | None:
        """Return the validation data of runs, or None if it is not rows of numbers."""
        return None

    @abstractmethod
    def success_threshold(self, recipe: Recipe) -> Threshold:
        """Return the threshold that decides whether a run of a recipe has solved this task.

        A threshold that depends on reference runs is NaN until those exist; until then no error meets it.

        Raises:
            NalmError: the module has no gold weights for the operation, or cannot be built.
        """

    @classmethod
    def reference_thresholds(cls, runs: Iterable[Judged]) -> dict[str, Threshold]:
        """Return thresholds that follow from finished runs, by the labels of the tasks that have such; mostly none.

        Arguments:
            runs: the finished runs of an experiment on tasks of this family.
        """
        return {}

    # Costs

    @abstractmethod
    def work(self, recipe: Recipe, runs: int) -> int:
        """Return the cost of a shard with ``runs`` runs, in units that are comparable within an experiment."""

    @abstractmethod
    def typical_seconds(self, recipe: Recipe, runs: int) -> float:
        """Return the typical time of one iteration of one run, in seconds, in a shard with ``runs`` runs."""
