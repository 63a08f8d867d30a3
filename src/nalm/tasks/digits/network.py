"""Networks that read the digits of a sequence of images and calculate with them, one at a time."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from nalm.errors import NalmError
from nalm.log import notices
from nalm.modules.base import ArithmeticModule
from nalm.modules.cells import Accumulator
from nalm.spec.recipe import Recipe
from nalm.tasks.digits.encoders import DigitEncoder, residual_encoder
from nalm.tasks.digits.task import (
    TEST_SEED,
    TESTED_IMAGES,
    VALIDATED_IMAGES,
    VALIDATION_SEED,
    Sequences,
    SequenceTask,
    sequences,
    training_seed,
)
from nalm.training.recurrent import RecurrentNetwork, check_cell

__all__ = ["DigitData", "DigitNetwork", "check_digits"]

IMAGES_AT_ONCE = 256
"""When errors are measured: few enough to stay in the cache."""


class DigitNetwork(RecurrentNetwork):
    r"""An encoder that says something of each image, and a module that calculates the next state from it and the last.

    .. math:: h_t = \mathrm{module}([\mathrm{encoder}(x_t), h_{t-1}])

    The state starts with 0 for sums and 1 for products; that of a module which is not arithmetic, an LSTM, say, with 0.
    For quotients the first digit is the first state.

    Arguments:
        task: what is learnt: it has the encoder and the operation.
        recipe: it has the module.
    """

    def __init__(self, task: SequenceTask, recipe: Recipe) -> None:
        super().__init__()
        cnn = task.encoder == "cnn"
        self.encoder = DigitEncoder(task.outputs) if cnn else residual_encoder(task.encoder, task.outputs)
        self.module = recipe.module.build(task.input_size, 1)
        self.divides = task.operation == "div"
        self.every_step = task.every_step
        arithmetic = isinstance(self.module, ArithmeticModule | Accumulator)
        self.initial = task.initial if arithmetic else 0.0
        self.state_size: int = getattr(self.module, "state_size", 1)

    def reset_parameters(self) -> None:
        """Draws new initial parameters: the encoder's, if it can draw any, then the module's."""
        for part in (self.encoder, self.module):
            if callable(reset := getattr(part, "reset_parameters", None)):
                reset()
        for parameter in self.encoder.parameters():
            if parameter.ndim == 4:  # convolutions take half the time so
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Shape: images ``(n, length, channels, height, width)`` to what :meth:`calculate` returns, of which only the
        last result counts where that is what the task says.
        """
        said = self.encoder(inputs.flatten(0, 1).contiguous(memory_format=torch.channels_last))
        results, seen = self.calculate(said.unflatten(0, inputs.shape[:2]))
        return results if self.every_step else results[:, -1:], seen

    def calculate(self, said: Tensor) -> tuple[Tensor, Tensor]:
        """Results after every image, and all inputs of the module on the way.

        Shape: what the encoder says ``(n, length, outputs)`` to ``(n, results)`` and ``(n · results, inputs)``.
        """
        each = list(said.unbind(1))
        state = each.pop(0) if self.divides else said.new_full((len(said), self.state_size), self.initial)
        results, inputs = [], []
        for of_image in each:
            inputs.append(torch.cat([of_image, state], -1))
            state = self.module(inputs[-1])
            results.append(state[:, 0])
        return torch.stack(results, 1), torch.cat(inputs)


def check_digits(recipe: Recipe, task: SequenceTask) -> None:
    """Checks that a network with the recipe's module can be trained on a task.

    Raises:
        ValueError: it cannot.
    """
    if task.encoder != "cnn":
        try:
            residual_encoder(task.encoder, task.outputs)
        except ImportError as error:
            raise ValueError(str(error)) from None
    check_cell(recipe, task)


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
        task: SequenceTask,
        tasks: Sequence[SequenceTask],
        seed: int,
        recipe: Recipe,
        device: torch.device,
    ) -> None:
        digits = task.load()
        notices.add(digits.sentence)
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
