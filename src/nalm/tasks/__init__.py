"""Families of tasks: what is learnt, from which data, and what trains it.

A family is one folder, whose ``task.py`` has a subclass of :class:`nalm.spec.task.Task`, and one line here.
"""

import sys
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import torch

from nalm.registry import Registry
from nalm.spec.recipe import Recipe
from nalm.spec.task import Task
from nalm.training.trainer import Trainer

__all__ = ["FAMILIES", "check_tasks", "family_of", "parse_task", "start_training"]

DEFAULT = "subsets"

FAMILIES: Registry[type[Task]] = Registry(
    "family of tasks",
    "tasks",
    {
        "words": "nalm.tasks.words.task:WordTask",
        "digits": "nalm.tasks.digits.task:DigitTask",
        "vectors": "nalm.tasks.vectors.task:VectorTask",
        DEFAULT: "nalm.tasks.subsets.task:SubsetTask",
    },
    example="mypackage.mytasks.task:MyTask",
)
"""Every family; fields belong to the first that claims them, and to the default if none does."""


def family_of(fields: Any) -> type[Task]:
    """Return the family that the fields of an experiment file belong to."""
    others = _other_families(tuple(sys.path)) if isinstance(fields, dict) else []
    return next((family for family in others if family.claims(fields)), FAMILIES[DEFAULT])


@lru_cache(maxsize=1)
def _other_families(path: tuple[str, ...]) -> list[type[Task]]:
    """Return every family but the default; looked up once per ``sys.path``, since every task of a file asks."""
    return [FAMILIES[name] for name in FAMILIES.names() if name != DEFAULT]


def parse_task(fields: dict[str, Any], context: Any = None) -> Task:
    """Return the task that fields describe.

    Raises:
        pydantic.ValidationError: a field is unknown or has a wrong value.
    """
    return family_of(fields).model_validate(fields, context=context)


def check_tasks(recipe: Recipe, tasks: Iterable[Task]) -> None:
    """Check that a recipe can be trained on tasks, and its runs be judged.

    Raises:
        ValueError: it cannot.
    """
    for task in tasks:
        task.check(recipe)


def start_training(
    recipe: Recipe, runs: Sequence[tuple[Task, int]], device: torch.device | str = "cpu", compiled: bool = True
) -> Trainer:
    """Prepare the training of a shard, by whatever its tasks are trained by.

    Raises:
        ValueError: the runs cannot train together.
    """
    if len({type(task) for task, _ in runs}) > 1:
        raise ValueError("runs that train together must be of one family of tasks")
    return runs[0][0].trainer(recipe, runs, device, compiled)
