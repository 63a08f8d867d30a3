"""Sequences of images of digits: training batches and evaluation data."""

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
"""Minimum number of images in evaluation data. MNIST has as many even without the digit 0."""
VALIDATION_SEED = 47430696
TEST_SEED = 88253339
IMAGES_AT_ONCE = 256
"""Images that are encoded at once in an evaluation: few enough to stay in the cache."""


class Sequences(NamedTuple):
    """Sequences of images: the images' indices in their split ``(n, length)``, and the targets ``(n, results)``."""

    images: npt.NDArray[np.int64]
    targets: npt.NDArray[np.float64]


def training_seed(seed: int) -> int:
    """Return the seed of the order of a run's training images."""
    return int(np.random.RandomState(seed).randint(0, 2**32 - 1, dtype=np.int64))


def sequences(task: DigitTask, split: Split, length: int, seed: int, images: int = 0) -> Sequences:
    """Make sequences of one length from the images that show the task's digits.

    As in the original, the images are shuffled, and each sequence takes the next ones. If they are too few, further
    random orders of the same images follow.

    Arguments:
        task: decides which digits are used.
        split: the images.
        length: length of the sequences.
        seed: seed of the order.
        images: minimum number of images in all sequences together; images left over by whole sequences count.

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


class _HeldOut:
    """Evaluation data: sequences of one length."""

    def __init__(self, data: Sequences, device: torch.device) -> None:
        self.images = torch.from_numpy(data.images).to(device)
        self.targets = torch.from_numpy(data.targets).to(device)


def _error(network: DigitNetwork, encoded: Tensor, held_out: _HeldOut, every_step: bool) -> float:
    """Return the mean squared error in float64, because squares of long products are too large for float32."""
    results, _ = network.calculate(encoded[held_out.images])
    squares = (results.double() - held_out.targets) ** 2
    return (squares if every_step else squares[:, -1]).mean().item()


class DigitData:
    """Training batches and evaluation data of a task on digits; see :class:`Data`.

    Raises:
        NalmError: the images cannot be read, or are too few.
    """

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
        """Return images ``(n, length, …)`` and targets of one iteration.

        All epochs have the same sequences in another order. The last batch of an epoch may be smaller.
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
        """Return the validation error, and the test error of every length."""
        encoded = self._encode(network, self._validation_images)
        validation = _error(network, encoded, self._validation, self._every_step)
        encoded = self._encode(network, self._test_images)
        return validation, [_error(network, encoded, test, self._every_step) for test in self._tests]

    def _encode(self, network: DigitNetwork, images: Tensor) -> Tensor:
        """Return the encoder's outputs for all images of a split."""
        parts = [network.encoder(self._scaled(part)) for part in torch.split(images, IMAGES_AT_ONCE)]
        return torch.cat(parts)

    def _scaled(self, images: Tensor) -> Tensor:
        values = images.to(self._device, self._dtype) / 255
        return (values - self._digits.mean) / self._digits.deviation
