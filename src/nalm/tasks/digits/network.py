"""Networks that read the digits of a sequence of images and calculate with them, one at a time."""

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
    r"""An encoder that says something of each image, and a module that calculates the next state from it and the last.

    .. math:: h_t = \mathrm{module}([\mathrm{encoder}(x_t), h_{t-1}])

    The state starts with 0 for sums and 1 for products; that of a module which is not arithmetic, an LSTM, say, with 0.
    For quotients the first digit is the first state.

    Arguments:
        task: what is learnt: it has the encoder and the operation.
        recipe: it has the module.
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
