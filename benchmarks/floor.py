"""The floor: the least time of a run's iteration on this machine's vector units, written by hand in floor.cpp.

    python benchmarks/floor.py

compiles floor.cpp, checks that it trains and evaluates the same runs to the same weights and errors as the ensemble,
and measures it in one thread. If the check fails, it reports no time. The ensemble's time includes some work that the
floor does not: the value of the loss, the test for divergence, transposing the draws (which come with the inputs
innermost), and storing. The top of floor.cpp lists the operations that are counted per run and iteration.
"""

import ctypes
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from nalm.experiments.catalog import default_recipe
from nalm.spec.recipe import Recipe
from nalm.tasks.subsets.streams import HELD_OUT_ROWS, Sampler
from nalm.tasks.subsets.trainer import make_ensemble
from nalm.training.ensemble.loop import DRAWN_AT_ONCE, Ensemble
from nalm.training.optimizers import iteration_scalars
from nalm.workflows.benchmark import EVALUATE_EVERY, REPETITIONS, SEEDS, benchmark_tasks

SOURCE = Path(__file__).with_name("floor.cpp")
COMPILE = ["g++", "-std=c++17", "-O3", "-march=native", "-ffast-math", "-mprefer-vector-width=512", "-fPIC", "-c"]
SCALARS = ("step_size", "correction", "clip_norm", "l1", "weight", "gate")
PARAMETERS = {"RealNPU": ("weight", "gate"), "NRU": ("weight",), "NMRU": ("weight",)}

VECTOR = 16
"""Numbers in a vector register."""

SHORTEST = 0.2
"""Least seconds of a measurement."""

STARTS = (0, 41_000)
"""Iterations where the checked trainings start: before and after the regularizers' schedules rise."""
STEPS = {"RealNPU": 50, "NMRU": 25, "NRU": 5}
"""Iterations to check: until rounding makes runs differ, where a single run in float64 differs as much from both. NRU
reaches this point at once, because its learning rate is 1."""
AGREEING = {"RealNPU": 0.95, "NMRU": 0.95, "NRU": 0.9}
"""Share of the runs that must agree."""
TOLERANCE = 1e-3
"""Largest difference of weights, and of errors relative to the larger of the error and ``NEGLIGIBLE``."""
NEGLIGIBLE = 1e-5
"""The error below which a run has solved its task. Smaller errors are rounding."""

Array = npt.NDArray[Any]


class Floor(NamedTuple):
    """Microseconds per run and iteration, and the largest difference from the ensemble among the runs that agree."""

    training: float
    draws: float
    evaluation: float
    difference: float

    @property
    def total(self) -> float:
        """The least time of a run's iteration."""
        return self.training + self.draws + self.evaluation


def floor(module: str, inputs: int) -> float | None:
    """Return the least microseconds of a run's iteration, for ``nalm bench``; None for a module without a floor."""
    return measure(SOURCE, module, inputs).total if module in PARAMETERS else None


def measure(source: Path, module: str, inputs: int) -> Floor:
    """Compile, check and measure one module.

    Arguments:
        source: path of floor.cpp.
        module: one of ``PARAMETERS``.
        inputs: number of inputs.

    Raises:
        RuntimeError: the floor computes something else than the ensemble, or there is no compiler.
    """
    recipe = Recipe.model_validate(default_recipe(module))
    kernels = _compile(source, inputs, recipe.batch_size)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        difference = max(_check(kernels, recipe, inputs, start) for start in STARTS)
        ensemble = _ensemble(recipe, inputs, SEEDS)
        runs = Runs(kernels, ensemble)
        steps = max(1, DRAWN_AT_ONCE // ensemble.stack.sampler.numbers_per_batch)
        drawn, table = ensemble.stack.sampler.draw(steps).numpy(), _table(ensemble, np.arange(steps))
        streams = [np.random.RandomState(seed) for seed in range(SEEDS)]
        size = steps * inputs * recipe.batch_size
        return Floor(
            training=_microseconds(lambda: runs.train(drawn, table)) / steps / ensemble.runs,
            draws=_microseconds(lambda: [stream.random_sample(size) for stream in streams]) / steps / ensemble.runs,
            evaluation=_microseconds(runs.errors) / EVALUATE_EVERY / ensemble.runs,
            difference=difference,
        )
    finally:
        torch.set_num_threads(threads)


def _compile(source: Path, inputs: int, rows: int) -> ctypes.CDLL:
    """Compile and link separately: linking with -ffast-math would change the arithmetic of the whole process."""
    with tempfile.TemporaryDirectory() as directory:
        compiled, linked = f"{directory}/floor.o", f"{directory}/floor.so"
        sizes = [f"-DINPUTS={inputs}", f"-DROWS={rows}"]
        for command in ([*COMPILE, *sizes, str(source), "-o", compiled], ["g++", "-shared", compiled, "-o", linked]):
            try:
                subprocess.run(command, check=True, capture_output=True, text=True)
            except FileNotFoundError as error:
                raise RuntimeError("the floor needs g++") from error
            except subprocess.CalledProcessError as error:
                raise RuntimeError(f"g++ cannot compile the floor: {error.stderr}") from error
        return ctypes.CDLL(linked)


def _ensemble(recipe: Recipe, inputs: int, seeds: int) -> Ensemble:
    """Return an eager ensemble: the check needs its arithmetic, not its speed."""
    runs = [(task, seed) for seed in range(seeds) for task in benchmark_tasks(inputs)]
    return make_ensemble(recipe, runs, compiled=False)


def _streams(ensemble: Ensemble) -> list[Any]:
    sampler = ensemble.stack.sampler
    assert isinstance(sampler, Sampler)
    return sampler._streams


def _table(ensemble: Ensemble, iterations: npt.NDArray[np.int64]) -> Array:
    columns = iteration_scalars(ensemble.recipe, iterations)
    absent = np.zeros(len(iterations))
    return np.stack([columns.get(name, absent) for name in SCALARS], axis=1).astype(np.float32)


class Runs:
    """The runs of an ensemble in the layout of floor.cpp. The nine ranges of a seed are neighbours."""

    def __init__(self, kernels: ctypes.CDLL, ensemble: Ensemble) -> None:
        name, sampler, runs = ensemble.recipe.module.name, ensemble.stack.sampler, ensemble.runs
        self._train, self._errors = kernels[f"{name}_train"], kernels[f"{name}_errors"]
        placement = [sampler.layout.stream_index, *sampler.layout.corners]
        placement.append(torch.cat(sampler.layout.operands, 1))
        self.layout = [values[:runs].numpy().copy() for values in placement]
        self.parameters = flat(ensemble)
        self.moments = [np.zeros_like(self.parameters) for _ in range(2)]
        self.held_out = [
            (data.inputs.numpy(), data.input_index[:runs].numpy(), data.targets[data.target_index[:runs]].numpy())
            for data in (sampler.validation, sampler.test)
        ]
        assert HELD_OUT_ROWS % 80 == 0, "floor.cpp evaluates blocks of 80 rows"

    def train(self, drawn: Array, table: Array) -> None:
        """Train with draws of shape ``(iterations, streams, 1, inputs, rows)`` and the scalars of these iterations."""
        sizes = map(ctypes.c_int, (len(drawn), len(self.parameters), drawn.shape[1]))
        self._train(*sizes, *map(_pointer, (drawn, *self.layout, self.parameters, *self.moments, table)))

    def errors(self) -> list[Array]:
        """Return the validation and test errors of all runs."""
        results = []
        for inputs, index, targets in self.held_out:
            result = np.empty(len(self.parameters), np.float32)
            sizes = map(ctypes.c_int, (len(result), inputs.shape[-1]))
            self._errors(*sizes, *map(_pointer, (inputs, index, targets, self.parameters, result)))
            results.append(result)
        return results


def flat(ensemble: Ensemble) -> Array:
    """All parameters of every run, ``(runs, parameters)``, with zeros up to whole vectors."""
    names = PARAMETERS[ensemble.recipe.module.name]
    values = torch.cat([ensemble.stack.state.parameters[name].flatten(1) for name in names], 1)[: ensemble.runs].numpy()
    return np.pad(values, ((0, 0), (0, -values.shape[1] % VECTOR)))


def _pointer(values: Array) -> ctypes.c_void_p:
    assert values.flags.c_contiguous
    return ctypes.c_void_p(values.ctypes.data)


def _check(kernels: ctypes.CDLL, recipe: Recipe, inputs: int, start: int) -> float:
    ensemble = _ensemble(recipe, inputs, seeds=3)
    runs, steps = Runs(kernels, ensemble), STEPS[recipe.module.name]
    ensemble.iteration = start
    untouched, state = flat(ensemble), [stream.get_state() for stream in _streams(ensemble)]
    runs.train(ensemble.stack.sampler.draw(steps).numpy(), _table(ensemble, np.arange(start, start + steps)))
    for stream, before in zip(_streams(ensemble), state, strict=True):
        stream.set_state(before)
    with torch.no_grad():
        ensemble._advance(steps)
        differences = np.abs(runs.parameters - flat(ensemble)).max(1)
        runs.parameters = flat(ensemble)
        now, _ = ensemble.recorder._measure(ensemble.stack, ensemble.program)
        for ours, theirs in zip(runs.errors(), (now.validation_errors, now.test_errors), strict=True):
            differences = np.maximum(differences, np.abs(ours - theirs) / np.maximum(np.abs(theirs), NEGLIGIBLE))
    if np.abs(flat(ensemble) - untouched).max() < 10 * TOLERANCE:
        raise RuntimeError("the check of the floor trains too little to tell anything")
    agree = differences < TOLERANCE
    if agree.mean() < AGREEING[recipe.module.name]:
        raise RuntimeError(
            f"the floor of {recipe.module.name} computes something else: after {steps} iterations from {start}, "
            f"{agree.sum()} of {len(agree)} runs agree within {TOLERANCE:g}; the largest difference is "
            f"{differences.max():.2g}"
        )
    return float(differences[agree].max())


def _microseconds(work: Callable[[], object]) -> float:
    times = []
    for _ in range(REPETITIONS + 1):  # the first warms up
        calls, start = 0, time.perf_counter()
        while time.perf_counter() < start + SHORTEST:
            work()
            calls += 1
        times.append((time.perf_counter() - start) / calls)
    return statistics.median(times[1:]) * 1e6


def main() -> int:
    """Print the table, and return the exit code."""
    print(f"{'module':10}{'inputs':>8}" + "".join(f"{name:>12}" for name in (*Floor._fields, "total")))
    for inputs in (2, 10):
        for module in PARAMETERS:
            found = measure(SOURCE, module, inputs)
            times = "".join(f"{time:12.3f}" for time in found[:3])
            print(f"{module:10}{inputs:8}{times}{found.difference:12.1e}{found.total:12.3f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
