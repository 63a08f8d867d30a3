"""Networks that train by themselves."""

from collections.abc import Sequence

from nalm.spec.recipe import Recipe
from nalm.spec.task import Task
from nalm.tasks import start_training
from nalm.training.single import SingleTraining

__all__ = ["single"]


def single(recipe: Recipe, runs: Sequence[tuple[Task, int]], device: str = "cpu") -> SingleTraining:
    training = start_training(recipe, runs, device)
    assert isinstance(training, SingleTraining)
    return training
