"""What networks that learn from sequences have in common, and the data that they are trained and tested on."""

from abc import ABC, abstractmethod
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from nalm.modules.base import ArithmeticModule
from nalm.modules.cells import CELLS, Accumulator
from nalm.spec.recipe import PARAMETER_NORMS, Recipe
from nalm.tasks.recurrent import RecurrentTask

__all__ = ["Data", "RecurrentNetwork", "check_cell", "check_noise", "check_terms"]


class RecurrentNetwork(nn.Module, ABC):
    """A network with a module that calculates: the module is what is projected, regularized and stored of it."""

    module: nn.Module

    @abstractmethod
    def reset_parameters(self) -> None:
        """Draws new initial parameters."""

    @abstractmethod
    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Sequences ``(n, steps, …)`` to results ``(n, results)`` and all inputs of the module on the way."""

    def regularizers(self, inputs: Tensor) -> dict[str, Tensor]:
        """The module's terms, by name; all else is free."""
        return self.module.regularizers(inputs) if isinstance(self.module, ArithmeticModule) else {}


class Data(Protocol):
    """What a network is trained on, and where errors are measured."""

    def batch(self, iteration: int) -> tuple[Tensor, Tensor]:
        """Inputs of the network and results ``(n, results)`` of one iteration, whichever were asked for before."""

    def errors(self, network: Any) -> tuple[float, list[float]]:
        """Validation error, and the test error of every task, of a network in evaluation mode."""


def check_cell(recipe: Recipe, task: RecurrentTask) -> None:
    """Checks that a recipe's module can be a cell that has inputs and one state.

    Raises:
        ValueError: it cannot.
    """
    if recipe.second is not None:
        raise ValueError(f"found second with {task.learnt_from}, expected none")
    name = recipe.module.name
    if name == Accumulator.__name__:
        operation = recipe.module.options.get("operation", "add")
        if operation != task.operation:
            raise ValueError(f"found an Accumulator that computes {operation}, expected {task.operation}")
        if recipe.regularizers:
            raise ValueError("found regularizers of an Accumulator, which has no parameters, expected none")
        recipe.module.build(task.module_inputs, 1)
    elif name in CELLS:
        check_terms(recipe, set(PARAMETER_NORMS))
    else:
        recipe.check(task.module_inputs)
        check_noise(name, recipe.module.probe(task.module_inputs), task)


def check_noise(name: str, module: nn.Module, task: RecurrentTask) -> None:
    """Checks that a module draws no noise, which would be other noise at every step.

    Raises:
        ValueError: it does.
    """
    if isinstance(module, ArithmeticModule) and module.noise_shape(torch.Size((1, task.module_inputs))) is not None:
        raise ValueError(f"found {name} with noise, expected a module without any for {task.learnt_from}")


def check_terms(recipe: Recipe, known: set[str]) -> None:
    """Checks that what is trained has all regularizers of a recipe.

    Raises:
        ValueError: it has not.
    """
    for term in recipe.regularizers:
        if term not in known:
            raise ValueError(
                f"found regularizer {term!r}, expected one that {recipe.architecture} has: {', '.join(sorted(known))}"
            )
