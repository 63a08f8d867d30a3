"""Optimizers of torch.optim as pure functions, so that they can be compiled into the step of an ensemble.

Operations and their order are those of torch.optim; tests compare the results within 1e-7. Numbers enter a step as
scalars, so that recipes that differ in them share a program. Options that are true or false decide the program.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import torch
from pydantic import BaseModel
from torch import Tensor, nn

from nalm.spec import optimizers as spec
from nalm.spec.recipe import Recipe
from nalm.training.optimizers import Columns, Rates, State, Tensors

__all__ = ["SGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSprop"]

Iterations = npt.NDArray[np.int64]
Numbers = Mapping[str, Tensor]


class Rule(ABC):
    """An optimizer of torch.optim with its options.

    Arguments:
        momentum: the recipe's momentum, for optimizers that have it as a field.
        options: options by name; the others have their defaults.
    """

    Options: ClassVar[type[BaseModel]]
    original: ClassVar[Any]
    """The class in torch.optim."""
    with_momentum = False
    """Whether the recipe's momentum is one of its options."""
    numbers: ClassVar[tuple[str, ...]] = ()
    """Options that a step always needs, by the name that they have in torch."""
    slots: ClassVar[tuple[str, ...]] = ()
    """Names of the tensors of the state, which start at 0."""

    def __init__(self, momentum: float = 0.0, **options: Any) -> None:
        self.momentum = momentum
        self.options: Any = self.Options(**options)

    @classmethod
    def from_recipe(cls, recipe: Recipe) -> Self:
        """Make the optimizer of a recipe."""
        return cls(recipe.momentum, **recipe.optimizer_options)

    @classmethod
    def stateful(cls, parameters: Iterable[nn.Parameter], recipe: Recipe) -> torch.optim.Optimizer:
        """Make torch's optimizer."""
        rule = cls.from_recipe(recipe)
        momentum = {"momentum": rule.momentum} if cls.with_momentum else {}
        options = rule.options.model_dump() | momentum
        made: torch.optim.Optimizer = cls.original(parameters, lr=recipe.learning_rate, **options)
        return made

    @property
    def decoupled(self) -> bool:
        """Tell whether weight decay shrinks the parameters, instead of joining the gradients."""
        return bool(getattr(self.options, "decoupled_weight_decay", False))

    @property
    def structure(self) -> tuple[tuple[str, bool], ...]:
        """Return the options that decide the graph of a step, beside the names of the scalars."""
        return tuple((name, value) for name, value in self.options if isinstance(value, bool))

    def state(self, parameters: Tensors) -> State:
        """Return the initial state."""
        return {slot: _zeros(parameters) for slot in self.slots}

    def scalars(self, iterations: Iterations, learning_rate: Rates) -> Columns:
        """Return the numbers that a step needs, by name, for each iteration."""
        numbers = {name: getattr(self.options, name) for name in self.numbers}
        if "betas" in numbers:
            numbers["beta1"], numbers["beta2"] = numbers.pop("betas")
        for name in ("alpha", "rho", "beta1", "beta2"):
            if name in numbers:
                numbers[f"one_minus_{name}"] = 1 - numbers[name]
        if decay := self.options.weight_decay:
            numbers |= {"keep": 1 - learning_rate * decay} if self.decoupled else {"weight_decay": decay}
        return {name: np.full(len(iterations), value) for name, value in numbers.items()} | self.rates(
            iterations.astype(np.float64) + 1, np.ones(len(iterations)) * learning_rate
        )

    def rates(self, steps: npt.NDArray[np.float64], learning_rate: npt.NDArray[np.float64]) -> Columns:
        """Return the numbers that may change from step to step (1 is the first)."""
        return {"step_size": learning_rate}

    def update(self, parameters: Tensors, gradients: Tensors, state: State, scalars: Numbers) -> tuple[Tensors, State]:
        """Return parameters and state after one step."""
        updated: Tensors = {}
        after: State = {slot: {} for slot in state}
        for name, gradient in gradients.items():
            value = parameters[name]
            if "weight_decay" in scalars:
                gradient = gradient + scalars["weight_decay"] * value
            if "keep" in scalars:
                value = value * scalars["keep"]
            slots = {slot: state[slot][name] for slot in state}
            updated[name], slots = self.step(value, gradient, slots, scalars)
            for slot, tensor in slots.items():
                after[slot][name] = tensor
        return updated, after

    @abstractmethod
    def step(self, value: Tensor, gradient: Tensor, state: Tensors, scalars: Numbers) -> tuple[Tensor, Tensors]:
        """Return one parameter and its state after a step."""


def _zeros(parameters: Tensors) -> Tensors:
    return {name: torch.zeros_like(value) for name, value in parameters.items()}


def _moments(gradient: Tensor, state: Tensors, scalars: Numbers) -> Tensors:
    """Return the running means of a gradient and of its square."""
    return {
        "mean": state["mean"] + scalars["one_minus_beta1"] * (gradient - state["mean"]),
        "square": state["square"] * scalars["beta2"] + scalars["one_minus_beta2"] * gradient * gradient,
    }


class Adam(Rule):
    """Adam (Kingma & Ba, 2015, https://arxiv.org/abs/1412.6980)."""

    Options: ClassVar[type[BaseModel]] = spec.AdamOptions
    original: ClassVar[Any] = torch.optim.Adam
    numbers = ("betas", "eps")
    slots = ("mean", "square")

    def state(self, parameters: Tensors) -> State:
        """Return both moments, and the largest second moment for AMSGrad."""
        return super().state(parameters) | ({"largest": _zeros(parameters)} if self.options.amsgrad else {})

    def rates(self, steps: npt.NDArray[np.float64], learning_rate: npt.NDArray[np.float64]) -> Columns:
        """Return the step size and the root of the second bias correction."""
        beta1, beta2 = self.options.betas
        return {"step_size": learning_rate / (1 - beta1**steps), "correction": np.sqrt(1 - beta2**steps)}

    def step(self, value: Tensor, gradient: Tensor, state: Tensors, scalars: Numbers) -> tuple[Tensor, Tensors]:
        """Return one parameter and its state after a step."""
        after = _moments(gradient, state, scalars)
        square = after["square"]
        if self.options.amsgrad:
            square = after["largest"] = torch.maximum(state["largest"], square)
        scale = torch.sqrt(square) / scalars["correction"] + scalars["eps"]
        return value - scalars["step_size"] * after["mean"] / scale, after


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov & Hutter, 2019, https://arxiv.org/abs/1711.05101)."""

    Options = spec.AdamWOptions
    original = torch.optim.AdamW

    @property
    def decoupled(self) -> bool:
        """Return true."""
        return True


class NAdam(Rule):
    """Adam with Nesterov's momentum (Dozat, 2016, https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ)."""

    Options = spec.NAdamOptions
    original = torch.optim.NAdam
    numbers = ("betas", "eps")
    slots = ("mean", "square")

    def rates(self, steps: npt.NDArray[np.float64], learning_rate: npt.NDArray[np.float64]) -> Columns:
        """Return the weights of the gradient and of its mean, and the second bias correction's root."""
        (beta1, beta2), decay = self.options.betas, self.options.momentum_decay
        products = _momentum_products(beta1, decay, 1 << int(steps.max(initial=1)).bit_length())
        product = products[np.minimum(steps.astype(np.int64), len(products) - 1)]
        now, following = _momentum(beta1, decay, steps), _momentum(beta1, decay, steps + 1)
        return {
            "gradient_size": learning_rate * (1 - now) / (1 - product),
            "mean_size": learning_rate * following / (1 - product * following),
            "correction": np.sqrt(1 - beta2**steps),
        }

    def step(self, value: Tensor, gradient: Tensor, state: Tensors, scalars: Numbers) -> tuple[Tensor, Tensors]:
        """Return one parameter and its state after a step."""
        after = _moments(gradient, state, scalars)
        scale = torch.sqrt(after["square"]) / scalars["correction"] + scalars["eps"]
        value = value - scalars["gradient_size"] * gradient / scale
        return value - scalars["mean_size"] * after["mean"] / scale, after


def _momentum(beta1: float, decay: float, steps: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return beta1 * (1 - 0.5 * 0.96 ** (steps * decay))


@lru_cache(maxsize=16)
def _momentum_products(beta1: float, decay: float, steps: int) -> npt.NDArray[np.float64]:
    """Return the products of the momenta of the first 0, 1, … steps, at most up to where they are 0."""
    momenta = _momentum(beta1, decay, np.arange(1.0, steps + 1)).astype(np.float32)
    products = np.cumprod(momenta, dtype=np.float32).astype(np.float64)  # torch keeps the product in float32
    used = int(np.count_nonzero(products)) + 1  # all that follow are 0 as well
    return np.concatenate([[1.0], products[:used]])


class RAdam(Rule):
    """Rectified Adam (Liu et al., 2020, https://arxiv.org/abs/1908.03265)."""

    Options = spec.RAdamOptions
    original = torch.optim.RAdam
    numbers = ("betas", "eps")
    slots = ("mean", "square")

    def rates(self, steps: npt.NDArray[np.float64], learning_rate: npt.NDArray[np.float64]) -> Columns:
        """Return the step size, and the rectification, which is 0 while steps don't adapt to the second moment."""
        beta1, beta2 = self.options.betas
        power = beta2**steps
        longest = 2 / (1 - beta2) - 1
        length = longest - 2 * steps * power / (1 - power)
        adaptive = length > 5
        safe = np.where(adaptive, length, 6.0)
        root = (
            np.sqrt((safe - 4) * (safe - 2) * longest / ((longest - 4) * (longest - 2) * safe)) if longest > 5 else 0.0
        )
        return {
            "step_size": learning_rate / (1 - beta1**steps),
            "rectification": np.where(adaptive, root * np.sqrt(1 - power), 0.0),
        }

    def step(self, value: Tensor, gradient: Tensor, state: Tensors, scalars: Numbers) -> tuple[Tensor, Tensors]:
        """Return one parameter and its state after a step."""
        after = _moments(gradient, state, scalars)
        rectification = scalars["rectification"]
        adapted = rectification / (torch.sqrt(after["square"]) + scalars["eps"])
        scale = torch.where(rectification > 0, adapted, 1.0)
        return value - scalars["step_size"] * after["mean"] * scale, after


class Adamax(Rule):
    """Adam with the infinity norm (Kingma & Ba, 2015, https://arxiv.org/abs/1412.6980)."""

    Options = spec.AdamaxOptions
    original = torch.optim.Adamax
    numbers = ("betas", "eps")
    slots = ("mean", "largest")

    def rates(self, steps: npt.NDArray[np.float64], learning_rate: npt.NDArray[np.float64]) -> Columns:
        """Return the step size."""
        return {"step_size": learning_rate / (1 - self.options.betas[0] ** steps)}

    def step(self, value: Tensor, gradient: Tensor, state: Tensors, scalars: Numbers) -> tuple[Tensor, Tensors]:
        """Return one parameter and its state after a step."""
        mean = state["mean"] + scalars["one_minus_beta1"] * (gradient - state["mean"])
        largest = torch.maximum(state["largest"] * scalars["beta2"], gradient.abs() + scalars["eps"])
        return value - scalars["step_size"] * mean / largest, {"mean": mean, "largest": largest}


class SGD(Rule):
    """Gradient descent with momentum."""

    Options = spec.SGDOptions
    original = torch.optim.SGD
    with_momentum = True
    slots = ("velocity",)

    def rates(self, steps: npt.NDArray[np.float64], learning_rate: npt.NDArray[np.float64]) -> Columns:
        """Return the learning rate, the momentum, and the gradient's share in the velocity, which at first is 1."""
        columns = {"step_size": learning_rate, "momentum": np.full(len(steps), self.momentum)}
        if self.options.dampening:
            columns["share"] = np.where(steps == 1, 1.0, 1 - self.options.dampening)
        return columns

    def step(self, value: Tensor, gradient: Tensor, state: Tensors, scalars: Numbers) -> tuple[Tensor, Tensors]:
        """Return one parameter and its state after a step."""
        added = gradient * scalars["share"] if "share" in scalars else gradient
        velocity = state["velocity"] * scalars["momentum"] + added
        direction = gradient + scalars["momentum"] * velocity if self.options.nesterov else velocity
        return value - scalars["step_size"] * direction, {"velocity": velocity}


class RMSprop(Rule):
    """RMSprop (Hinton, 2012), centered as in Graves (2013, https://arxiv.org/abs/1308.0850)."""

    Options = spec.RMSpropOptions
    original = torch.optim.RMSprop
    with_momentum = True
    numbers = ("alpha", "eps")
    slots = ("square", "velocity")

    def state(self, parameters: Tensors) -> State:
        """Return the mean square and the velocity, and the mean if the optimizer is centered."""
        return super().state(parameters) | ({"mean": _zeros(parameters)} if self.options.centered else {})

    def rates(self, steps: npt.NDArray[np.float64], learning_rate: npt.NDArray[np.float64]) -> Columns:
        """Return the learning rate and the momentum."""
        return {"step_size": learning_rate, "momentum": np.full(len(steps), self.momentum)}

    def step(self, value: Tensor, gradient: Tensor, state: Tensors, scalars: Numbers) -> tuple[Tensor, Tensors]:
        """Return one parameter and its state after a step."""
        square = state["square"] * scalars["alpha"] + scalars["one_minus_alpha"] * gradient * gradient
        after, spread = {"square": square}, square
        if self.options.centered:
            mean = after["mean"] = state["mean"] + scalars["one_minus_alpha"] * (gradient - state["mean"])
            spread = square - mean * mean
        step = gradient / (torch.sqrt(spread) + scalars["eps"])
        velocity = after["velocity"] = state["velocity"] * scalars["momentum"] + step
        return value - scalars["step_size"] * velocity, after


class Adagrad(Rule):
    """Adagrad (Duchi, Hazan & Singer, 2011, https://jmlr.org/papers/v12/duchi11a.html)."""

    Options = spec.AdagradOptions
    original = torch.optim.Adagrad
    numbers = ("eps",)
    slots = ("sum",)

    def state(self, parameters: Tensors) -> State:
        """Return the sum of squares at its initial value."""
        start = self.options.initial_accumulator_value
        return {"sum": {name: torch.full_like(value, start) for name, value in parameters.items()}}

    def rates(self, steps: npt.NDArray[np.float64], learning_rate: npt.NDArray[np.float64]) -> Columns:
        """Return the decayed learning rate."""
        return {"step_size": learning_rate / (1 + (steps - 1) * self.options.lr_decay)}

    def step(self, value: Tensor, gradient: Tensor, state: Tensors, scalars: Numbers) -> tuple[Tensor, Tensors]:
        """Return one parameter and its state after a step."""
        total = state["sum"] + gradient * gradient
        return value - scalars["step_size"] * gradient / (torch.sqrt(total) + scalars["eps"]), {"sum": total}


class Adadelta(Rule):
    """Adadelta (Zeiler, 2012, https://arxiv.org/abs/1212.5701)."""

    Options = spec.AdadeltaOptions
    original = torch.optim.Adadelta
    numbers = ("rho", "eps")
    slots = ("square", "changes")

    def step(self, value: Tensor, gradient: Tensor, state: Tensors, scalars: Numbers) -> tuple[Tensor, Tensors]:
        """Return one parameter and its state after a step."""
        rho, rest, eps = scalars["rho"], scalars["one_minus_rho"], scalars["eps"]
        square = state["square"] * rho + rest * gradient * gradient
        delta = torch.sqrt(state["changes"] + eps) / torch.sqrt(square + eps) * gradient
        changes = state["changes"] * rho + rest * delta * delta
        return value - scalars["step_size"] * delta, {"square": square, "changes": changes}
