"""The recurrent network of tasks on digits: an encoder of images and an arithmetic module."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from nalm.modules.base import ArithmeticModule
from nalm.modules.cells import Accumulator
from nalm.spec.recipe import Recipe
from nalm.tasks.digits.encoders import DigitEncoder, residual_encoder
from nalm.training.recurrent import RecurrentNetwork

if TYPE_CHECKING:
    from nalm.tasks.digits.task import DigitTask

__all__ = ["DigitNetwork"]


class DigitNetwork(RecurrentNetwork):
    r"""A recurrent network: an encoder of images, and a module that computes the next state.

    .. math:: h_t = \mathrm{module}([\mathrm{encoder}(x_t), h_{t-1}])

    The initial state is 0 for sums and 1 for products. For modules that are not arithmetic, such as an LSTM, it is 0.
    For quotients it is the encoder's output for the first image.

    Arguments:
        task: decides the encoder, the operation and the sizes.
        recipe: decides the module.
    """

    def __init__(self, task: DigitTask, recipe: Recipe) -> None:
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
        """Draw new initial parameters of the encoder, if it has ``reset_parameters``, then of the module."""
        for part in (self.encoder, self.module):
            if callable(reset := getattr(part, "reset_parameters", None)):
                reset()
        for parameter in self.encoder.parameters():
            if parameter.ndim == 4:  # convolutions take half the time in this memory format
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Map images ``(n, length, channels, height, width)`` to results ``(n, results)``.

        Return these and all inputs of the module, ``(n · results, inputs)``. If only the last result counts in the
        task, there is no other.
        """
        encoded = self.encoder(inputs.flatten(0, 1).contiguous(memory_format=torch.channels_last))
        results, module_inputs = self.calculate(encoded.unflatten(0, inputs.shape[:2]))
        return results if self.every_step else results[:, -1:], module_inputs

    def calculate(self, encoded: Tensor) -> tuple[Tensor, Tensor]:
        """Map the encoder's outputs ``(n, length, outputs)`` to the results after every image, ``(n, results)``.

        Return these and all inputs of the module, ``(n · results, inputs)``.
        """
        images = list(encoded.unbind(1))
        state = images.pop(0) if self.divides else encoded.new_full((len(encoded), self.state_size), self.initial)
        results, inputs = [], []
        for image in images:
            inputs.append(torch.cat([image, state], -1))
            state = self.module(inputs[-1])
            results.append(state[:, 0])
        return torch.stack(results, 1), torch.cat(inputs)
