"""Speed: the time of a run's iteration in an ensemble, beside a plain PyTorch loop."""

import importlib.util
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from nalm.errors import NalmError
from nalm.experiments.catalog import default_recipe, load_experiment
from nalm.experiments.runs import Run, Shard
from nalm.modules import ArithmeticModule
from nalm.modules.operations import OPERATIONS
from nalm.spec.document import valid
from nalm.spec.ranges import Interval
from nalm.spec.recipe import PARAMETER_NORMS, Recipe
from nalm.store.store import Store
from nalm.tasks import start_training
from nalm.tasks.subsets.task import SubsetTask
from nalm.workflows.single import one_input_each

__all__ = ["EVALUATE_EVERY", "REPETITIONS", "SEEDS", "benchmark", "benchmark_tasks", "plain_loop"]

REPETITIONS = 5
ENSEMBLE_ITERATIONS = 4000
PLAIN_ITERATIONS = 1000
SEEDS = 25
TWO_LAYER_OPERATIONS = ("add", "sub", "mul", "div")
"""Operations that two layers learn."""
EVALUATE_EVERY = 1000

Floor = Callable[[str, int], float | None]
"""A module's name and its number of inputs, to microseconds; None where the floor is unknown."""


def benchmark(
    modules: Sequence[str] | None = None,
    inputs: Sequence[int] = (2,),
    say: Callable[[str], None] = lambda message: None,
    floor: Path | None = None,
    two_layers: bool = False,
) -> list[dict[str, Any]]:
    """Measure the time of a run's iteration, in an ensemble and in a plain PyTorch loop, in one thread.

    A single module learns division over the nine ranges with 25 seeds each. Two layers learn four operations on two
    sums of 100 inputs; these operations share their random numbers.

    The ensemble's time includes sampling, objective, clipping, optimizer, projection, evaluation every 1,000
    iterations, and storing, but not compiling. The plain loop trains one model, with the faster of torch's default and
    fused Adam. Both are measured in turn, five times; times are medians.

    Arguments:
        modules: names; those of Figure 3 by default. With two layers, labels of variants of that experiment; NAU and
            NMU by default.
        inputs: numbers of inputs of a single module.
        say: called with what is being measured.
        floor: a Python file to run, with a function ``floor(module, inputs)`` that returns the least microseconds of a
            run's iteration, or None if it is unknown. The repository's is ``benchmarks/floor.py``. Two layers have no
            floor.
        two_layers: whether to measure networks of two layers.

    Raises:
        NalmError: a module is unknown, there are too few inputs to divide, or the floor cannot be measured.

    Returns:
        A row per module and number of inputs: ``module``, ``inputs``, ``runs``, ``us_per_run_iteration``,
        ``plain_us`` (both microseconds), their ``ratio``, ``floor_us``, and ``floor_factor``, how many times the floor
        a run's iteration takes (both None without a floor).
    """
    measure_floor = _load_floor(floor) if floor else lambda module, inputs: None
    if min(inputs) < 2:
        raise NalmError(f"found {min(inputs)} inputs, expected at least 2")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        if two_layers:
            return _measure_two_layers(modules or ["NAU", "NMU"], say)
        return [
            _measure_module(module, count, measure_floor, say)
            for module in modules or ["RealNPU", "NRU", "NMRU"]
            for count in inputs
        ]
    finally:
        torch.set_num_threads(threads)


def _measure_two_layers(labels: Sequence[str], say: Callable[[str], None]) -> list[dict[str, Any]]:
    experiment = load_experiment("two-layer").narrowed(range(SEEDS), labels, TWO_LAYER_OPERATIONS)
    tasks = cast(list[SubsetTask], list(experiment.tasks.values()))
    rows = []
    for label, recipe in experiment.variants.items():
        say(f"measuring {label} with two layers")
        rows.append(_measure(label, recipe, tasks))
    return rows


def _measure_module(module: str, inputs: int, measure_floor: Floor, say: Callable[[str], None]) -> dict[str, Any]:
    say(f"measuring {module} with {inputs} inputs")
    try:
        floor = measure_floor(module, inputs)
    except RuntimeError as error:
        raise NalmError(f"cannot measure the floor: {error}") from error
    recipe = valid(Recipe, default_recipe(module))
    recipe.check(inputs)
    row = _measure(module, recipe, benchmark_tasks(inputs))
    return row | {"floor_us": floor, "floor_factor": floor and row["us_per_run_iteration"] / floor}


def _load_floor(path: Path) -> Floor:
    if not path.is_file():
        raise NalmError(f"found no file {path}, expected a Python file with a function floor(module, inputs)")
    spec = importlib.util.spec_from_file_location("nalm_floor", path)
    if spec is None or spec.loader is None:
        raise NalmError(f"found {path}, expected a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    if not callable(function := getattr(module, "floor", None)):
        raise NalmError(f"found no function floor(module, inputs) in {path}")
    return cast(Floor, function)


def _measure(name: str, recipe: Recipe, tasks: list[SubsetTask]) -> dict[str, Any]:
    recipe = recipe.model_copy(update={"iterations": ENSEMBLE_ITERATIONS - 1, "evaluate_every": EVALUATE_EVERY})
    runs = tuple(Run(recipe, task, seed) for task in tasks for seed in range(SEEDS))
    _time_ensemble(recipe.model_copy(update={"iterations": 10}), runs)  # compiles
    ensemble_times, plain_times = [], []
    for _ in range(REPETITIONS):
        ensemble_times.append(_time_ensemble(recipe, runs) / ENSEMBLE_ITERATIONS / len(runs))
        plain_times.append(min(plain_loop(recipe, tasks[0], PLAIN_ITERATIONS, fused) for fused in (False, True)))
    ensemble, plain = statistics.median(ensemble_times), statistics.median(plain_times)
    return {
        "module": name,
        "inputs": tasks[0].columns,
        "runs": len(runs),
        "us_per_run_iteration": ensemble * 1e6,
        "plain_us": plain * 1e6,
        "ratio": plain / ensemble,
        "floor_us": None,
        "floor_factor": None,
    }


def benchmark_tasks(inputs: int) -> list[SubsetTask]:
    """Return the tasks of dividing one input by another, for the nine ranges."""
    size = {"input_size": inputs, "subset_ratio": one_input_each(inputs)}
    tasks = cast(list[SubsetTask], list(load_experiment("figure-3").tasks.values()))
    return [task.model_copy(update=size) for task in tasks]


def _time_ensemble(recipe: Recipe, runs: tuple[Run, ...]) -> float:
    with tempfile.TemporaryDirectory() as directory:
        store = Store(Path(directory))
        store.make_directories()
        start = time.perf_counter()
        ensemble = start_training(recipe, [(run.task, run.seed) for run in runs])
        store.add(Shard(recipe, runs), ensemble.train(), {})
        return time.perf_counter() - start


def plain_loop(recipe: Recipe, task: SubsetTask, iterations: int, fused: bool) -> float:
    """Train one model in plain PyTorch, and return the seconds per iteration.

    The loss is written out here on purpose, as people write it.
    """
    torch.manual_seed(0)
    module = task.build(recipe)
    optimizer = torch.optim.Adam(module.parameters(), lr=recipe.learning_rate, fused=fused)
    assert isinstance(task.train, Interval)
    ((low, high),) = task.train.intervals

    compute, slices = OPERATIONS[task.operation].apply, [slice(*ends) for ends in task.slices(0)]

    def sample(rng: np.random.RandomState, rows: int) -> tuple[torch.Tensor, torch.Tensor]:
        x = rng.uniform(low, high, (rows, task.columns))
        operands = [x[:, columns].sum(1, keepdims=True) for columns in slices]
        return torch.tensor(x, dtype=torch.float32), torch.tensor(compute(operands), dtype=torch.float32)

    train_rng, held_out = np.random.RandomState(0), [sample(np.random.RandomState(seed), 10_000) for seed in (1, 2)]
    coefficients = {name: term.values(np.arange(iterations)) for name, term in recipe.regularizers.items()}
    start = time.perf_counter()
    for iteration in range(iterations):
        if iteration % EVALUATE_EVERY == 0:
            module.eval()
            with torch.no_grad():
                _errors = [((module(x) - target) ** 2).mean().item() for x, target in held_out]
            module.train()
        x, target = sample(train_rng, recipe.batch_size)
        optimizer.zero_grad()
        loss = ((module(x) - target) ** 2).mean()
        terms = module.regularizers() if isinstance(module, ArithmeticModule) else {}
        for name, values in coefficients.items():
            if name in PARAMETER_NORMS:
                term = sum(torch.linalg.vector_norm(p, PARAMETER_NORMS[name]) for p in module.parameters())
            else:
                term = terms[name]
            loss = loss + values[iteration] * term
        loss.backward()
        if recipe.clip_gradient_norm is not None:
            torch.nn.utils.clip_grad_norm_(module.parameters(), recipe.clip_gradient_norm)
        optimizer.step()
        if isinstance(module, ArithmeticModule):
            module.project_()
    return (time.perf_counter() - start) / iterations
