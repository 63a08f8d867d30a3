"""Trains many runs of one recipe in lockstep."""

import contextlib
import gc
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from time import time

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from nalm.modules.base import ArithmeticModule
from nalm.tasks.sampling import Sampler
from nalm.tasks.task import Task
from nalm.threads import one_thread
from nalm.training.compiling import compiler_problem
from nalm.training.notices import notices
from nalm.training.optimizers import optimizer
from nalm.training.program import Iterations, Models, OneByOne, Program, Snapshot, Together, fixed_state
from nalm.training.recipe import Recipe
from nalm.training.restarts import Stuck

__all__ = ["Ensemble", "History"]

SMALLEST = 64
"""Models in a compiled ensemble, at least: fewer runs are filled up with copies of the last, which are not reported.

A compiler that sees fewer models orders its loops, and so its sums, in another way; from here on a run comes out bit by
bit the same in every company (measured with 2 inputs).
"""
VECTOR = 32
"""Models in an eager ensemble come in multiples of this, for the same reason: what does not fill a vector register is
computed by other instructions.
"""
DRAWN_AT_ONCE = 2**17
"""Numbers drawn ahead of the steps that use them: enough to make draws cheap, few enough to stay in the cache."""

Array = npt.NDArray[np.float64]

_PROGRAMS: dict[Hashable, Program] = {}
"""Programs of this process, by structure: a worker that trains many shards compiles each structure once."""


@dataclass
class History:
    """What happened to every run: arrays of ``(evaluations, runs)`` unless said otherwise.

    ``iterations`` and ``wall_times`` (seconds since the epoch) are ``(evaluations)``; ``parameters`` holds one array
    of ``(runs, …)`` per evaluation and one after the last update; ``buffers`` and the ``final`` errors are those after
    the last update, with the runs first; ``restarts`` lists, for each run, the iterations before which its parameters
    were drawn anew; ``diverged_at``, ``(runs)``, is the iteration of the first NaN weight, or -1.
    """

    iterations: list[int] = field(default_factory=list)
    wall_times: list[float] = field(default_factory=list)
    validation_errors: list[Array] = field(default_factory=list)
    test_errors: list[Array] = field(default_factory=list)
    sparsity_errors: list[Array] = field(default_factory=list)
    criteria: list[Array] = field(default_factory=list)
    penalties: list[Array] = field(default_factory=list)
    parameters: list[dict[str, Array]] = field(default_factory=list)
    buffers: dict[str, Array] = field(default_factory=dict)
    final_validation_errors: Array = field(default_factory=lambda: np.empty(0))
    final_test_errors: Array = field(default_factory=lambda: np.empty(0))
    restarts: list[list[int]] = field(default_factory=list)
    diverged_at: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))


class Ensemble:
    """The stacked models of a shard.

    A run comes out the same whatever company it has, in order and number (see ``SMALLEST`` and ``VECTOR``).
    Runs whose weights become NaN are frozen and disturb nobody.

    Arguments:
        recipe: how all of them are trained.
        runs: task and seed of each.
        device: where they train.
        compiled: whether to compile; where that is impossible they train eagerly, and a notice says so once.

    Raises:
        ValueError: the tasks differ in more than their intervals.
    """

    def __init__(
        self,
        recipe: Recipe,
        runs: Sequence[tuple[Task, int]],
        device: torch.device | str = "cpu",
        compiled: bool = True,
    ) -> None:
        self.recipe = recipe
        self.device = torch.device(device)
        self.runs = len(runs)
        self.iteration = 0
        self.history = History()
        columns = runs[0][0].input_size
        modules, generators = zip(*(_initial_module(recipe, columns, seed) for _, seed in runs), strict=True)
        self.generators: list[torch.Generator] = list(generators)
        self.stuck = Stuck(recipe.reinitialize, recipe.evaluate_every, len(runs)) if recipe.reinitialize else None
        self.noise_shape = _noise_shape(modules[0], torch.Size((recipe.batch_size, columns)))
        copies = max(0, SMALLEST - self.runs) if compiled else -self.runs % VECTOR
        self._stack([*runs, *[runs[-1]] * copies], [*modules, *[modules[-1]] * copies])
        program = self._vectorized_program(modules, compiled)
        if program is None:
            self._stack(runs, modules)
            models = OneByOne([module.to(self.device) for module in modules], recipe, self.generators)
            program = self._new_program(models, modules[0], compiled=False)
        self.program = program

    def _stack(self, runs: Sequence[tuple[Task, int]], modules: Sequence[nn.Module]) -> None:
        """Puts the data and the initial weights of all runs together."""
        self.sampler = Sampler(runs, self.recipe.batch_size, self.recipe.dtype, self.device)
        parameters = {
            name: torch.stack([module.get_parameter(name).detach() for module in modules]).to(self.device)
            for name, parameter in modules[0].named_parameters()
            if parameter.requires_grad
        }
        state = optimizer(self.recipe).state(parameters)
        self.snapshot = Snapshot(parameters, state, torch.full((len(runs),), -1, device=self.device))

    def _vectorized_program(self, modules: Sequence[nn.Module], compiled: bool) -> Program | None:
        """The program of ensembles of this structure, which those that differ only in numbers share.

        None if the models cannot be vectorized, which a notice says.
        """
        structure = self._structure(compiled)
        if structure in _PROGRAMS:
            return _PROGRAMS[structure]
        template = modules[0].to(self.device)
        models = Together(template, self.recipe)
        problem = self._vectorization_problem(modules, models)
        if problem is not None:
            notices.add(f"{self.recipe.module.name} cannot be vectorized ({problem}): its runs train one by one")
            return None
        problem = compiler_problem(self.device.type) if compiled else None
        if problem is not None:
            notices.add(f"cannot compile here ({problem}): training runs eagerly, many times slower")
        program = self._new_program(models, template, compiled and problem is None)
        if not fixed_state(template):  # which is the seed's, not the structure's
            _PROGRAMS[structure] = program
        return program

    def _new_program(self, models: Models, template: nn.Module, compiled: bool) -> Program:
        columns = list(self._scalars(np.zeros(1, dtype=np.int64)))
        return Program(models, template, self.recipe, self.sampler.batch, columns, compiled)

    def _structure(self, compiled: bool) -> Hashable:
        """All that decides the graph: what is left of a recipe without its numbers, and the shapes."""
        recipe, sampler = self.recipe, self.sampler
        return (
            recipe.module.model_dump_json(),
            recipe.criterion,
            recipe.optimizer,
            recipe.precision,
            tuple(self._scalars(np.zeros(1, dtype=np.int64))),
            sampler.layout,
            tuple(
                map(
                    tuple,
                    (tensor.shape for tensor in (*sampler.placement.operands, *sampler.validation, *sampler.test)),
                )
            ),
            (len(self.snapshot.diverged_at), sampler.numbers_per_batch, recipe.batch_size),
            self.device,
            compiled,
        )

    def _vectorization_problem(self, modules: Sequence[nn.Module], models: Together) -> str | None:
        """Why the module cannot be vectorized, found by looking at its buffers and by small steps, or None."""
        first, *others = map(fixed_state, modules)
        if any(not torch.equal(first[name], other[name]) for other in others for name in first):
            return "its buffers differ from run to run"
        rows = torch.ones(len(self.snapshot.diverged_at), 2, self.sampler.columns, dtype=self.recipe.dtype)
        rows = rows.to(self.device)
        scalars = {name: rows.new_ones(()) for name in self._scalars(np.zeros(1, dtype=np.int64))}
        own = {"validation_error": rows.new_ones(len(rows))} if self._asks_for_validation_errors else {}
        if (shape := _noise_shape(modules[0], rows.shape[1:])) is not None:
            own["noise"] = rows.new_full((len(rows), *shape), 0.5)
        try:
            models.gradients(self.snapshot.parameters, rows, rows[..., :1], scalars, own)
            models.errors(self.snapshot.parameters, rows, rows[..., :1])
        except RuntimeError as error:  # what vmap raises for everything it cannot do
            return str(error).strip().split(". ")[0].splitlines()[0]
        return None

    def _scalars(self, iterations: npt.NDArray[np.int64]) -> dict[str, Array]:
        """Everything about an iteration that is a number, by name, for each iteration."""
        recipe = self.recipe
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

    def train(
        self,
        on_evaluation: Callable[["Ensemble"], None] = lambda ensemble: None,
        on_pause: Callable[["Ensemble"], None] = lambda ensemble: None,
    ) -> History:
        """Trains to the end with one thread and returns what happened.

        Arguments:
            on_evaluation: called after every evaluation.
            on_pause: called every few iterations, when all that has happened can be captured (see
                :mod:`nalm.training.state`).
        """
        collection = _rare_garbage_collection() if self.program.compiled else contextlib.nullcontext()
        with torch.no_grad(), one_thread(), collection:
            self._train(on_evaluation, on_pause)
        return self.history

    @property
    def compiled(self) -> bool:
        """Whether the step is."""
        return self.program.compiled

    def module(self, run: int) -> nn.Module:
        """The model of one run as it is now, in evaluation mode."""
        module, _ = _initial_module(self.recipe, self.sampler.columns, seed=0)
        state = {**self.snapshot.parameters, **self.program.models.fixed(self.runs)}
        module.load_state_dict({name: value[run] for name, value in state.items()})
        return module.eval()

    def _train(self, on_evaluation: Callable[["Ensemble"], None], on_pause: Callable[["Ensemble"], None]) -> None:
        if len(self.history.diverged_at):  # it has finished
            return
        every, last = self.recipe.evaluate_every, self.recipe.iterations
        per_batch = self.sampler.numbers_per_batch
        while self.iteration <= last:
            if self.iteration % every == 0:
                self._evaluate()
                on_evaluation(self)
            if self.stuck is not None:
                self._restart(self.stuck.find(self.iteration, self.history.validation_errors))
            stops = [every] if self.stuck is None else [every, self.stuck.rule.every]
            until_stop = min(stop - self.iteration % stop for stop in stops)
            self._advance(min(until_stop, last + 1 - self.iteration, max(1, DRAWN_AT_ONCE // per_batch)))
            on_pause(self)
        self._finish()

    def _advance(self, steps: int) -> None:
        """Trains for some steps, of which only the first may be one that is reported."""
        drawn = self.sampler.draw(steps)
        iterations = np.arange(self.iteration, self.iteration + steps)
        table = np.stack(list(self._scalars(iterations).values()), axis=1)
        rows = torch.from_numpy(table).to(self.device, self.recipe.dtype)
        counters = torch.from_numpy(iterations).to(self.device)
        own: dict[str, Tensor] = {}
        if self._asks_for_validation_errors:
            errors = self._filled_up(torch.from_numpy(self.history.validation_errors[-1]))
            own["validation_error"] = errors.expand(steps, -1)
        if (noise := self._noise(steps)) is not None:
            own["noise"] = noise
        self.snapshot, report = self.program.train(
            self.snapshot, Iterations(drawn, rows, counters, own), self.sampler.placement
        )
        if self.iteration % self.recipe.evaluate_every == 0:
            criterion, penalty = report
            self.history.criteria.append(self._reported(criterion))
            self.history.penalties.append(self._reported(penalty))
        self.iteration += steps

    @property
    def draws_own_numbers(self) -> bool:
        """Whether runs may draw from their own generators, after their initial weights."""
        one_by_one = isinstance(self.program.models, OneByOne)
        return self.noise_shape is not None or self.stuck is not None or one_by_one

    @property
    def _asks_for_validation_errors(self) -> bool:
        return any(term.below is not None for term in self.recipe.regularizers.values())

    def _noise(self, steps: int) -> Tensor | None:
        """Noise of some steps, ``(steps, runs, …)``, every run's from its own generator; None if they take none."""
        if self.noise_shape is None:
            return None
        drawn = [
            torch.rand((steps, *self.noise_shape), dtype=self.recipe.dtype, generator=generator)
            for generator in self.generators
        ]
        return self._filled_up(torch.stack(drawn)).transpose(0, 1)

    def _filled_up(self, values: Tensor) -> Tensor:
        """Values of the runs, followed by those of the copies of the last."""
        copies = len(self.snapshot.diverged_at) - self.runs
        return torch.cat([values, *[values[-1:]] * copies]).to(self.device, self.recipe.dtype)

    def _restart(self, stuck: npt.NDArray[np.intp]) -> None:
        """Draws new parameters for some runs, which continue their own random numbers."""
        for run in stuck.tolist():
            module = _redrawn(self.module(run), self.generators[run])
            for name, values in self.snapshot.parameters.items():
                values[run : None if run == self.runs - 1 else run + 1] = module.get_parameter(name).detach()

    def _evaluate(self) -> None:
        history = self.history
        validation, test, sparsity = self._errors()
        history.iterations.append(self.iteration)
        history.wall_times.append(time())
        history.validation_errors.append(validation)
        history.test_errors.append(test)
        history.sparsity_errors.append(sparsity)
        history.parameters.append(self._parameters())
        gc.collect(1)

    def _finish(self) -> None:
        self.history.final_validation_errors, self.history.final_test_errors, _ = self._errors()
        self.history.parameters.append(self._parameters())
        self.history.restarts = self.stuck.restarts if self.stuck else [[] for _ in range(self.runs)]
        self.history.diverged_at = self.snapshot.diverged_at[: self.runs].cpu().numpy()
        fixed = self.program.models.fixed(self.runs)
        self.history.buffers = {name: self._reported(value) for name, value in fixed.items()}

    def _errors(self) -> tuple[Array, Array, Array]:
        sampler = self.sampler
        errors = self.program.evaluate(self.snapshot.parameters, sampler.validation, sampler.test)
        validation, test, sparsity = map(self._reported, errors)
        return validation, test, sparsity

    def _parameters(self) -> dict[str, Array]:
        return {name: self._reported(value) for name, value in self.snapshot.parameters.items()}

    def _reported(self, values: Tensor) -> Array:
        """What belongs to the runs, without the copies that fill the ensemble up."""
        return values[: self.runs].cpu().numpy().astype(np.float64)


@contextlib.contextmanager
def _rare_garbage_collection() -> Iterator[None]:
    """Keeps Python from looking for garbage between steps; evaluations look through what is new.

    A compiler leaves so many objects behind that looking through them again and again takes longer than some steps.
    """
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()


def _noise_shape(module: nn.Module, inputs: torch.Size) -> tuple[int, ...] | None:
    return module.noise_shape(inputs) if isinstance(module, ArithmeticModule) else None


def _initial_module(recipe: Recipe, in_features: int, seed: int) -> tuple[nn.Module, torch.Generator]:
    """A model with the run's initial weights, and a generator that goes on with the random numbers after theirs.

    It is constructed and then reset once more, as the original does.
    """
    before = torch.get_default_dtype()
    generator = torch.Generator()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.set_default_dtype(recipe.dtype)
        try:
            module = recipe.module.build(in_features, 1)
        finally:
            torch.set_default_dtype(before)
        generator.set_state(torch.get_rng_state())
    return _redrawn(module, generator), generator


def _redrawn(module: nn.Module, generator: torch.Generator) -> nn.Module:
    """The model with new weights from the generator, if it can draw any."""
    if callable(reset := getattr(module, "reset_parameters", None)):
        with torch.random.fork_rng(devices=[]):
            torch.set_rng_state(generator.get_state())
            reset()
            generator.set_state(torch.get_rng_state())
    return module
