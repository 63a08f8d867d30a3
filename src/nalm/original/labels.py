"""Labels for what has none: recipes and tasks that were read from names of the original's runs."""

import json
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

from nalm.experiments.runs import recipe_fields
from nalm.spec.fields import leaves
from nalm.spec.recipe import Recipe
from nalm.spec.task import Task

__all__ = ["recipe_labels", "task_labels"]


def recipe_labels(recipes: Sequence[Recipe], origins: Sequence[Collection[Path]]) -> list[str]:
    """The names of the files, if each recipe has one of its own; or else the module's name, and what differs.

    Arguments:
        recipes: different recipes.
        origins: the files and folders in which each was found.
    """
    files = [path.stem if path.is_file() else path.name for of_recipe in origins for path in of_recipe]
    if len(files) == len(recipes) > 1 and all(len(of_recipe) == 1 for of_recipe in origins) and _different(files):
        return files
    names = [recipe.module.name for recipe in recipes]
    labels = []
    for name, recipe in zip(names, recipes, strict=True):
        others = [_leaves(known) for known in recipes if known.module.name == name]
        own = _leaves(recipe)
        differing = [
            f"{path.removeprefix('module.').removeprefix('regularizers.')} {own[path]}"
            for path in own
            if path not in ("module", "module.name") and any(other.get(path) != own[path] for other in others)
        ]
        labels.append(", ".join([name, *differing]))
    return labels if _different(labels) else [f"{name} {number}" for number, name in enumerate(names, 1)]


def task_labels(tasks: Sequence[Task]) -> list[str]:
    """The papers' names of the training ranges, with as much beside them as it takes to tell tasks apart."""
    forms = (
        [task.label for task in tasks],
        [f"{task.operation} {task.label}" for task in tasks],
        [f"{task.operation} {task.label} → {task.tested_on}" for task in tasks],
    )
    inputs = [f"{label}, {task.columns} inputs" for label, task in zip(forms[-1], tasks, strict=True)]
    numbered = [f"{label} ({number})" for number, label in enumerate(inputs, 1)]
    return next(labels for labels in (*forms, inputs, numbered) if _different(labels))


def _different(labels: Sequence[str]) -> bool:
    return max(Counter(labels).values(), default=1) == 1


def _leaves(recipe: Recipe) -> dict[str, str]:
    fields = leaves(recipe_fields(recipe))
    return {path: value if isinstance(value, str) else json.dumps(value) for path, value in fields.items()}
