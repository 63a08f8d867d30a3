"""Whether runs of a recipe can be judged, and by which threshold."""

from collections.abc import Collection
from functools import lru_cache

from nalm.errors import NalmError
from nalm.spec.recipe import STORED, Recipe
from nalm.spec.task import HIDDEN_SIZE
from nalm.spec.thresholds import Threshold
from nalm.tasks.networks import check_sequence
from nalm.tasks.recurrent import RecurrentTask
from nalm.tasks.subsets.task import Task
from nalm.tasks.subsets.thresholds import threshold

__all__ = ["check_tasks", "run_threshold"]


def run_threshold(recipe: Recipe, task: Task) -> Threshold:
    """The threshold of a task for runs of a recipe, which is computed once in a process.

    One that is found from other runs is NaN as long as these are not known: no error is good enough.

    Raises:
        NalmError: it is gold, and the recipe's module has no gold weights for the operation or is not there.
    """
    if isinstance(task, RecurrentTask):
        return Threshold(task.limit, inclusive=False, rows=task.judged_rows)
    if task.threshold != "gold":
        return threshold(task)
    return _gold_threshold(task, recipe.model_dump_json(include={"module", "second", "precision"}))


@lru_cache(maxsize=1024)
def _gold_threshold(task: Task, fields: str) -> Threshold:
    recipe = Recipe.model_validate_json(fields, context=STORED)
    try:
        return threshold(task, recipe.probe(task.input_size, task.hidden_size).to(recipe.dtype))
    except ValueError as error:
        raise NalmError(str(error)) from None


def check_tasks(recipe: Recipe, tasks: Collection[Task]) -> None:
    """Checks that a recipe's module can be trained on tasks, and its runs be judged.

    Raises:
        ValueError: it cannot.
    """
    on_sequences = {task.training for task in tasks if isinstance(task, RecurrentTask)}
    for sequence in on_sequences:
        check_sequence(recipe, sequence)
    tasks = [task for task in tasks if not isinstance(task, RecurrentTask)]
    for inputs, hidden in {(task.input_size, task.hidden_size) for task in tasks}:
        if recipe.second is None and hidden != HIDDEN_SIZE:
            raise ValueError(f"found hidden_size {hidden}, expected it with a second layer only")
        recipe.check(inputs, hidden)
    for task in tasks:
        if task.threshold == "gold":
            run_threshold(recipe, task)
