"""The interface of optimizers, the numbers of each iteration, and the clipping of gradients."""

from collections.abc import Hashable, Iterable, Mapping
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from nalm.spec.optimizers import OPTIMIZERS
from nalm.spec.rates import rate_factors
from nalm.spec.recipe import Recipe

__all__ = ["Optimizer", "clip_gradients", "iteration_scalars", "learning_rates", "optimizer", "optimizer_structure"]

Tensors = dict[str, Tensor]
State = dict[str, Tensors]
Columns = dict[str, npt.NDArray[np.float64]]
Rates = float | npt.NDArray[np.float64]
"""A learning rate, or one for each iteration."""


class Optimizer(Protocol):
    """A functional optimizer over named parameters, with the semantics of an optimizer of torch.optim.

    If it has options, a pydantic model ``Options`` declares them, and ``recipe.optimizer_options`` has those that
    differ from their defaults.
    """

    @classmethod
    def from_recipe(cls, recipe: Recipe) -> "Optimizer":
        """Make the optimizer of a recipe."""

    @staticmethod
    def stateful(parameters: Iterable[nn.Parameter], recipe: Recipe) -> torch.optim.Optimizer:
        """Make the corresponding optimizer of torch.optim, for a network that trains by itself."""

    def state(self, parameters: Tensors) -> State:
        """Return the initial state."""

    def scalars(self, iterations: npt.NDArray[np.int64], learning_rate: Rates) -> Columns:
        """Return the numbers that a step needs, by name, for each iteration (0 is the first step)."""

    def update(
        self, parameters: Tensors, gradients: Tensors, state: State, scalars: Mapping[str, Tensor]
    ) -> tuple[Tensors, State]:
        """Return parameters and state after one step."""


def optimizer(recipe: Recipe) -> Optimizer:
    """Return the recipe's optimizer."""
    made: Optimizer = OPTIMIZERS[recipe.optimizer_name].from_recipe(recipe)
    return made


def optimizer_structure(recipe: Recipe) -> Hashable:
    """Return everything about the recipe's optimizer that decides the graph of a step, beside its scalars' names.

    For an optimizer that does not say so itself, these are all its options.
    """
    options = repr(sorted(recipe.optimizer_options.items()))
    return recipe.optimizer_name, getattr(optimizer(recipe), "structure", options)


def learning_rates(recipe: Recipe, iterations: npt.NDArray[np.int64]) -> Rates:
    """Return the learning rate, or with a schedule the rate of each iteration."""
    if recipe.schedule is None:
        return recipe.learning_rate
    return recipe.learning_rate * rate_factors(recipe.schedule, iterations, recipe.iterations)


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
    columns |= optimizer(recipe).scalars(iterations, learning_rates(recipe, iterations))
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
