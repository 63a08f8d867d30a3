"""The options of the command line for tasks on digits: the source of their images."""

from collections.abc import Mapping

from pydantic import ValidationError

from nalm.errors import NalmError
from nalm.paths import user_directory
from nalm.spec.document import sentence
from nalm.spec.task import Task
from nalm.tasks.digits.images import DigitImages, download_mnist
from nalm.tasks.digits.task import DigitTask

__all__ = ["TORCHVISION", "with_images"]

TORCHVISION = "torchvision"
"""Stands for the directory in the cache into which torchvision downloads MNIST."""


def with_images(tasks: Mapping[str, Task], kind: str, directory: str) -> dict[str, Task] | None:
    """Return tasks with other images of digits, or None if no task reads digits.

    Arguments:
        tasks: tasks by label; those that read no digits stay as they are.
        kind: ``mnist`` or ``svhn``; images of SVHN are in colour, and a residual network encodes them.
        directory: directory of the files; ``torchvision`` downloads MNIST into the cache.

    Raises:
        NalmError: the images cannot be read.
    """
    if not any(isinstance(task, DigitTask) for task in tasks.values()):
        return None
    if kind == "mnist" and directory == TORCHVISION:
        directory = str(download_mnist(user_directory("XDG_CACHE_HOME", ".cache") / "mnist"))
    try:
        images = DigitImages.model_validate({kind: directory})
    except ValidationError as error:
        raise NalmError(sentence(DigitImages, error.errors()[0])) from None
    return {label: _with_images(task, images) for label, task in tasks.items()}


def _with_images(task: Task, images: DigitImages) -> Task:
    if not isinstance(task, DigitTask):
        return task
    colour = task.encoder if task.encoder != "cnn" else "resnet18"
    return task.model_copy(update={"images": images, "encoder": colour if images.kind == "svhn" else "cnn"})
