"""Networks that read the words of a number, one after the other, and say which it is."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from nalm.spec.recipe import Recipe
from nalm.tasks.words.task import PAD, VOCABULARY, WordTask, split_numbers, tokens
from nalm.training.recurrent import RecurrentNetwork

__all__ = ["WordData", "WordNetwork"]


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


class _Numbers:
    """Numbers and their tokens."""

    def __init__(self, numbers: np.ndarray[tuple[int], np.dtype[np.int64]], device: torch.device) -> None:
        self.tokens = torch.from_numpy(tokens(numbers)).to(device)
        self.targets = torch.from_numpy(numbers).to(device, torch.float64).unsqueeze(-1)

    def error(self, network: WordNetwork) -> float:
        """Mean squared error in float64."""
        results, _ = network(self.tokens)
        return float(((results.double() - self.targets) ** 2).mean())


class WordData:
    """Batches to train on, and numbers on which errors are measured; see :class:`Data`."""

    def __init__(
        self, task: WordTask, tasks: Sequence[WordTask], seed: int, recipe: Recipe, device: torch.device
    ) -> None:
        split = split_numbers(seed)
        self._train, self._validation, self._test = (_Numbers(numbers, device) for numbers in split)
        self._seed, self._rows, self._dtype, self._tasks = seed, recipe.batch_size, recipe.dtype, len(tasks)

    def batch(self, iteration: int) -> tuple[Tensor, Tensor]:
        """Tokens ``(n, 5)`` and numbers ``(n, 1)`` of one iteration.

        Every epoch has an order of its own; the last batch of an epoch has what is left.
        """
        count = len(self._train.tokens)
        epoch, batch = divmod(iteration, -(-count // self._rows))
        order = np.random.default_rng((self._seed, epoch)).permutation(count)
        rows = torch.from_numpy(order[batch * self._rows : (batch + 1) * self._rows])
        return self._train.tokens[rows], self._train.targets[rows].to(self._dtype)

    @torch.no_grad()
    def errors(self, network: WordNetwork) -> tuple[float, list[float]]:
        """The validation error, and the same test error for every task."""
        return self._validation.error(network), [self._test.error(network)] * self._tasks
