"""Adam and SGD of torch.optim as pure functions, so that they can be compiled into the step of an ensemble.

Operations and their order are those of torch.optim; tests compare the results within 1e-7.
"""

from collections.abc import Iterable, Mapping
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from nalm.spec.optimizers import OPTIMIZERS
from nalm.spec.recipe import Recipe

__all__ = ["SGD", "Adam", "Optimizer", "clip_gradients", "iteration_scalars", "optimizer"]

Tensors = dict[str, Tensor]
State = dict[str, Tensors]
Columns = dict[str, npt.NDArray[np.float64]]


class Optimizer(Protocol):
    """A functional optimizer over named parameters, with the semantics of an optimizer of torch.optim."""

    @classmethod
    def from_recipe(cls, recipe: Recipe) -> "Optimizer":
        """Make the optimizer of a recipe."""

    @staticmethod
    def stateful(parameters: Iterable[nn.Parameter], recipe: Recipe) -> torch.optim.Optimizer:
        """Make the corresponding optimizer of torch.optim, for a network that trains by itself."""

    def state(self, parameters: Tensors) -> State:
        """Return the initial state."""

    def scalars(self, iterations: npt.NDArray[np.int64], learning_rate: float) -> Columns:
        """Return the numbers that a step needs, by name, for each iteration (0 is the first step)."""

    def update(
        self, parameters: Tensors, gradients: Tensors, state: State, scalars: Mapping[str, Tensor]
    ) -> tuple[Tensors, State]:
        """Return parameters and state after one step."""


class Adam:
    """Adam (Kingma & Ba, 2015, https://arxiv.org/abs/1412.6980) with torch's defaults."""

    beta1, beta2, eps = 0.9, 0.999, 1e-8

    @classmethod
    def from_recipe(cls, recipe: Recipe) -> Self:
        """Make the optimizer of a recipe."""
        return cls()

    @staticmethod
    def stateful(parameters: Iterable[nn.Parameter], recipe: Recipe) -> torch.optim.Optimizer:
        """Make torch's optimizer."""
        return torch.optim.Adam(parameters, lr=recipe.learning_rate)

    def state(self, parameters: Tensors) -> State:
        """Return both moments, which start at 0."""
        zeros = {name: torch.zeros_like(value) for name, value in parameters.items()}
        return {"mean": zeros, "square": {name: value.clone() for name, value in zeros.items()}}

    def scalars(self, iterations: npt.NDArray[np.int64], learning_rate: float) -> Columns:
        """Return the step size and the root of the second bias correction."""
        steps = iterations + 1.0
        return {
            "step_size": learning_rate / (1 - self.beta1**steps),
            "correction": np.sqrt(1 - self.beta2**steps),
        }

    def update(
        self, parameters: Tensors, gradients: Tensors, state: State, scalars: Mapping[str, Tensor]
    ) -> tuple[Tensors, State]:
        """Take one step."""
        mean, square, updated = {}, {}, {}
        for name, gradient in gradients.items():
            old_mean, old_square = state["mean"][name], state["square"][name]
            mean[name] = old_mean + (1 - self.beta1) * (gradient - old_mean)
            square[name] = old_square * self.beta2 + (1 - self.beta2) * gradient * gradient
            scale = torch.sqrt(square[name]) / scalars["correction"] + self.eps
            updated[name] = parameters[name] - scalars["step_size"] * mean[name] / scale
        return updated, {"mean": mean, "square": square}


class SGD:
    """Gradient descent, with torch's momentum (no dampening, not Nesterov's)."""

    def __init__(self, momentum: float) -> None:
        self.momentum = momentum

    @classmethod
    def from_recipe(cls, recipe: Recipe) -> Self:
        """Make the optimizer of a recipe."""
        return cls(recipe.momentum)

    @staticmethod
    def stateful(parameters: Iterable[nn.Parameter], recipe: Recipe) -> torch.optim.Optimizer:
        """Make torch's optimizer."""
        return torch.optim.SGD(parameters, lr=recipe.learning_rate, momentum=recipe.momentum)

    def state(self, parameters: Tensors) -> State:
        """Return a velocity of 0, so that the velocity of the first step is the gradient."""
        return {"velocity": {name: torch.zeros_like(value) for name, value in parameters.items()}}

    def scalars(self, iterations: npt.NDArray[np.int64], learning_rate: float) -> Columns:
        """Return the learning rate and the momentum."""
        return {
            "step_size": np.full(len(iterations), learning_rate),
            "momentum": np.full(len(iterations), self.momentum),
        }

    def update(
        self, parameters: Tensors, gradients: Tensors, state: State, scalars: Mapping[str, Tensor]
    ) -> tuple[Tensors, State]:
        """Take one step."""
        velocity = {
            name: state["velocity"][name] * scalars["momentum"] + gradient for name, gradient in gradients.items()
        }
        updated = {name: parameters[name] - scalars["step_size"] * velocity[name] for name in gradients}
        return updated, {"velocity": velocity}


def optimizer(recipe: Recipe) -> Optimizer:
    """Return the recipe's optimizer."""
    made: Optimizer = OPTIMIZERS[recipe.optimizer].from_recipe(recipe)
    return made


def iteration_scalars(recipe: Recipe, iterations: npt.NDArray[np.int64]) -> Columns:
    """Return all numbers that change over the iterations, by name, with one value per iteration.

    They are the regularizers' coefficients and conditions, the weight of PCC, the optimizer's scalars and the limits of
    gradients.
    """
    columns = {name: term.values(iterations) for name, term in recipe.regularizers.items()}
    columns |= {
        f"{name}.below": np.full(len(iterations), term.below)
        for name, term in recipe.regularizers.items()
        if term.below is not None
    }
    columns["pcc"] = (iterations < recipe.pcc_iterations).astype(np.float64)
    columns |= optimizer(recipe).scalars(iterations, recipe.learning_rate)
    for name, limit in (("clip_norm", recipe.clip_gradient_norm), ("clip_value", recipe.clip_gradient_value)):
        if limit is not None:
            columns[name] = np.full(len(iterations), limit)
    return columns


def clip_gradients(gradients: Tensors, scalars: Mapping[str, Tensor]) -> Tensors:
    """Clip the gradients ``(runs, …)`` of each model: to a 2-norm over all its parameters, then by value."""
    if "clip_norm" in scalars:
        norms = [torch.linalg.vector_norm(gradient.flatten(1), dim=1) for gradient in gradients.values()]
        total = torch.linalg.vector_norm(torch.stack(norms), dim=0)
        share = (scalars["clip_norm"] / (total + 1e-6)).clamp(max=1)
        gradients = {
            name: gradient * share.reshape(-1, *[1] * (gradient.ndim - 1)) for name, gradient in gradients.items()
        }
    if "clip_value" in scalars:
        limit = scalars["clip_value"]
        gradients = {name: gradient.clamp(-limit, limit) for name, gradient in gradients.items()}
    return gradients
