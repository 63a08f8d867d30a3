"""Trains networks that read the digits of a sequence of images and calculate with them, one at a time."""

import math
from collections.abc import Callable, Sequence
from time import time

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from nalm.modules.base import ArithmeticModule
from nalm.modules.digits import DigitEncoder, residual_encoder
from nalm.modules.recurrent import CELLS, Accumulator
from nalm.tasks.digits import Digits
from nalm.tasks.sequences import (
    TEST_SEED,
    TESTED_IMAGES,
    VALIDATED_IMAGES,
    VALIDATION_SEED,
    Sequences,
    SequenceTask,
    sequences,
    training_seed,
)
from nalm.threads import one_thread
from nalm.training.history import History
from nalm.training.notices import notices
from nalm.training.objective import criterion
from nalm.training.recipe import PARAMETER_NORMS, Recipe

__all__ = ["DigitNetwork", "SequenceTraining", "check_sequence"]

IMAGES_AT_ONCE = 256
"""When errors are measured: few enough to stay in the cache."""


REFUSED = ("second", "reinitialize", "stop_when_solved")
"""Fields of recipes that networks with an encoder cannot have."""


class DigitNetwork(nn.Module):
    r"""An encoder that says something of each image, and a module that calculates the next state from it and the last.

    .. math:: h_t = \mathrm{module}([\mathrm{encoder}(x_t), h_{t-1}])

    The state starts with 0 for sums and 1 for products; that of an LSTM or GRU with 0. For quotients the first digit is
    the first state.

    Arguments:
        task: what is learnt: it has the encoder and the operation.
        recipe: it has the module.
    """

    def __init__(self, task: SequenceTask, recipe: Recipe) -> None:
        super().__init__()
        cnn = task.encoder == "cnn"
        self.encoder = DigitEncoder(task.outputs) if cnn else residual_encoder(task.encoder, task.outputs)
        self.module = recipe.module.build(task.input_size, 1)
        self.divides = task.operation == "div"
        arithmetic = isinstance(self.module, ArithmeticModule | Accumulator)
        self.initial = task.initial if arithmetic else 0.0
        self.state_size: int = getattr(self.module, "state_size", 1)

    def reset_parameters(self) -> None:
        """Draws new initial parameters: the encoder's, if it can draw any, then the module's."""
        for part in (self.encoder, self.module):
            if callable(reset := getattr(part, "reset_parameters", None)):
                reset()

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Shape: ``(n, length, channels, height, width)`` to what :meth:`calculate` returns."""
        said = self.encoder(images.flatten(0, 1).contiguous(memory_format=torch.channels_last))
        return self.calculate(said.unflatten(0, images.shape[:2]))

    def calculate(self, said: Tensor) -> tuple[Tensor, Tensor]:
        """Results after every image, and all inputs of the module on the way.

        Shape: what the encoder says ``(n, length, outputs)`` to ``(n, results)`` and ``(n · results, inputs)``.
        """
        each = list(said.unbind(1))
        state = each.pop(0) if self.divides else said.new_full((len(said), self.state_size), self.initial)
        results, inputs = [], []
        for of_image in each:
            inputs.append(torch.cat([of_image, state], -1))
            state = self.module(inputs[-1])
            results.append(state[:, 0])
        return torch.stack(results, 1), torch.cat(inputs)


def check_sequence(recipe: Recipe, task: SequenceTask) -> None:
    """Checks that a network with the recipe's module can be trained on a task.

    Raises:
        ValueError: it cannot.
    """
    name = recipe.module.name
    for field in REFUSED:
        if getattr(recipe, field):
            raise ValueError(f"found {field} with sequences of images, expected none")
    if task.encoder != "cnn":
        try:
            residual_encoder(task.encoder, task.outputs)
        except ImportError as error:
            raise ValueError(str(error)) from None
    if name == Accumulator.__name__:
        operation = recipe.module.options.get("operation", "add")
        if operation != task.operation:
            raise ValueError(f"found an Accumulator that computes {operation}, expected {task.operation}")
        if recipe.regularizers:
            raise ValueError("found regularizers of an Accumulator, which has no parameters, expected none")
        recipe.module.build(task.input_size, 1)
    elif name in CELLS:
        _check_terms(recipe, set(PARAMETER_NORMS))
    else:
        recipe.check(task.input_size)
        module = recipe.module.probe(task.input_size)
        if isinstance(module, ArithmeticModule) and module.noise_shape(torch.Size((1, task.input_size))) is not None:
            raise ValueError(f"found {name} with noise, expected a module without any for sequences of images")


def _check_terms(recipe: Recipe, known: set[str]) -> None:
    for term in recipe.regularizers:
        if term not in known:
            raise ValueError(
                f"found regularizer {term!r}, expected one that {recipe.module.name} has: {', '.join(sorted(known))}"
            )


class SequenceTraining:
    """One network that learns a task, tested on sequences of several lengths: to a shard what an ensemble is.

    Arguments:
        recipe: how it is trained.
        runs: task and seed of each run: one seed, and tasks that differ in their test lengths only.
        device: where it trains.

    Raises:
        ValueError: the runs are not learnt by one network.
        NalmError: the images cannot be read.
    """

    compiled = False

    def __init__(self, recipe: Recipe, runs: Sequence[tuple[SequenceTask, int]], device: torch.device | str) -> None:
        if len({(task.training, seed) for task, seed in runs}) > 1:
            raise ValueError("runs that one network learns must have the same seed, and tasks but for the test length")
        self.recipe = recipe
        self.tasks = [task for task, _ in runs]
        self.runs = len(runs)
        self.device = torch.device(device)
        self.iteration = 0
        self.history = History()
        (self.task, self.seed), *_ = runs
        digits = self.task.load()
        notices.add(digits.sentence)
        self._data = _Data(self.task, self.tasks, digits, self.seed, recipe, self.device)
        self.network = self._initial_network()
        self.optimizer = self._optimizer()

    def _initial_network(self) -> DigitNetwork:
        """With weights of the run's seed, the encoder's before the module's: so networks of one seed start alike."""
        before = torch.get_default_dtype()
        with torch.random.fork_rng(devices=[]):
            torch.set_default_dtype(self.recipe.dtype)
            try:
                torch.manual_seed(self.seed)
                network = DigitNetwork(self.task, self.recipe)
                torch.manual_seed(self.seed)
                network.reset_parameters()
            finally:
                torch.set_default_dtype(before)
        for parameter in network.encoder.parameters():
            if parameter.ndim == 4:  # convolutions take half the time so
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
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
                on_pause(self)
            self._finish(diverged_at)
        return self.history

    def module(self, run: int) -> nn.Module:
        """The module that all runs share, as it is now, in evaluation mode."""
        return self.network.module.eval()

    def _update(self, reported: bool) -> None:
        recipe, network = self.recipe, self.network.train()
        images, targets = self._data.batch(self.iteration)
        results, inputs = network(images)
        if not self.task.every_step:
            results, targets = results[:, -1:], targets[:, -1:]
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
        """Weighted sum of the module's regularizers; the encoder is free."""
        module, penalty = self.network.module, inputs.new_zeros(())
        values = module.regularizers(inputs) if isinstance(module, ArithmeticModule) else {}
        for name, term in self.recipe.regularizers.items():
            (coefficient,) = term.values(np.array([self.iteration]))
            if term.below is not None and not self.history.validation_errors[-1][0] < term.below:
                continue
            if name in PARAMETER_NORMS:
                norms = [torch.linalg.vector_norm(value, PARAMETER_NORMS[name]) for value in module.parameters()]
                penalty = penalty + coefficient * torch.stack(norms).sum()
            else:
                penalty = penalty + coefficient * values[name]
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
        """Those of the module; the encoder's are too many to keep."""
        return {name: self._for_each_run(value) for name, value in self.network.module.named_parameters()}

    def _for_each_run(self, value: Tensor) -> npt.NDArray[np.float64]:
        array = value.detach().cpu().double().numpy()
        return np.repeat(array[np.newaxis], self.runs, axis=0)

    @torch.no_grad()
    def _errors(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """The validation error, and the test error of every length, in evaluation mode."""
        network, data = self.network.eval(), self._data
        on_validation, *on_test = (
            _error(network, network_says, held_out, self.task.every_step)
            for network_says, of_split in (
                (data.said(network, data.validation_images), [data.validation]),
                (data.said(network, data.test_images), data.test),
            )
            for held_out in of_split
        )
        return np.full(self.runs, on_validation), np.array(on_test)


class _HeldOut:
    """Sequences of one length on which errors are measured."""

    def __init__(self, made: Sequences, device: torch.device) -> None:
        self.images = torch.from_numpy(made.images).to(device)
        self.targets = torch.from_numpy(made.targets).to(device)


def _error(network: DigitNetwork, said: Tensor, held_out: _HeldOut, every_step: bool) -> float:
    """Mean squared error in float64: squares of long products are too large for less."""
    results, _ = network.calculate(said[held_out.images])
    squares = (results.double() - held_out.targets) ** 2
    return (squares if every_step else squares[:, -1]).mean().item()


class _Data:
    """Batches to train on, and sequences on which errors are measured."""

    def __init__(
        self,
        task: SequenceTask,
        tasks: Sequence[SequenceTask],
        digits: Digits,
        seed: int,
        recipe: Recipe,
        device: torch.device,
    ) -> None:
        self._digits, self._dtype, self._device = digits, recipe.dtype, device
        self._rows = recipe.batch_size
        self._stream = training_seed(seed)
        self._train_images = torch.from_numpy(digits.train.images)
        self._train = sequences(task, digits.train, task.length, self._stream)
        if not len(self._train.images):
            raise ValueError(f"found {len(digits.train.labels)} images to train on, expected {task.length} at least")
        self._epoch = -1
        self._order = np.empty(0, dtype=np.int64)
        self.validation_images = torch.from_numpy(digits.validation.images)
        self.test_images = torch.from_numpy(digits.test.images)
        validation = sequences(task, digits.validation, task.length, VALIDATION_SEED, VALIDATED_IMAGES)
        tests = [sequences(task, digits.test, task.test_length, TEST_SEED, TESTED_IMAGES) for task in tasks]
        self.validation = _HeldOut(validation, device)
        self.test = [_HeldOut(test, device) for test in tests]

    def batch(self, iteration: int) -> tuple[Tensor, Tensor]:
        """Images ``(n, length, …)`` and results of one iteration.

        Sequences are the same in all epochs, their order is not; the last batch of an epoch has what is left.
        """
        batches = -(-len(self._train.images) // self._rows)
        epoch, batch = divmod(iteration, batches)
        if epoch != self._epoch:
            self._epoch = epoch
            self._order = np.random.default_rng((self._stream, epoch)).permutation(len(self._train.images))
        rows = self._order[batch * self._rows : (batch + 1) * self._rows]
        targets = torch.from_numpy(self._train.targets[rows]).to(self._device, self._dtype)
        return self._scaled(self._train_images[torch.from_numpy(self._train.images[rows])]), targets

    def said(self, network: DigitNetwork, images: Tensor) -> Tensor:
        """What the encoder says of all images of a split."""
        parts = [network.encoder(self._scaled(part)) for part in torch.split(images, IMAGES_AT_ONCE)]
        return torch.cat(parts)

    def _scaled(self, images: Tensor) -> Tensor:
        values = images.to(self._device, self._dtype) / 255
        return (values - self._digits.mean) / self._digits.deviation
