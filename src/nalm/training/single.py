"""Training of one network by itself, for one or several runs that share it."""

import math
from collections.abc import Callable
from time import time
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from nalm.modules.base import ArithmeticModule
from nalm.spec.optimizers import OPTIMIZERS
from nalm.spec.recipe import Recipe
from nalm.threads import one_thread
from nalm.training.history import SERIES, History
from nalm.training.initialization import draw_starts
from nalm.training.loss import Loss
from nalm.training.optimizers import Tensors, iteration_scalars, learning_rates
from nalm.training.recurrent import Data, RecurrentNetwork

__all__ = ["SingleTraining"]

Array = npt.NDArray[np.float64]


class SingleTraining:
    """Trains one network that several runs share; the runs differ only in their test data.

    Arguments:
        recipe: the recipe of all runs.
        build: builds the network.
        data: training, validation and test data.
        runs: number of runs that share the network.
        seed: decides the initial weights.
        device: the device to train on.
    """

    compiled = False

    def __init__(
        self,
        recipe: Recipe,
        build: Callable[[], RecurrentNetwork],
        data: Data,
        runs: int,
        seed: int,
        device: torch.device | str,
    ) -> None:
        self.recipe = recipe
        self.runs = runs
        self.device = torch.device(device)
        self.iteration = 0
        self.history = History()
        self.data = data
        self.network = _initial(build, recipe, seed).to(self.device)
        rule = OPTIMIZERS[recipe.optimizer_name]
        self.optimizer: torch.optim.Optimizer = rule.stateful(self.network.parameters(), recipe)
        self._loss = Loss(recipe)

    def train(
        self,
        on_evaluation: Callable[["SingleTraining"], None] = lambda training: None,
        on_pause: Callable[["SingleTraining"], None] = lambda training: None,
    ) -> History:
        """Train to the end with one thread and return the history.

        Arguments:
            on_evaluation: called after every evaluation.
            on_pause: called after every update, when :meth:`state_dict` is complete.
        """
        if len(self.history.diverged_at):  # training has finished
            return self.history
        diverged_at = -1
        with one_thread():
            while self.iteration <= self.recipe.iterations and diverged_at < 0:
                reported = self.iteration % self.recipe.evaluate_every == 0
                if reported:
                    self._evaluate()
                    on_evaluation(self)
                self._update(reported)
                self.iteration += 1
                if any(bool(parameter.isnan().any()) for parameter in self.network.parameters()):
                    diverged_at = self.iteration
                if diverged_at < 0:  # a state does not record divergence
                    on_pause(self)
            self._finish(diverged_at)
        return self.history

    def module(self, run: int) -> nn.Module:
        """Return the module that all runs share, with its current parameters, in evaluation mode."""
        return self.network.module.eval()

    def state_dict(self) -> dict[str, Any]:
        """Return everything that training needs to resume bit by bit, as tensors and numbers."""
        history = self.history
        return {
            "iteration": self.iteration,
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "history": {
                "iterations": list(history.iterations),
                "wall_times": list(history.wall_times),
                **{name: [torch.from_numpy(row) for row in getattr(history, name)] for name in SERIES},
                "parameters": [
                    {name: torch.from_numpy(value) for name, value in row.items()} for row in history.parameters
                ],
            },
        }

    def load_state_dict(self, state: Any) -> None:
        """Restore a state into a network that has not trained yet.

        Raises:
            ValueError: the state belongs to another network; this one must not be used afterwards.
        """
        try:
            self.network.load_state_dict(state["network"])
            self.optimizer.load_state_dict(state["optimizer"])
            saved, iteration = state["history"], state["iteration"]
            lengths = {len(saved[name]) for name in ("iterations", "wall_times", "parameters", *SERIES)}
            if not 0 <= iteration <= self.recipe.iterations + 1:
                raise ValueError(f"found a state at iteration {iteration}")
            expected = range(0, iteration, self.recipe.evaluate_every)
            if saved["iterations"] != list(expected) or lengths != {len(expected)}:
                raise ValueError("found a state that contradicts itself")
            if any(row.shape != (self.runs,) for name in SERIES for row in saved[name]):
                raise ValueError("found the state of other test lengths")
        except (KeyError, TypeError, AttributeError, RuntimeError) as error:
            raise ValueError(f"found the state of another network ({type(error).__name__})") from None
        history = self.history
        self.iteration = iteration
        history.iterations, history.wall_times = list(saved["iterations"]), list(saved["wall_times"])
        for name in SERIES:
            setattr(history, name, [row.numpy() for row in saved[name]])
        history.parameters = [{name: value.numpy() for name, value in row.items()} for row in saved["parameters"]]

    def _update(self, reported: bool) -> None:
        recipe, network = self.recipe, self.network.train()
        inputs, targets = self.data.batch(self.iteration)
        results, module_inputs = network(inputs)
        scalars = self._scalars()
        criterion = self._loss.criterion(results, targets, scalars["pcc"])
        penalty = self._penalty(module_inputs, scalars)
        self.optimizer.zero_grad()
        torch.autograd.backward(criterion + penalty)
        if recipe.clip_gradient_norm is not None:
            nn.utils.clip_grad_norm_(network.parameters(), recipe.clip_gradient_norm)
        if recipe.clip_gradient_value is not None:
            nn.utils.clip_grad_value_(network.parameters(), recipe.clip_gradient_value)
        if recipe.schedule is not None:
            (rate,) = np.atleast_1d(learning_rates(recipe, np.array([self.iteration]))).tolist()
            for group in self.optimizer.param_groups:
                group["lr"] = rate
        self.optimizer.step()
        if isinstance(network.module, ArithmeticModule):
            network.module.project_()
        if reported:
            self.history.criteria.append(np.full(self.runs, criterion.item()))
            self.history.penalties.append(np.full(self.runs, penalty.item()))

    def _scalars(self) -> Tensors:
        """Return the numbers of this iteration, by name (see ``iteration_scalars``)."""
        values = iteration_scalars(self.recipe, np.array([self.iteration]))
        return {name: self._number(value.item()) for name, value in values.items()}

    def _number(self, value: float) -> Tensor:
        return torch.tensor(value, dtype=self.recipe.dtype, device=self.device)

    def _penalty(self, module_inputs: Tensor, scalars: Tensors) -> Tensor:
        """Return the weighted sum of the module's regularizers for the inputs that it had."""
        terms = self.network.regularizers(module_inputs) if self._loss.terms else {}
        last_error = None
        if self.recipe.asks_for_validation_errors:
            last_error = self._number(self.history.validation_errors[-1][0])
        return self._loss.penalty(self.network.module, terms, scalars, last_error, module_inputs.new_zeros(()))

    def _evaluate(self) -> None:
        history, module = self.history, self.network.module
        validation, test = self._errors()
        history.iterations.append(self.iteration)
        history.wall_times.append(time())
        history.validation_errors.append(validation)
        history.test_errors.append(test)
        sparsity = module.sparsity_error().item() if isinstance(module, ArithmeticModule) else math.nan
        history.sparsity_errors.append(np.full(self.runs, sparsity))
        history.parameters.append(self._parameters())

    def _finish(self, diverged_at: int) -> None:
        history = self.history
        history.final_validation_errors, history.final_test_errors = self._errors()
        history.parameters.append(self._parameters())
        history.restarts = [[] for _ in range(self.runs)]
        history.diverged_at = np.full(self.runs, diverged_at)
        buffers = self.network.module.named_buffers()
        history.buffers = {name: self._for_each_run(buffer) for name, buffer in buffers}

    def _parameters(self) -> dict[str, Array]:
        """Return the module's parameters by name; an encoder has too many to store."""
        return {name: self._for_each_run(value) for name, value in self.network.module.named_parameters()}

    def _for_each_run(self, value: Tensor) -> Array:
        array = value.detach().cpu().double().numpy()
        return np.repeat(array[np.newaxis], self.runs, axis=0)

    @torch.no_grad()
    def _errors(self) -> tuple[Array, Array]:
        """Return the validation errors and the test errors of all runs, in evaluation mode."""
        validation, tests = self.data.errors(self.network.eval())
        return np.full(self.runs, validation), np.array(tests)


def _initial(build: Callable[[], RecurrentNetwork], recipe: Recipe, seed: int) -> RecurrentNetwork:
    """Return the network with the initial weights of a seed, decided by ``reset_parameters`` and ``init`` alone."""
    before = torch.get_default_dtype()
    with torch.random.fork_rng(devices=[]):
        torch.set_default_dtype(recipe.dtype)
        try:
            torch.manual_seed(seed)
            network = build()
            torch.manual_seed(seed)
            network.reset_parameters()
            recipe.check_starts(network.module)
            draw_starts(network.module, None, recipe.init)
        finally:
            torch.set_default_dtype(before)
    return network
