"""Runs and shards, their keys, and the runs of an experiment."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from nalm.experiments.experiment import Experiment
from nalm.spec.recipe import Recipe
from nalm.spec.task import Task
from nalm.spec.thresholds import JUDGED_ROWS, Threshold

__all__ = ["Run", "Shard", "recipe_fields", "runs_of", "shard_name"]


def recipe_fields(recipe: Recipe) -> dict[str, Any]:
    """Return the fields that identify a recipe.

    Fields at their defaults are left out, so that a field added later does not change the keys of old runs. For the
    same reason the default of a field must never change.
    """
    return recipe.model_dump(mode="json", exclude_defaults=True)


@dataclass(frozen=True)
class Run:
    """One training: recipe × task × seed."""

    recipe: Recipe
    task: Task
    seed: int

    @cached_property
    def key(self) -> str:
        """Return the hash of everything that affects training.

        It excludes labels, and thresholds unless early stopping uses them.
        """
        fields = {"recipe": recipe_fields(self.recipe), "task": self.task.identity, "seed": self.seed}
        if self.recipe.stop_when_solved:
            fields["threshold"] = self.task.threshold
            if self.task.judged_rows != JUDGED_ROWS:
                fields["judged_rows"] = self.task.judged_rows
        return _hash(fields)

    @property
    def threshold(self) -> Threshold:
        """Return the threshold that decides whether the run has solved its task.

        Raises:
            NalmError: the module has no gold weights for the operation, or cannot be built.
        """
        return self.task.success_threshold(self.recipe)


def shard_name(keys: Sequence[str]) -> str:
    """Return the name of the shard of the runs with these keys."""
    return _hash(keys)


@dataclass(frozen=True, eq=False)
class Shard:
    """Runs of one recipe that train together."""

    recipe: Recipe
    runs: tuple[Run, ...]

    @cached_property
    def name(self) -> str:
        """Return the hash of the keys of its runs."""
        return shard_name([run.key for run in self.runs])

    @property
    def work(self) -> int:
        """Return the cost of the shard, in units that are comparable within an experiment."""
        return self.runs[0].task.work(self.recipe, len(self.runs))


def runs_of(experiment: Experiment) -> Iterator[tuple[str, str, Run]]:
    """Yield every run of an experiment with the labels of its variant and task, in the experiment's order."""
    for variant, recipe in experiment.variants.items():
        for label, task in experiment.tasks.items():
            for seed in experiment.seeds:
                yield variant, label, Run(recipe, task, seed)


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:32]
