"""What can be changed of experiments on sequences of images: where these come from, and for how long they train."""

import os
from pathlib import Path

from pydantic import ValidationError

from nalm.errors import NalmError
from nalm.experiments.experiment import Experiment
from nalm.spec.document import sentence
from nalm.spec.recipe import Recipe
from nalm.spec.schedules import Term
from nalm.tasks.digits.images import DigitImages, download_mnist
from nalm.tasks.digits.task import SequenceTask
from nalm.tasks.recurrent import RecurrentTask
from nalm.tasks.subsets.task import Task

__all__ = ["TORCHVISION", "has_sequences", "is_recurrent", "with_images", "with_iterations"]

TORCHVISION = "torchvision"
"""In place of MNIST's directory: one into which torchvision downloads it."""


def has_sequences(experiment: Experiment) -> bool:
    """Whether any task is on sequences of images."""
    return any(isinstance(task, SequenceTask) for task in experiment.tasks.values())


def is_recurrent(experiment: Experiment) -> bool:
    """Whether any task is on sequences, of images or of anything else."""
    return any(isinstance(task, RecurrentTask) for task in experiment.tasks.values())


def with_images(experiment: Experiment, kind: str, directory: str) -> Experiment:
    """The experiment with other images.

    Arguments:
        experiment: on sequences of images.
        kind: ``mnist`` or ``svhn``.
        directory: where their files are; ``torchvision`` has it download MNIST.

    Raises:
        NalmError: the experiment has no sequences of images, or the images cannot be read.
    """
    if not has_sequences(experiment):
        raise NalmError(f"found --{kind} with {experiment.name}, expected it with sequences of digits only")
    if kind == "mnist" and directory == TORCHVISION:
        directory = str(download_mnist(_cache()))
    try:
        images = DigitImages.model_validate({kind: directory})
    except ValidationError as error:
        raise NalmError(sentence(DigitImages, error.errors()[0])) from None
    tasks = {label: _with_images(task, images) for label, task in experiment.tasks.items()}
    return experiment.model_copy(update={"tasks": tasks})


def _with_images(task: Task, images: DigitImages) -> Task:
    if not isinstance(task, SequenceTask):
        return task
    colour = task.encoder if task.encoder != "cnn" else "resnet18"
    return task.model_copy(update={"images": images, "encoder": colour if images.kind == "svhn" else "cnn"})


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "nalm" / "mnist"


def with_iterations(experiment: Experiment, iterations: int) -> Experiment:
    """The experiment with another number of iterations, and the ramps of regularizers rescaled to it.

    How many updates an epoch has depends on the images; a schedule that begins after a tenth of them is to do so
    whatever they are.
    """
    variants = {label: _with_iterations(recipe, iterations) for label, recipe in experiment.variants.items()}
    return experiment.model_copy(update={"variants": variants})


def _with_iterations(recipe: Recipe, iterations: int) -> Recipe:
    scale = iterations / max(1, recipe.iterations)
    terms = {name: _rescaled(term, scale) for name, term in recipe.regularizers.items()}
    return recipe.model_copy(update={"iterations": iterations, "regularizers": terms})


def _rescaled(term: Term, scale: float) -> Term:
    if term.ramp is None:
        return term
    start, end = (round(scale * when) for when in term.ramp)
    return term.model_copy(update={"ramp": (start, max(end, start + 1))})
