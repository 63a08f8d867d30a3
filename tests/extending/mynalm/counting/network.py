"""The network, and the data that it is trained and tested on."""

import numpy as np
import torch
from torch import Tensor, nn

from nalm.training.recurrent import RecurrentNetwork


class SumNetwork(RecurrentNetwork):
    """Applies a module to each number and the state."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def reset_parameters(self) -> None:
        self.module.reset_parameters()  # type: ignore[operator]

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        state, seen = inputs.new_zeros(len(inputs), 1), []
        for number in inputs.unbind(1):
            seen.append(torch.stack([number, state[:, 0]], -1))
            state = self.module(seen[-1])
        return state, torch.cat(seen)


class Numbers:
    """Sequences of numbers and their sums."""

    def __init__(self, count: int, tests: int, seed: int, rows: int) -> None:
        self._count, self._tests, self._seed, self._rows = count, tests, seed, rows

    def batch(self, iteration: int) -> tuple[Tensor, Tensor]:
        return self._draw(self._count, (self._seed, iteration))

    def errors(self, network: SumNetwork) -> tuple[float, list[float]]:
        validation, test = (self._error(network, count) for count in (self._count, 10 * self._count))
        return validation, [test] * self._tests

    @torch.no_grad()
    def _error(self, network: SumNetwork, count: int) -> float:
        inputs, targets = self._draw(count, (count,))
        return float(((network(inputs)[0] - targets) ** 2).mean())

    def _draw(self, count: int, seed: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        inputs = torch.from_numpy(np.random.default_rng(seed).random((self._rows, count), dtype=np.float32))
        return inputs, inputs.sum(1, keepdim=True)
