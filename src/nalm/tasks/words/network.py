"""The recurrent network of the task on words: a reader of words and an arithmetic module."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from nalm.spec.recipe import Recipe
from nalm.tasks.words.words import PAD, VOCABULARY
from nalm.training.recurrent import RecurrentNetwork

if TYPE_CHECKING:
    from nalm.tasks.words.task import WordTask

__all__ = ["WordNetwork"]


class WordNetwork(RecurrentNetwork):
    r"""A recurrent network: an embedding and an LSTM read each word, and a module computes the next result.

    .. math:: y_t = \mathrm{module}([\mathrm{LSTM}(\mathrm{embedding}(x_t)), y_{t-1}])

    All states start with 0. Padding leaves the result unchanged.

    References:
        Neural Arithmetic Logic Units (Trask et al., 2018), https://arxiv.org/abs/1808.00508

    Arguments:
        task: decides the sizes.
        recipe: decides the module.
    """

    def __init__(self, task: WordTask, recipe: Recipe) -> None:
        super().__init__()
        self.embedding = nn.Embedding(len(VOCABULARY), task.hidden_size)
        self.reader = nn.LSTM(task.hidden_size, task.hidden_size, batch_first=True)
        self.module = recipe.module.build(task.module_inputs, 1)
        self.state_size: int = getattr(self.module, "state_size", 1)

    def reset_parameters(self) -> None:
        """Draw new initial parameters of the embedding, the LSTM, and the module if it has ``reset_parameters``."""
        self.embedding.reset_parameters()
        self.reader.reset_parameters()
        if callable(reset := getattr(self.module, "reset_parameters", None)):
            reset()

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Map tokens ``(n, 5)`` to numbers ``(n, 1)``.

        Return these and all inputs of the module, ``(words of all numbers, inputs)``.
        """
        encoded, _ = self.reader(self.embedding(inputs))
        state, module_inputs = encoded.new_zeros(len(encoded), self.state_size), []
        for word, is_word in zip(encoded.unbind(1), (inputs != PAD).unbind(1), strict=True):
            current = torch.cat([word, state], -1)
            state = torch.where(is_word.unsqueeze(-1), self.module(current), state)
            module_inputs.append(current[is_word])
        return state[:, :1], torch.cat(module_inputs)
