"""Trains many runs of one recipe in lockstep."""

import contextlib
import gc
from collections.abc import Callable, Hashable, Sequence
from time import time

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from nalm.log import notices
from nalm.spec.recipe import Recipe
from nalm.tasks.judging import run_threshold
from nalm.tasks.subsets.mersenne_twister import Twister, twister_problem
from nalm.tasks.subsets.streams import Sampler
from nalm.tasks.subsets.task import Task
from nalm.threads import one_thread
from nalm.training.compiling import compiler_problem, rare_garbage_collection
from nalm.training.ensemble.early_stopping import Members
from nalm.training.ensemble.step import Iterations, Models, OneByOne, Program, Snapshot, Together, fixed_state
from nalm.training.history import MOST_PARAMETERS, History
from nalm.training.initialization import initial_module, noise_shape, redrawn
from nalm.training.optimizers import iteration_scalars, optimizer
from nalm.training.restarts import Stuck

__all__ = ["Ensemble"]

SMALLEST = 64
"""Models in a compiled ensemble, at least: fewer runs are filled up with copies of the last, which are not reported.

A compiler that sees fewer models orders its loops, and so its sums, in another way; from here on a run comes out bit by
bit the same in every company (measured with 2 inputs).
"""
VECTOR = 32
"""Models in an eager ensemble come in multiples of this, for the same reason: what does not fill a vector register is
computed by other instructions.
"""
FEWEST_LEFT = 4
"""The same where runs are retired: such ensembles shrink, and their runs are the same up to rounding alone."""
DRAWN_AT_ONCE = 2**17
"""Numbers drawn ahead of the steps that use them: enough to make draws cheap, few enough to stay in the cache."""

Array = npt.NDArray[np.float64]
VALIDATION, TEST, DIVERGED = ("validation error", "test error", "diverged at")
"""What is final of a run besides its parameters; no parameter has such a name."""

_PROGRAMS: dict[Hashable, Program] = {}
"""Programs of this process, by structure: a worker that trains many shards compiles each structure once."""


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
        ValueError: the tasks differ in more than their intervals and operations.
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
        self._tasks_and_seeds = runs
        columns, self.hidden_size = runs[0][0].input_size, runs[0][0].hidden_size
        initial = (initial_module(recipe, columns, self.hidden_size, seed) for _, seed in runs)
        modules, generators = zip(*initial, strict=True)
        self.generators: list[torch.Generator] = list(generators)
        self.stuck = Stuck(recipe.reinitialize, recipe.evaluate_every, len(runs)) if recipe.reinitialize else None
        self.noise_shape = noise_shape(modules[0], torch.Size((recipe.batch_size, columns)))
        stops = recipe.stop_when_solved
        self.members = Members(len(runs), [run_threshold(recipe, task) for task, _ in runs] if stops else ())
        parameters = {
            name: torch.stack([module.get_parameter(name).detach() for module in modules]).to(self.device)
            for name, parameter in modules[0].named_parameters()
            if parameter.requires_grad
        }
        self.final = {name: np.full(len(runs), np.nan) for name in (VALIDATION, TEST, DIVERGED)}
        self.final |= {name: np.full(value.shape, np.nan) for name, value in parameters.items()}
        self._wanted_compiled = compiled
        fewest = FEWEST_LEFT if recipe.stop_when_solved else SMALLEST
        self._stack(max(len(runs), fewest) if compiled else len(runs) + -len(runs) % VECTOR)
        self.snapshot = self._filled(parameters)
        program = self._vectorized_program(modules, compiled)
        if program is None:
            self._stack(len(runs))
            self.snapshot = self._filled(parameters)
            models = OneByOne([module.to(self.device) for module in modules], recipe, self.generators)
            program = self._new_program(models, modules[0], compiled=False)
        self.program = program

    def _stack(self, size: int) -> None:
        """Makes room for so many models: of the runs that are present, then copies of the last of them."""
        present = [self._tasks_and_seeds[run] for run in self.members.present]
        runs = [*present, *[present[-1]] * (size - len(present))]
        faster = Twister if self._wanted_compiled and twister_problem() is None else None
        self.sampler = Sampler(runs, self.recipe.batch_size, self.recipe.dtype, self.device, faster)
        self.size = size

    def _filled(self, parameters: dict[str, Tensor]) -> Snapshot:
        """The start of training, from the initial weights of the runs."""
        filled = {name: self._filled_up(value) for name, value in parameters.items()}
        state = optimizer(self.recipe).state(filled)
        return Snapshot(filled, state, torch.full((self.size,), -1, device=self.device))

    def shrink(self, runs: npt.NDArray[np.int64], size: int) -> None:
        """Goes on with some of the runs that are present, in a stack of another size.

        It is compiled anew, unless this process has compiled such an ensemble before.
        """
        positions = np.flatnonzero(np.isin(self.members.present, runs))
        index = torch.tensor([*positions, *[positions[-1]] * (size - len(positions))], device=self.device)
        self.snapshot = tree_map_only(Tensor, lambda tensor: tensor.index_select(0, index), self.snapshot)
        before = self.sampler
        self.members.present = self.members.present[positions]
        self._stack(size)
        self.sampler.go_on_from(before)
        self._let_streams_rest()
        _, seed = self._tasks_and_seeds[runs[0]]
        module, _ = initial_module(self.recipe, self.sampler.columns, self.hidden_size, seed)
        program = self._vectorized_program([module], self._wanted_compiled)
        assert program is not None  # it was vectorized when it was larger
        self.program = program

    def _shrink_if_worthwhile(self) -> None:
        """Leaves out retired runs, if a much smaller stack is enough for the others; models one by one all go on."""
        left = self.members.left
        if len(left) in (0, len(self.members.present)) or isinstance(self.program.models, OneByOne):
            return
        size = 2 ** max(0, int(len(left) - 1).bit_length())
        size = max(size, FEWEST_LEFT) if self._wanted_compiled else len(left) + -len(left) % VECTOR
        if size <= 3 / 4 * self.size:
            self.shrink(left, size)

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
            notices.add(f"{self.recipe.architecture} cannot be vectorized ({problem}): its runs train one by one")
            return None
        problem = compiler_problem(self.device.type) if compiled else None
        if problem is not None:
            notices.add(f"cannot compile here ({problem}): training runs eagerly, many times slower")
        program = self._new_program(models, template, compiled and problem is None)
        if not fixed_state(template):  # which is the seed's, not the structure's
            _PROGRAMS[structure] = program
        return program

    def _new_program(self, models: Models, template: nn.Module, compiled: bool) -> Program:
        columns = list(iteration_scalars(self.recipe, np.zeros(1, dtype=np.int64)))
        return Program(models, template, self.recipe, self.sampler.batch, columns, compiled)

    def _structure(self, compiled: bool) -> Hashable:
        """All that decides the graph: what is left of a recipe without its numbers, and the shapes."""
        recipe, sampler = self.recipe, self.sampler
        return (
            recipe.model_dump_json(include={"module", "second"}),
            recipe.criterion,
            recipe.optimizer,
            recipe.precision,
            tuple(iteration_scalars(recipe, np.zeros(1, dtype=np.int64))),
            sampler.layout,
            tuple(sampler.operations),
            tuple(
                map(
                    tuple,
                    (tensor.shape for tensor in (*sampler.placement.operands, *sampler.validation, *sampler.test)),
                )
            ),
            (self.size, sampler.numbers_per_batch, recipe.batch_size),
            self.device,
            compiled,
        )

    def _vectorization_problem(self, modules: Sequence[nn.Module], models: Together) -> str | None:
        """Why the module cannot be vectorized, found by looking at its buffers and by small steps, or None."""
        first, *others = map(fixed_state, modules)
        if any(not torch.equal(first[name], other[name]) for other in others for name in first):
            return "its buffers differ from run to run"
        rows = torch.ones(self.size, 2, self.sampler.columns, dtype=self.recipe.dtype)
        rows = rows.to(self.device)
        scalars = {name: rows.new_ones(()) for name in iteration_scalars(self.recipe, np.zeros(1, dtype=np.int64))}
        own = {"validation_error": rows.new_ones(len(rows))} if self._asks_for_validation_errors else {}
        if (shape := noise_shape(modules[0], rows.shape[1:])) is not None:
            own["noise"] = rows.new_full((len(rows), *shape), 0.5)
        try:
            models.gradients(self.snapshot.parameters, rows, rows[..., :1], scalars, own)
            models.errors(self.snapshot.parameters, rows, rows[..., :1])
        except RuntimeError as error:  # what vmap raises for everything it cannot do
            return str(error).strip().split(". ")[0].splitlines()[0]
        return None

    def train(
        self,
        on_evaluation: Callable[["Ensemble"], None] = lambda ensemble: None,
        on_pause: Callable[["Ensemble"], None] = lambda ensemble: None,
    ) -> History:
        """Trains to the end with one thread and returns what happened.

        Arguments:
            on_evaluation: called after every evaluation.
            on_pause: called every few iterations, when all that has happened can be captured (see
                :mod:`nalm.training.ensemble.state`).
        """
        collection = rare_garbage_collection() if self.program.compiled else contextlib.nullcontext()
        with torch.no_grad(), one_thread(), collection:
            self._train(on_evaluation, on_pause)
        return self.history

    @property
    def compiled(self) -> bool:
        """Whether the step is."""
        return self.program.compiled

    def module(self, run: int) -> nn.Module:
        """The model of one run as it is now, in evaluation mode."""
        module, _ = initial_module(self.recipe, self.sampler.columns, self.hidden_size, seed=0)
        fixed = {name: value[run] for name, value in self.program.models.fixed(self.runs).items()}
        own = {name: values[self._position(run)] for name, values in self.snapshot.parameters.items()}
        if self.members.stopped_at[run] >= 0:
            own = {name: torch.from_numpy(self.final[name][run]) for name in self.snapshot.parameters}
        module.load_state_dict(own | fixed)
        return module.eval()

    def _position(self, run: int) -> int:
        """Where in the stack a run is; 0 if it is not."""
        return int(np.searchsorted(self.members.present, run)) if run in self.members.present else 0

    def _train(self, on_evaluation: Callable[["Ensemble"], None], on_pause: Callable[["Ensemble"], None]) -> None:
        if len(self.history.diverged_at):  # it has finished
            return
        every, last = self.recipe.evaluate_every, self.recipe.iterations
        per_batch = self.sampler.numbers_per_batch
        while self.iteration <= last and len(self.members.left):
            if self.iteration % every == 0:
                self._shrink_if_worthwhile()
                per_batch = self.sampler.numbers_per_batch
                self._evaluate()
                on_evaluation(self)
            if self.stuck is not None:
                self._restart(self.stuck.find(self.iteration, self.history.validation_errors))
            stops = [every] if self.stuck is None else [every, self.stuck.rule.every]
            until_stop = min(stop - self.iteration % stop for stop in stops) if len(self.members.left) else 1
            self._advance(min(until_stop, last + 1 - self.iteration, max(1, DRAWN_AT_ONCE // per_batch)))
            on_pause(self)
        self._finish()

    def _advance(self, steps: int) -> None:
        """Trains for some steps, of which only the first may be one that is reported."""
        drawn = self.sampler.draw(steps)
        iterations = np.arange(self.iteration, self.iteration + steps)
        table = np.stack(list(iteration_scalars(self.recipe, iterations).values()), axis=1)
        rows = torch.from_numpy(table).to(self.device, self.recipe.dtype)
        counters = torch.from_numpy(iterations).to(self.device)
        own: dict[str, Tensor] = {}
        if self._asks_for_validation_errors:
            errors = self._filled_up(torch.from_numpy(self.history.validation_errors[-1][self.members.present]))
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
            torch.rand((steps, *self.noise_shape), dtype=self.recipe.dtype, generator=self.generators[run])
            for run in self.members.present
        ]
        return self._filled_up(torch.stack(drawn)).transpose(0, 1)

    def _filled_up(self, values: Tensor) -> Tensor:
        """Values of the runs that are present, followed by those of the copies of the last."""
        return torch.cat([values, *[values[-1:]] * (self.size - len(values))]).to(self.device, self.recipe.dtype)

    def _restart(self, stuck: npt.NDArray[np.intp]) -> None:
        """Draws new parameters for some runs, which continue their own random numbers."""
        for run in stuck.tolist():
            module = redrawn(self.module(run), self.generators[run])
            position = self._position(run)
            end = None if position == len(self.members.present) - 1 else position + 1  # with the copies of the last
            for name, values in self.snapshot.parameters.items():
                values[position:end] = module.get_parameter(name).detach()

    def _evaluate(self) -> None:
        history = self.history
        history.iterations.append(self.iteration)
        validation, test, sparsity = self._errors()
        history.wall_times.append(time())
        history.validation_errors.append(validation)
        history.test_errors.append(test)
        history.sparsity_errors.append(sparsity)
        parameters = self._parameters()
        if self.keeps_parameters:
            history.parameters.append(parameters)
        retired = self.members.retire(self.iteration, validation, test, self._diverged_at() >= 0)
        self._keep(retired, parameters | {VALIDATION: validation, TEST: test, DIVERGED: self._diverged_at()})
        history.stopped_at = self.members.stopped_at
        if len(retired):
            self._let_streams_rest()
        gc.collect(1)

    def retire(self, stopped_at: npt.NDArray[np.int64]) -> None:
        """Puts back which runs had been retired, and when, once the history is what it was."""
        self.members.restore(stopped_at, self.history.validation_errors)
        self.history.stopped_at = self.members.stopped_at
        self._let_streams_rest()

    def _let_streams_rest(self) -> None:
        """Draws no more for runs that were retired."""
        self.sampler.draw_only_for([self._position(run) for run in self.members.left])

    @property
    def keeps_parameters(self) -> bool:
        """Whether parameters of every evaluation are kept."""
        numbers = sum(value[0].numel() for value in self.snapshot.parameters.values())
        return (self.recipe.iterations // self.recipe.evaluate_every + 1) * numbers <= MOST_PARAMETERS

    def _keep(self, runs: npt.NDArray[np.int64], values: dict[str, Array]) -> None:
        """Keeps what is final of runs."""
        for name, of_all in values.items():
            self.final[name][runs] = of_all[runs]

    def _diverged_at(self) -> Array:
        """Of all runs, as they are now; NaN for those that are not there any more."""
        return self._reported(self.snapshot.diverged_at)

    def _finish(self) -> None:
        validation, test, _ = self._errors()
        left = self.members.left
        self._keep(left, self._parameters() | {VALIDATION: validation, TEST: test, DIVERGED: self._diverged_at()})
        history = self.history
        history.final_validation_errors, history.final_test_errors = self.final[VALIDATION], self.final[TEST]
        history.parameters.append({name: self.final[name] for name in self.snapshot.parameters})
        history.restarts = self.stuck.restarts if self.stuck else [[] for _ in range(self.runs)]
        history.diverged_at = self.final[DIVERGED].astype(np.int64)
        fixed = self.program.models.fixed(self.runs)
        history.buffers = {name: _numbers(value) for name, value in fixed.items()}

    def _errors(self) -> tuple[Array, Array, Array]:
        sampler = self.sampler
        errors = self.program.evaluate(self.snapshot.parameters, sampler.validation, sampler.test)
        validation, test, sparsity = map(self._reported, errors)
        return validation, test, sparsity

    def _parameters(self) -> dict[str, Array]:
        return {name: self._reported(value) for name, value in self.snapshot.parameters.items()}

    def _reported(self, values: Tensor) -> Array:
        """What belongs to the runs, without the copies that fill the ensemble up; NaN for runs retired before."""
        last = self.history.iterations[-1] if self.history.iterations else 0
        return self.members.of_all(_numbers(values[: len(self.members.present)]), last)


def _numbers(values: Tensor) -> Array:
    return values.cpu().numpy().astype(np.float64)
