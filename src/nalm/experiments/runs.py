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

__all__ = ["Run", "Shard", "key_of", "recipe_fields", "runs_of", "shard_name"]


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
        before, after = _texts_around_seed(self.recipe, self.task)
        return _hashed(f"{before}{self.seed}{after}")

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


def key_of(recipe: str, task: str, seed: int) -> str:
    """Return the key of a run without early stopping, from its stored fields.

    Arguments:
        recipe: the fields that identify its recipe, as JSON with sorted keys.
        task: the identity of its task, likewise.
        seed: its seed.
    """
    return _hashed(f'{{"recipe": {recipe}, "seed": {seed}, "task": {task}}}')


_TEXTS: dict[tuple[int, int], tuple[Recipe, Task, tuple[str, str]]] = {}
"""Texts by the identities of recipe and task, which live as long as their texts."""
MOST_TEXTS = 10_000


def _texts_around_seed(recipe: Recipe, task: Task) -> tuple[str, str]:
    """Return the text that a run's key is the hash of, before and after its seed: thousands of runs share it."""
    identities = (id(recipe), id(task))
    if identities not in _TEXTS:
        if len(_TEXTS) >= MOST_TEXTS:
            _TEXTS.clear()
        _TEXTS[identities] = (recipe, task, _key_texts(recipe, task))
    return _TEXTS[identities][2]


def _key_texts(recipe: Recipe, task: Task) -> tuple[str, str]:
    before: dict[str, Any] = {"recipe": recipe_fields(recipe)}
    after: dict[str, Any] = {"task": task.identity}
    if recipe.stop_when_solved:
        after["threshold"] = task.threshold
        if task.judged_rows != JUDGED_ROWS:
            before["judged_rows"] = task.judged_rows
    first, last = (json.dumps(fields, sort_keys=True) for fields in (before, after))
    return f'{first[:-1]}, "seed": ', f", {last[1:]}"


def runs_of(experiment: Experiment) -> Iterator[tuple[str, str, Run]]:
    """Yield every run of an experiment with the labels of its variant and task, in the experiment's order."""
    for variant, recipe in experiment.variants.items():
        for label, task in experiment.tasks.items():
            for seed in experiment.seeds:
                yield variant, label, Run(recipe, task, seed)


def _hash(value: Any) -> str:
    return _hashed(json.dumps(value, sort_keys=True))


def _hashed(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
