"""Make up labels for recipes and tasks that were read from the original's names of runs."""

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
    """Return a label for each recipe: the name of its file if each has its own, else its module and what differs.

    Arguments:
        recipes: different recipes.
        origins: the files and folders in which each was found.
    """
    files = [path.stem if path.is_file() else path.name for paths in origins for path in paths]
    if len(files) == len(recipes) > 1 and all(len(paths) == 1 for paths in origins) and _are_different(files):
        return files
    names = [recipe.module.name for recipe in recipes]
    labels = []
    for name, recipe in zip(names, recipes, strict=True):
        others = [_texts(known) for known in recipes if known.module.name == name]
        own = _texts(recipe)
        differing = [
            f"{path.removeprefix('module.').removeprefix('regularizers.')} {own[path]}"
            for path in own
            if path not in ("module", "module.name") and any(other.get(path) != own[path] for other in others)
        ]
        labels.append(", ".join([name, *differing]))
    return labels if _are_different(labels) else [f"{name} {number}" for number, name in enumerate(names, 1)]


def task_labels(tasks: Sequence[Task]) -> list[str]:
    """Return a label for each task: the papers' name of its training range, and what it takes to tell tasks apart."""
    forms = (
        [task.label for task in tasks],
        [f"{task.operation} {task.label}" for task in tasks],
        [f"{task.operation} {task.label} → {task.tested_on}" for task in tasks],
    )
    inputs = [f"{label}, {task.columns} inputs" for label, task in zip(forms[-1], tasks, strict=True)]
    numbered = [f"{label} ({number})" for number, label in enumerate(inputs, 1)]
    return next(labels for labels in (*forms, inputs, numbered) if _are_different(labels))


def _are_different(labels: Sequence[str]) -> bool:
    return max(Counter(labels).values(), default=1) == 1


def _texts(recipe: Recipe) -> dict[str, str]:
    fields = leaves(recipe_fields(recipe))
    return {path: value if isinstance(value, str) else json.dumps(value) for path, value in fields.items()}
