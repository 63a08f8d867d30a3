"""Sequences of images of digits: batches to train on, and those on which errors are measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nalm.errors import NalmError
from nalm.log import warn_once
from nalm.spec.recipe import Recipe
from nalm.tasks.digits.images import Split

if TYPE_CHECKING:
    from nalm.tasks.digits.network import DigitNetwork
    from nalm.tasks.digits.task import DigitTask

__all__ = ["DigitData", "Sequences", "sequences", "training_seed"]

VALIDATED_IMAGES, TESTED_IMAGES = 4_500, 9_000
"""On sequences of so many images, at least, errors are measured: MNIST has them without its digit 0, too."""
VALIDATION_SEED = 47430696


TEST_SEED = 88253339


class Sequences(NamedTuple):
    """Sequences of images: which they are ``(n, length)``, and the results ``(n, results)``."""

    images: npt.NDArray[np.int64]
    targets: npt.NDArray[np.float64]


def training_seed(seed: int) -> int:
    """The seed with which a run's training images are put into order."""
    return int(np.random.RandomState(seed).randint(0, 2**32 - 1, dtype=np.int64))


def sequences(task: DigitTask, split: Split, length: int, seed: int, images: int = 0) -> Sequences:
    """Sequences of one length of the images that show the task's digits.

    The images are put into a random order, of which each sequence takes the next, as in the original. Where they do
    not suffice for sequences of so many images, more orders of the same images follow.

    Arguments:
        task: it has the digits.
        split: the images.
        length: of the sequences.
        seed: of the order.
        images: how many there are to be in all sequences together, but for those that are too few for one more.

    Raises:
        NalmError: no image shows one of the digits.
    """
    allowed = np.flatnonzero(np.isin(split.labels, task.digits))
    if not len(allowed):
        raise NalmError(f"found no images of the digits {_listed(task.digits)}, expected some")
    rng = np.random.RandomState(seed)
    orders = max(1, -(-max(images, length if images else 0) // len(allowed)))
    order = np.concatenate([rng.permutation(allowed) for _ in range(orders)])
    count = len(order) // length
    index = order[: count * length].reshape(count, length)
    return Sequences(index, task.targets(split.labels[index]))


def _listed(digits: Sequence[int]) -> str:
    return ", ".join(map(str, digits))


IMAGES_AT_ONCE = 256
"""When errors are measured: few enough to stay in the cache."""


class _HeldOut:
    """Sequences of one length on which errors are measured."""

    def __init__(self, made: Sequences, device: torch.device) -> None:
        self.images = torch.from_numpy(made.images).to(device)
        self.targets = torch.from_numpy(made.targets).to(device)


def _error(network: DigitNetwork, said: Tensor, held_out: _HeldOut, every_step: bool) -> float:
    """Mean squared error in float64: squares of long products are too large for less."""
    results, _ = network.calculate(said[held_out.images])
    squares = (results.double() - held_out.targets) ** 2
    return (squares if every_step else squares[:, -1]).mean().item()


class DigitData:
    """Batches to train on, and sequences on which errors are measured; see :class:`Data`."""

    def __init__(
        self,
        task: DigitTask,
        tasks: Sequence[DigitTask],
        seed: int,
        recipe: Recipe,
        device: torch.device,
    ) -> None:
        digits = task.load()
        warn_once(digits.sentence)
        self._every_step = task.every_step
        self._digits, self._dtype, self._device = digits, recipe.dtype, device
        self._rows = recipe.batch_size
        self._stream = training_seed(seed)
        self._train_images = torch.from_numpy(digits.train.images)
        self._train = sequences(task, digits.train, task.length, self._stream)
        if not len(self._train.images):
            raise NalmError(f"found {len(digits.train.labels)} images to train on, expected {task.length} at least")
        self._epoch = -1
        self._order = np.empty(0, dtype=np.int64)
        self._validation_images = torch.from_numpy(digits.validation.images)
        self._test_images = torch.from_numpy(digits.test.images)
        validation = sequences(task, digits.validation, task.length, VALIDATION_SEED, VALIDATED_IMAGES)
        tests = [sequences(task, digits.test, task.test_length, TEST_SEED, TESTED_IMAGES) for task in tasks]
        self._validation = _HeldOut(validation, device)
        self._tests = [_HeldOut(test, device) for test in tests]

    def batch(self, iteration: int) -> tuple[Tensor, Tensor]:
        """Images ``(n, length, …)`` and results of one iteration.

        Sequences are the same in all epochs, their order is not; the last batch of an epoch has what is left.
        """
        batches = -(-len(self._train.images) // self._rows)
        epoch, batch = divmod(iteration, batches)
        if epoch != self._epoch:
            self._epoch = epoch
            self._order = np.random.default_rng((self._stream, epoch)).permutation(len(self._train.images))
        rows = self._order[batch * self._rows : (batch + 1) * self._rows]
        targets = torch.from_numpy(self._train.targets[rows]).to(self._device, self._dtype)
        images = self._scaled(self._train_images[torch.from_numpy(self._train.images[rows])])
        return images, targets if self._every_step else targets[:, -1:]

    def errors(self, network: DigitNetwork) -> tuple[float, list[float]]:
        """The validation error, and the test error of every length."""
        said = self._said(network, self._validation_images)
        validation = _error(network, said, self._validation, self._every_step)
        said = self._said(network, self._test_images)
        return validation, [_error(network, said, test, self._every_step) for test in self._tests]

    def _said(self, network: DigitNetwork, images: Tensor) -> Tensor:
        """What the encoder says of all images of a split."""
        parts = [network.encoder(self._scaled(part)) for part in torch.split(images, IMAGES_AT_ONCE)]
        return torch.cat(parts)

    def _scaled(self, images: Tensor) -> Tensor:
        values = images.to(self._device, self._dtype) / 255
        return (values - self._digits.mean) / self._digits.deviation
