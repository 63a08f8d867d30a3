"""The program of an ensemble: one training step and one evaluation of all its models."""

import copy
from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, vmap

from nalm.modules.base import ArithmeticModule
from nalm.spec.recipe import Recipe
from nalm.training.compiling import Compiled
from nalm.training.ensemble.data import Batch, HeldOut, RunLayout
from nalm.training.loss import Objective, SquaredError
from nalm.training.optimizers import State, Tensors, clip_gradients, optimizer

__all__ = ["LoopedModels", "Models", "Program", "StepInputs", "TrainState", "VectorizedModels", "fixed_state"]


class TrainState(NamedTuple):
    """The values that change from step to step; the first dimension of every tensor counts the runs.

    ``diverged_at`` is the iteration whose forward pass would be the first with a NaN weight, or -1.
    """

    parameters: Tensors
    optimizer: State
    diverged_at: Tensor


class StepInputs(NamedTuple):
    """The inputs of one iteration. In stacked inputs, the first dimension of every tensor counts the iterations.

    Shapes: random numbers ``drawn (streams, layers, columns, rows)``; ``scalars (columns of the program)``; ``number``,
    the iteration as a scalar; ``per_run``, values of each run by name, ``(runs, …)``.
    """

    drawn: Tensor
    scalars: Tensor
    number: Tensor
    per_run: Tensors


Report = tuple[Tensor, Tensor]
"""Criteria and penalties of all runs."""


class Models(Protocol):
    """The models of an ensemble, which compute losses, gradients and errors."""

    def gradients(
        self, parameters: Tensors, x: Tensor, target: Tensor, scalars: Mapping[str, Tensor], per_run: Tensors
    ) -> tuple[Tensors, Tensor, Tensor]:
        """Return gradients, criterion and penalty of every run, from ``(runs, rows, I)`` and ``(runs, rows, 1)``."""

    def errors(self, parameters: Tensors, x: Tensor, target: Tensor) -> Tensor:
        """Return the mean squared error of every run in evaluation mode."""

    def fixed(self, runs: int) -> Tensors:
        """Return the models' buffers and frozen parameters by name, each ``(runs, …)``."""

    def restore(self, fixed: Tensors) -> None:
        """Restore the models' buffers and frozen parameters."""


class VectorizedModels:
    """All models in one vectorized computation: the gradient of the sum of their losses is that of each model."""

    def __init__(self, module: nn.Module, recipe: Recipe) -> None:
        self.objective = Objective(copy.deepcopy(module).train(), recipe)
        self.error = SquaredError(copy.deepcopy(module))

    def gradients(
        self, parameters: Tensors, x: Tensor, target: Tensor, scalars: Mapping[str, Tensor], per_run: Tensors
    ) -> tuple[Tensors, Tensor, Tensor]:
        """Return gradients, criterion and penalty of every run."""

        def one(parameters: Tensors, x: Tensor, target: Tensor, per_run: Tensors) -> tuple[Tensor, Tensor, Tensor]:
            args = (x, target, scalars, per_run)
            result: tuple[Tensor, Tensor, Tensor] = functional_call(self.objective, parameters, args)
            return result

        def all_losses(parameters: Tensors) -> tuple[Tensor, tuple[Tensor, Tensor]]:
            loss, criterion, penalty = vmap(one)(_prefixed(parameters), x, target, per_run)
            return loss.sum(), (criterion, penalty)

        gradients, (_, (criterion, penalty)) = grad_and_value(all_losses, has_aux=True)(parameters)
        return gradients, criterion, penalty

    def errors(self, parameters: Tensors, x: Tensor, target: Tensor) -> Tensor:
        """Return the mean squared error of every run in evaluation mode."""

        def one(parameters: Tensors, x: Tensor, target: Tensor) -> Tensor:
            error: Tensor = functional_call(self.error, parameters, (x, target))
            return error

        return vmap(one)(_prefixed(parameters), x, target)

    def fixed(self, runs: int) -> Tensors:
        """Return equal values for all runs: modules whose values change or differ are not vectorized."""
        return {name: value.expand(runs, *value.shape) for name, value in fixed_state(self.error.module).items()}

    def restore(self, fixed: Tensors) -> None:
        """Do nothing: the values never change."""


class LoopedModels:
    """Models that cannot be vectorized (batch normalization, ``.item()`` …) and train one by one.

    Every run has its own module, buffers and random numbers, so its results don't depend on the other runs.
    """

    def __init__(self, modules: list[nn.Module], recipe: Recipe, generators: list[torch.Generator]) -> None:
        self.objectives = [Objective(module, recipe) for module in modules]
        self.squared_errors = [SquaredError(module) for module in modules]
        self.generators = generators

    def gradients(
        self, parameters: Tensors, x: Tensor, target: Tensor, scalars: Mapping[str, Tensor], per_run: Tensors
    ) -> tuple[Tensors, Tensor, Tensor]:
        """Return gradients, criterion and penalty of every run."""
        gradients: dict[str, list[Tensor]] = {name: [] for name in parameters}
        reports = []
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            for run, objective in enumerate(self.objectives):
                torch.set_rng_state(self.generators[run].get_state())
                leaves = {name: value[run].clone().requires_grad_() for name, value in parameters.items()}
                args = (x[run], target[run], scalars, {name: value[run] for name, value in per_run.items()})
                loss, *report = functional_call(objective.train(), _prefixed(leaves), args)
                derivatives = torch.autograd.grad(
                    loss, list(leaves.values()), allow_unused=True, materialize_grads=True
                )
                for name, gradient in zip(leaves, derivatives, strict=True):
                    gradients[name].append(gradient)
                reports.append(torch.stack(report).detach())
                self.generators[run].set_state(torch.get_rng_state())
        criterion, penalty = torch.stack(reports).unbind(1)
        return {name: torch.stack(values) for name, values in gradients.items()}, criterion, penalty

    def errors(self, parameters: Tensors, x: Tensor, target: Tensor) -> Tensor:
        """Return the mean squared error of every run in evaluation mode."""
        errors = []
        for run, squared_error in enumerate(self.squared_errors):
            selected = {name: value[run] for name, value in parameters.items()}
            errors.append(functional_call(squared_error.eval(), _prefixed(selected), (x[run], target[run])))
        return torch.stack(errors)

    def fixed(self, runs: int) -> Tensors:
        """Return the buffers and frozen parameters of every run."""
        states = [fixed_state(objective.module) for objective in self.objectives]
        return {name: torch.stack([state[name] for state in states]) for name in states[0]}

    def restore(self, fixed: Tensors) -> None:
        """Restore the buffers and frozen parameters of every run."""
        for run, objective in enumerate(self.objectives):
            objective.module.load_state_dict({name: value[run] for name, value in fixed.items()}, strict=False)


def fixed_state(module: nn.Module) -> Tensors:
    """Return a module's buffers and the parameters that need no gradient."""
    trained = {name for name, parameter in module.named_parameters() if parameter.requires_grad}
    return {name: value.detach() for name, value in module.state_dict().items() if name not in trained}


def _prefixed(parameters: Tensors) -> Tensors:
    return {f"module.{name}": value for name, value in parameters.items()}


class Program:
    """One training step and one evaluation of an ensemble.

    Arguments:
        models: the models, which compute losses and gradients.
        module: one of the models, for its bounds and its sparsity error.
        recipe: decides the graph. Its numbers, which may differ between variants, arrive as ``scalars``.
        batch: maps draws to inputs and targets.
        columns: names of an iteration's scalars, in order.
        compiled: whether to compile.
        steady: whether the models, their loss and their data are known to compute the same in every call.
    """

    def __init__(
        self,
        models: Models,
        module: nn.Module,
        recipe: Recipe,
        batch: Batch,
        columns: list[str],
        compiled: bool,
        steady: bool = False,
    ) -> None:
        self.models = models
        self._step = Compiled(_step(models, module, recipe, batch, columns), recipe.architecture, compiled, steady)
        self._evaluate = Compiled(_evaluate(models, module), recipe.architecture, compiled, steady)

    @property
    def compiled(self) -> bool:
        """Tell whether steps are compiled."""
        return self._step.compiled

    def train(self, state: TrainState, iterations: StepInputs, layout: RunLayout) -> tuple[TrainState, Report]:
        """Train for some iterations; return the state after them, and the report of the first."""
        return self._step.repeat(state, iterations, layout)

    def evaluate(self, parameters: Tensors, validation: HeldOut, test: HeldOut) -> tuple[Tensor, Tensor, Tensor]:
        """Return validation, test and sparsity errors of all runs."""
        return self._evaluate(parameters, validation, test)


Step = Callable[[TrainState, StepInputs, RunLayout], tuple[TrainState, Report]]
Evaluate = Callable[[Tensors, HeldOut, HeldOut], tuple[Tensor, Tensor, Tensor]]


def _step(models: Models, module: nn.Module, recipe: Recipe, batch: Batch, columns: list[str]) -> Step:
    rule = optimizer(recipe)
    bounds = module.bounds() if isinstance(module, ArithmeticModule) else {}

    def step(before: TrainState, inputs: StepInputs, layout: RunLayout) -> tuple[TrainState, Report]:
        scalars = dict(zip(columns, inputs.scalars.unbind(0), strict=True))
        x, targets = batch(inputs.drawn, layout)
        gradients, criterion, penalty = models.gradients(
            before.parameters, x.transpose(1, 2), targets.unsqueeze(-1), scalars, inputs.per_run
        )
        gradients = clip_gradients(gradients, scalars)
        updated, state = rule.update(before.parameters, gradients, before.optimizer, scalars)
        updated = {name: value.clamp(*bounds[name]) if name in bounds else value for name, value in updated.items()}
        alive = before.diverged_at < 0
        broken = torch.stack([value.isnan().flatten(1).any(1) for value in updated.values()]).any(0)
        after = TrainState(
            {name: _where(alive, value, before.parameters[name]) for name, value in updated.items()},
            state,
            torch.where(alive & broken, inputs.number + 1, before.diverged_at),
        )
        return after, (criterion, penalty)

    return step


def _evaluate(models: Models, module: nn.Module) -> Evaluate:
    sparsity_error = _SparsityError(module)

    def error(parameters: Tensors, data: HeldOut) -> Tensor:
        inputs = data.inputs[data.input_index].transpose(1, 2)
        return models.errors(parameters, inputs, data.targets[data.target_index].unsqueeze(-1))

    def evaluate(parameters: Tensors, validation: HeldOut, test: HeldOut) -> tuple[Tensor, Tensor, Tensor]:
        sparsity = vmap(lambda values: functional_call(sparsity_error, values, ()))(_prefixed(parameters))
        return error(parameters, validation), error(parameters, test), sparsity

    return evaluate


class _SparsityError(nn.Module):
    """The sparsity error of a module, or NaN if the module does not define any."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self) -> Tensor:
        if isinstance(self.module, ArithmeticModule):
            return self.module.sparsity_error()
        return next(self.module.parameters()).new_full((), float("nan"))


def _where(alive: Tensor, new: Tensor, old: Tensor) -> Tensor:
    return torch.where(alive.reshape(-1, *[1] * (new.ndim - 1)), new, old)
