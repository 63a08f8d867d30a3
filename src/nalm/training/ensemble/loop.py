"""The training loop of an ensemble: many runs of one recipe in lockstep."""

import contextlib
import gc
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from nalm.spec.recipe import Recipe
from nalm.spec.thresholds import Threshold
from nalm.threads import one_thread
from nalm.training.compiling import rare_garbage_collection
from nalm.training.ensemble import state
from nalm.training.ensemble.data import MakeSampler
from nalm.training.ensemble.programs import make_program, vectorized_program
from nalm.training.ensemble.recording import Recorder
from nalm.training.ensemble.stack import Stack, stack_size
from nalm.training.ensemble.step import LoopedModels, StepInputs
from nalm.training.history import History
from nalm.training.initialization import initial_module, noise_shape, redrawn
from nalm.training.optimizers import iteration_scalars
from nalm.training.restarts import RestartTracker

__all__ = ["Ensemble"]

DRAWN_AT_ONCE = 2**17
"""Random numbers drawn at once, for several steps: enough to make draws cheap, few enough to stay in the cache."""

Array = npt.NDArray[np.float64]


class Ensemble:
    """Trains the stacked models of a shard in lockstep.

    The result of a run does not depend on which runs train beside it, on their number or their order. A run whose
    weights become NaN is frozen and does not affect the other runs.

    Arguments:
        recipe: the recipe of all runs.
        seeds: one seed per run, which decides the initial weights.
        build: builds the module that a recipe trains.
        make_sampler: makes the sampler of runs given by position.
        thresholds: one threshold per run for early stopping, or none.
        device: the device to train on.
        compiled: whether to compile; if that is impossible, runs train eagerly and a warning says so once.

    Raises:
        ValueError: the runs' data cannot be sampled together.
    """

    def __init__(
        self,
        recipe: Recipe,
        seeds: Sequence[int],
        build: Callable[[Recipe], nn.Module],
        make_sampler: MakeSampler,
        thresholds: Sequence[Threshold] = (),
        device: torch.device | str = "cpu",
        compiled: bool = True,
    ) -> None:
        self.recipe = recipe
        self.device = torch.device(device)
        self.runs = len(seeds)
        self.iteration = 0
        self._seeds = seeds
        self._build = build
        self._compile = compiled
        modules, generators = zip(*map(self._initial, seeds), strict=True)
        self.generators: list[torch.Generator] = list(generators)
        self.restarts = (
            RestartTracker(recipe.reinitialize, recipe.evaluate_every, self.runs) if recipe.reinitialize else None
        )
        parameters = {
            name: torch.stack([module.get_parameter(name).detach() for module in modules]).to(self.device)
            for name, parameter in modules[0].named_parameters()
            if parameter.requires_grad
        }
        self.recorder = Recorder(self.runs, recipe, thresholds, parameters)
        self.history = self.recorder.history
        size = stack_size(self.runs, recipe, compiled)
        self.stack = Stack(self.runs, size, recipe, make_sampler, self.device)
        self.noise_shape = noise_shape(modules[0], torch.Size((recipe.batch_size, self.stack.sampler.columns)))
        self.stack.start(parameters)
        program = vectorized_program(recipe, self.stack, modules, self.device, compiled)
        if program is None:
            self.stack.resize(self.runs)
            self.stack.start(parameters)
            models = LoopedModels([module.to(self.device) for module in modules], recipe, self.generators)
            program = make_program(recipe, self.stack, models, modules[0], compiled=False)
        self.program = program

    @property
    def compiled(self) -> bool:
        """Tell whether training steps are compiled."""
        return self.program.compiled

    @property
    def draws_own_numbers(self) -> bool:
        """Tell whether runs may draw from their own generators after their initial weights."""
        looped = isinstance(self.program.models, LoopedModels)
        return self.noise_shape is not None or self.restarts is not None or looped

    def train(
        self,
        on_evaluation: Callable[["Ensemble"], None] = lambda ensemble: None,
        on_pause: Callable[["Ensemble"], None] = lambda ensemble: None,
    ) -> History:
        """Train to the end with one thread and return the history.

        Arguments:
            on_evaluation: called after every evaluation.
            on_pause: called every few iterations, when :meth:`state_dict` is complete.
        """
        collection = rare_garbage_collection() if self.program.compiled else contextlib.nullcontext()
        with torch.no_grad(), one_thread(), collection:
            if not len(self.history.diverged_at):  # otherwise training has finished
                self._train(on_evaluation, on_pause)
                restarts = self.restarts.restarts if self.restarts else [[] for _ in range(self.runs)]
                self.recorder.finish(self.stack, self.program, restarts)
        return self.history

    def module(self, run: int) -> nn.Module:
        """Return the module of one run with its current parameters, in evaluation mode."""
        module, _ = self._initial(0)
        fixed = {name: value[run] for name, value in self.program.models.fixed(self.runs).items()}
        stacked = self.stack.state.parameters
        parameters = {name: values[self.stack.position(run)] for name, values in stacked.items()}
        if self.recorder.early_stopping.stopped_at[run] >= 0:
            parameters = {name: torch.from_numpy(self.recorder.final.parameters[name][run]) for name in stacked}
        module.load_state_dict(parameters | fixed)
        return module.eval()

    def state_dict(self) -> dict[str, Any]:
        """Return everything that training needs to resume bit by bit, as tensors and numbers."""
        return state.capture(self)

    def load_state_dict(self, saved: Any) -> None:
        """Restore a state into an ensemble that has not trained yet.

        Raises:
            ValueError: the state belongs to other runs; the ensemble must not be used afterwards.
        """
        state.restore(self, saved)

    def shrink(self, runs: npt.NDArray[np.int64], size: int) -> None:
        """Continue with some of the runs that are present, in a stack of another size.

        The program is compiled again, unless this process has compiled one of the same structure before.
        """
        self.stack.shrink(runs, size)
        self.stop_unused_streams()
        module, _ = self._initial(self._seeds[runs[0]])
        program = vectorized_program(self.recipe, self.stack, [module], self.device, self._compile)
        assert program is not None  # the larger stack was vectorized
        self.program = program

    def stop_unused_streams(self) -> None:
        """Stop drawing random numbers for runs that have stopped."""
        self.stack.sampler.draw_only_for([self.stack.position(run) for run in self.recorder.early_stopping.active])

    def _initial(self, seed: int) -> tuple[nn.Module, torch.Generator]:
        return initial_module(lambda: self._build(self.recipe), self.recipe.dtype, seed, self.recipe.init)

    def _train(self, on_evaluation: Callable[["Ensemble"], None], on_pause: Callable[["Ensemble"], None]) -> None:
        every, last = self.recipe.evaluate_every, self.recipe.iterations
        while self.iteration <= last and len(self.recorder.early_stopping.active):
            if self.iteration % every == 0:
                self._shrink_if_worthwhile()
                self._evaluate()
                on_evaluation(self)
            if self.restarts is not None:
                self._restart(self.restarts.find(self.iteration, self.history.validation_errors))
            stops = [every] if self.restarts is None else [every, self.restarts.rule.every]
            active = len(self.recorder.early_stopping.active)
            until_stop = min(stop - self.iteration % stop for stop in stops) if active else 1
            at_once = max(1, DRAWN_AT_ONCE // self.stack.sampler.numbers_per_batch)
            self._advance(min(until_stop, last + 1 - self.iteration, at_once))
            on_pause(self)

    def _shrink_if_worthwhile(self) -> None:
        """Drop runs that have stopped, if a much smaller stack holds the active ones. Looped models always stay."""
        active = self.recorder.early_stopping.active
        if len(active) in (0, len(self.stack.present)) or isinstance(self.program.models, LoopedModels):
            return
        power = 2 ** int(len(active) - 1).bit_length()  # few sizes, so that few programs are compiled
        size = stack_size(power if self._compile else len(active), self.recipe, self._compile)
        if size <= 3 / 4 * self.stack.size:
            self.shrink(active, size)

    def _advance(self, steps: int) -> None:
        """Train for some steps; only the first of them may be reported."""
        stack = self.stack
        drawn = stack.sampler.draw(steps)
        iterations = np.arange(self.iteration, self.iteration + steps)
        table = np.stack(list(iteration_scalars(self.recipe, iterations).values()), axis=1)
        scalars = torch.from_numpy(table).to(self.device, self.recipe.dtype)
        numbers = torch.from_numpy(iterations).to(self.device)
        per_run: dict[str, Tensor] = {}
        if self.recipe.asks_for_validation_errors:
            errors = stack.pad(torch.from_numpy(self.history.validation_errors[-1][stack.present]))
            per_run["validation_error"] = errors.expand(steps, -1)
        if (noise := self._noise(steps)) is not None:
            per_run["noise"] = noise
        inputs = StepInputs(drawn, scalars, numbers, per_run)
        stack.state, report = self.program.train(stack.state, inputs, stack.sampler.layout)
        if self.iteration % self.recipe.evaluate_every == 0:
            criterion, penalty = report
            self.recorder.report(stack, criterion, penalty)
        self.iteration += steps

    def _noise(self, steps: int) -> Tensor | None:
        """Draw the noise of some steps, ``(steps, runs, …)``, each run's from its own generator, or return None."""
        if self.noise_shape is None:
            return None
        drawn = [
            torch.rand((steps, *self.noise_shape), dtype=self.recipe.dtype, generator=self.generators[run])
            for run in self.stack.present
        ]
        return self.stack.pad(torch.stack(drawn)).transpose(0, 1)

    def _restart(self, stuck: npt.NDArray[np.intp]) -> None:
        """Draw new parameters for stuck runs, each from its own generator."""
        for run in stuck.tolist():
            module = redrawn(self.module(run), self.generators[run], self.recipe.init)
            names = self.stack.state.parameters
            self.stack.replace(run, {name: module.get_parameter(name).detach() for name in names})

    def _evaluate(self) -> None:
        if len(self.recorder.evaluate(self.iteration, self.stack, self.program)):
            self.stop_unused_streams()
        gc.collect(1)
