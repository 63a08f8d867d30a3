"""Families of tasks.

A family is one folder, whose ``task.py`` has a subclass of :class:`nalm.spec.task.Task`, and one line here.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from nalm.log import warn_once
from nalm.registry import Registry
from nalm.remember import remembered
from nalm.spec.recipe import Recipe
from nalm.spec.task import Task
from nalm.training.trainer import Trainer

if TYPE_CHECKING:
    import torch

__all__ = ["FAMILIES", "check_tasks", "family_of", "parse_task", "start_training"]

DEFAULT = "subsets"
"""The family of fields that no other family claims."""


def _check(path: str, found: Any) -> None:
    if not (isinstance(found, type) and issubclass(found, Task)):
        raise ValueError(f"found {type(found).__name__} at {path}, expected a subclass of nalm.spec.task.Task")


FAMILIES: Registry[type[Task]] = Registry(
    "family of tasks",
    "tasks",
    {
        "words": "nalm.tasks.words.task:WordTask",
        "digits": "nalm.tasks.digits.task:DigitTask",
        "vectors": "nalm.tasks.vectors.task:VectorTask",
        DEFAULT: "nalm.tasks.subsets.task:SubsetTask",
    },
    check=_check,
)
"""Families by name. Fields belong to the first family that claims them, or to the default if none does."""


def family_of(fields: Any) -> type[Task]:
    """Return the family that the fields of an experiment file belong to."""
    families = _claiming_families(tuple(sys.path)) if isinstance(fields, dict) else []
    return next((family for family in families if family.claims(fields)), FAMILIES[DEFAULT])


@lru_cache(maxsize=1)
def _claiming_families(path: tuple[str, ...]) -> list[type[Task]]:
    """Return all families except the default, cached per ``sys.path`` because it is needed for every task."""
    families = []
    for name in FAMILIES.names():
        try:
            families.append(FAMILIES[name])
        except ValueError as error:  # a package that is broken must not break the experiments of others
            warn_once(f"{error}; its tasks are unknown")
    return [family for family in families if family is not FAMILIES[DEFAULT]]


def parse_task(fields: dict[str, Any], context: Any = None) -> Task:
    """Return the task that the fields of an experiment file describe.

    Raises:
        pydantic.ValidationError: a field is unknown or has a wrong value.
    """
    return family_of(fields).model_validate(fields, context=context)


def check_tasks(recipe: Recipe, tasks: Iterable[Task]) -> None:
    """Check that a recipe can be trained on all tasks, and that its runs can be judged.

    Raises:
        ValueError: it cannot be trained on one of them, or its runs cannot be judged.
    """
    fields = recipe.model_dump_json()
    for task in tasks:

        def checked(task: Task = task) -> bool:
            task.check(recipe)
            return True

        remembered("trained on", f"{type(task).__name__} {task.model_dump_json()} by {fields}", checked)


def start_training(
    recipe: Recipe, runs: Sequence[tuple[Task, int]], device: torch.device | str = "cpu", compiled: bool = True
) -> Trainer:
    """Prepare the training of a shard with the trainer of its tasks' family.

    Arguments:
        recipe: the recipe of all runs.
        runs: task and seed of each run.
        device: the device to train on.
        compiled: whether to compile where possible.

    Raises:
        ValueError: the runs cannot train together.
    """
    if len({type(task) for task, _ in runs}) > 1:
        raise ValueError("runs that train together must be of one family of tasks")
    return runs[0][0].trainer(recipe, runs, device, compiled)
