"""Match runs of the original research code with the variants and tasks of an experiment."""

import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from nalm.errors import NalmError
from nalm.experiments.experiment import Experiment
from nalm.experiments.runs import Run
from nalm.original.files import Series
from nalm.original.labels import recipe_labels, task_labels
from nalm.original.write_names import named_recipe, named_task
from nalm.spec.recipe import Recipe
from nalm.spec.task import Task

__all__ = ["Labels", "Match", "NamedSeries", "labels_for", "labels_of", "last_evaluation", "matched_experiment"]


class NamedSeries(NamedTuple):
    """Evaluations of a run, and the run that its name describes, with defaults for what the name does not tell."""

    run: Run
    series: Series


class Match(NamedTuple):
    """Evaluations of a run, and its place in an experiment."""

    variant: str
    task: str
    seed: int
    series: Series


class Labels(NamedTuple):
    """Labels, with the recipes and tasks that have them, by what the original's names tell of these."""

    variants: dict[str, tuple[str, Recipe]]
    tasks: dict[str, tuple[str, Task]]

    def matches(self, runs: Sequence[NamedSeries]) -> list[Match]:
        """Return the runs that are of the labelled recipes and tasks."""
        identified = [(_recipe_identity(run), _task_identity(run), run.seed, series) for run, series in runs]
        return [
            Match(self.variants[recipe][0], self.tasks[task][0], seed, series)
            for recipe, task, seed, series in identified
            if recipe in self.variants and task in self.tasks
        ]


def labels_of(experiment: Experiment) -> Labels:
    """Return the labels of an experiment.

    Raises:
        NalmError: the original's names cannot tell its variants or tasks apart.
    """
    variants = {label: named_recipe(recipe) for label, recipe in experiment.variants.items()}
    tasks = {label: named_task(task) for label, task in experiment.tasks.items()}
    return Labels(
        {identity: (label, experiment.variants[label]) for identity, label in _identified("variants", variants)},
        {identity: (label, experiment.tasks[label]) for identity, label in _identified("tasks", tasks)},
    )


def labels_for(runs: Sequence[NamedSeries]) -> Labels:
    """Make up labels for runs, from their files or from what differs between them."""
    recipes = {_recipe_identity(run): run.recipe for run, _ in runs}
    tasks = {_task_identity(run): run.task for run, _ in runs}
    origins: dict[str, set[Path]] = {identity: set() for identity in recipes}
    for run, series in runs:
        origins[_recipe_identity(run)].add(series.origin)
    variants = zip(recipe_labels(list(recipes.values()), list(origins.values())), recipes.values(), strict=True)
    labelled_tasks = zip(task_labels(list(tasks.values())), tasks.values(), strict=True)
    return Labels(dict(zip(recipes, variants, strict=True)), dict(zip(tasks, labelled_tasks, strict=True)))


def matched_experiment(name: str, known: Experiment | None, labels: Labels, matches: Sequence[Match]) -> Experiment:
    """Return the experiment of matched runs, with the iterations that they have.

    Arguments:
        name: name of the experiment if it is a new one.
        known: the experiment whose labels the runs got, if there is one.
        labels: all labels.
        matches: the runs.

    Raises:
        NalmError: the name is not allowed.
    """
    iterations: dict[str, set[int]] = defaultdict(set)
    for match in matches:
        iterations[match.variant].update(match.series.iterations)
    tasks = {match.task for match in matches}
    fields = {
        "variants": {
            label: _with_iterations(recipe, iterations[label])
            for label, recipe in labels.variants.values()
            if iterations[label]
        },
        "tasks": {label: task for label, task in labels.tasks.values() if label in tasks},
        "seeds": tuple(sorted({match.seed for match in matches})),
    }
    if known:
        return known.model_copy(update=fields)
    try:
        return Experiment(name=name, title=f"{name}: results of the original code", **fields)
    except ValidationError as error:
        raise NalmError(f"found the name {name!r}: {error.errors()[0]['msg']}") from None


def last_evaluation(recipe: Recipe) -> int:
    """Return the iteration of the last evaluation."""
    return recipe.iterations // recipe.evaluate_every * recipe.evaluate_every


def _with_iterations(recipe: Recipe, evaluated: set[int]) -> Recipe:
    every, last = math.gcd(*evaluated), max(evaluated)
    if every == 0:  # iteration 0 is the only one
        return recipe.model_copy(update={"iterations": 0})
    if every == recipe.evaluate_every and last == last_evaluation(recipe):
        return recipe
    return recipe.model_copy(update={"iterations": last, "evaluate_every": every})


def _recipe_identity(run: Run) -> str:
    return _identity(named_recipe(run.recipe))


def _task_identity(run: Run) -> str:
    return _identity(named_task(run.task))


def _identity(fields: Mapping[str, Any]) -> str:
    return json.dumps(fields, sort_keys=True)


def _identified(kind: str, named: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Return labels with the identities of what they label.

    Raises:
        NalmError: two labels have the same identity.
    """
    labels: dict[str, str] = {}
    for label, fields in named.items():
        first = labels.setdefault(_identity(fields), label)
        if first != label:
            raise NalmError(
                f"the original's names do not tell the {kind} {first!r} and {label!r} apart: "
                "import the runs of each into a directory of their own, with an experiment that has only one of them"
            )
    return list(labels.items())
