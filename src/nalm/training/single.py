"""Trains recurrent networks, one at a time."""

import math
from collections.abc import Callable, Sequence
from time import time

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from nalm.modules.base import ArithmeticModule
from nalm.spec.recipe import PARAMETER_NORMS, Recipe
from nalm.tasks.networks import kind_of
from nalm.tasks.recurrent import RecurrentTask
from nalm.threads import one_thread
from nalm.training.history import History
from nalm.training.loss import criterion, parameter_norm
from nalm.training.recurrent import RecurrentNetwork

__all__ = ["SequenceTraining"]


class SequenceTraining:
    """One recurrent network that learns a task, maybe tested in several ways: to a shard what an ensemble is.

    Arguments:
        recipe: how it is trained.
        runs: task and seed of each run: one seed, and tasks that differ in what they are tested on only.
        device: where it trains.

    Raises:
        ValueError: the runs are not learnt by one network.
        NalmError: the data cannot be read.
    """

    compiled = False

    def __init__(self, recipe: Recipe, runs: Sequence[tuple[RecurrentTask, int]], device: torch.device | str) -> None:
        if len({(task.training, seed) for task, seed in runs}) > 1:
            raise ValueError("runs that one network learns must have the same seed, and tasks but for their tests")
        self.recipe = recipe
        self.runs = len(runs)
        self.device = torch.device(device)
        self.iteration = 0
        self.history = History()
        (self.task, self.seed), *_ = runs
        self._kind = kind_of(self.task)
        tasks = [task for task, _ in runs]
        self._data = self._kind.data(self.task, tasks, self.seed, recipe, self.device)
        self.network = self._initial_network()
        self.optimizer = self._optimizer()

    def _initial_network(self) -> RecurrentNetwork:
        """With weights of the run's seed."""
        before = torch.get_default_dtype()
        with torch.random.fork_rng(devices=[]):
            torch.set_default_dtype(self.recipe.dtype)
            try:
                torch.manual_seed(self.seed)
                network = self._kind.network(self.task, self.recipe)
                torch.manual_seed(self.seed)
                network.reset_parameters()
            finally:
                torch.set_default_dtype(before)
        return network.to(self.device)

    def _optimizer(self) -> torch.optim.Optimizer:
        recipe, parameters = self.recipe, self.network.parameters()
        if recipe.optimizer == "adam":
            return torch.optim.Adam(parameters, lr=recipe.learning_rate)
        return torch.optim.SGD(parameters, lr=recipe.learning_rate, momentum=recipe.momentum)

    def train(
        self,
        on_evaluation: Callable[["SequenceTraining"], None] = lambda training: None,
        on_pause: Callable[["SequenceTraining"], None] = lambda training: None,
    ) -> History:
        """Trains to the end with one thread and returns what happened.

        Arguments:
            on_evaluation: called after every evaluation.
            on_pause: called after every update, when all that has happened can be captured.
        """
        if len(self.history.diverged_at):  # it has finished
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
                if diverged_at < 0:  # what has diverged would not be known from its state
                    on_pause(self)
            self._finish(diverged_at)
        return self.history

    def module(self, run: int) -> nn.Module:
        """The module that all runs share, as it is now, in evaluation mode."""
        return self.network.module.eval()

    def _update(self, reported: bool) -> None:
        recipe, network = self.recipe, self.network.train()
        sequences, targets = self._data.batch(self.iteration)
        results, inputs = network(sequences)
        share = results.new_tensor(float(self.iteration < recipe.pcc_iterations))
        loss = criterion(recipe.criterion, results, targets, share)
        penalty = self._penalty(inputs)
        self.optimizer.zero_grad()
        torch.autograd.backward(loss + penalty)
        if recipe.clip_gradient_norm is not None:
            nn.utils.clip_grad_norm_(network.parameters(), recipe.clip_gradient_norm)
        if recipe.clip_gradient_value is not None:
            nn.utils.clip_grad_value_(network.parameters(), recipe.clip_gradient_value)
        self.optimizer.step()
        if isinstance(network.module, ArithmeticModule):
            network.module.project_()
        if reported:
            self.history.criteria.append(np.full(self.runs, loss.item()))
            self.history.penalties.append(np.full(self.runs, penalty.item()))

    def _penalty(self, inputs: Tensor) -> Tensor:
        """Weighted sum of the module's regularizers; all else is free."""
        penalty, values = inputs.new_zeros(()), self.network.regularizers(inputs)
        for name, term in self.recipe.regularizers.items():
            (coefficient,) = term.values(np.array([self.iteration]))
            if term.below is not None and not self.history.validation_errors[-1][0] < term.below:
                continue
            value = parameter_norm(name, self.network.module) if name in PARAMETER_NORMS else values[name]
            penalty = penalty + coefficient * value
        return penalty

    def _evaluate(self) -> None:
        history = self.history
        validation, test = self._errors()
        history.iterations.append(self.iteration)
        history.wall_times.append(time())
        history.validation_errors.append(validation)
        history.test_errors.append(test)
        module = self.network.module
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

    def _parameters(self) -> dict[str, npt.NDArray[np.float64]]:
        """Those of the module; an encoder's are too many to keep."""
        return {name: self._for_each_run(value) for name, value in self.network.module.named_parameters()}

    def _for_each_run(self, value: Tensor) -> npt.NDArray[np.float64]:
        array = value.detach().cpu().double().numpy()
        return np.repeat(array[np.newaxis], self.runs, axis=0)

    @torch.no_grad()
    def _errors(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """The validation error, and the test error of every task, in evaluation mode."""
        validation, tests = self._data.errors(self.network.eval())
        return np.full(self.runs, validation), np.array(tests)
