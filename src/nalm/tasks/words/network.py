"""Networks that read the words of a number, one after the other, and say which it is."""

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
    r"""An embedding and an LSTM that say something of each word, and a module that makes a result from it and the last.

    .. math:: y_t = \mathrm{module}([\mathrm{LSTM}(\mathrm{embedding}(x_t)), y_{t-1}])

    All states start with 0. Where there is no word any more the result stays what it is.

    References:
        Neural Arithmetic Logic Units (Trask et al., 2018), https://arxiv.org/abs/1808.00508

    Arguments:
        task: what is learnt: it has the sizes.
        recipe: it has the module.
    """

    def __init__(self, task: WordTask, recipe: Recipe) -> None:
        super().__init__()
        self.embedding = nn.Embedding(len(VOCABULARY), task.hidden_size)
        self.reader = nn.LSTM(task.hidden_size, task.hidden_size, batch_first=True)
        self.module = recipe.module.build(task.module_inputs, 1)
        self.state_size: int = getattr(self.module, "state_size", 1)

    def reset_parameters(self) -> None:
        """Draws new initial parameters: the embedding's, the LSTM's, then the module's, if it can draw any."""
        self.embedding.reset_parameters()
        self.reader.reset_parameters()
        if callable(reset := getattr(self.module, "reset_parameters", None)):
            reset()

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Shape: tokens ``(n, 5)`` to ``(n, 1)`` and ``(words of all numbers, inputs of the module)``."""
        said, _ = self.reader(self.embedding(inputs))
        state, seen = said.new_zeros(len(said), self.state_size), []
        for of_word, is_word in zip(said.unbind(1), (inputs != PAD).unbind(1), strict=True):
            taken = torch.cat([of_word, state], -1)
            state = torch.where(is_word.unsqueeze(-1), self.module(taken), state)
            seen.append(taken[is_word])
        return state[:, :1], torch.cat(seen)
