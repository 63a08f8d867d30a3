"""An optimizer of one's own."""

from collections.abc import Iterable, Mapping
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from nalm.spec.recipe import Recipe
from nalm.training.optimizers import Columns, State, Tensors


class SignDescent:
    """Takes steps of one size, whatever the gradient's."""

    @classmethod
    def from_recipe(cls, recipe: Recipe) -> Self:
        return cls()

    @staticmethod
    def stateful(parameters: Iterable[nn.Parameter], recipe: Recipe) -> torch.optim.Optimizer:
        return torch.optim.Rprop(parameters, lr=recipe.learning_rate, etas=(0.999, 1.001))

    def state(self, parameters: Tensors) -> State:
        return {}

    def scalars(self, iterations: npt.NDArray[np.int64], learning_rate: float) -> Columns:
        return {"step_size": np.full(len(iterations), learning_rate)}

    def update(
        self, parameters: Tensors, gradients: Tensors, state: State, scalars: Mapping[str, Tensor]
    ) -> tuple[Tensors, State]:
        return {name: parameters[name] - scalars["step_size"] * gradients[name].sign() for name in gradients}, state
