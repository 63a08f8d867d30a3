"""Speed: the time of a run's iteration in an ensemble, beside a plain PyTorch loop."""

import importlib.util
import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
"""Least number of repetitions. Their range misses the median with a chance of 1 in 16 if they are independent."""
TRAINING = 4000
"""Iterations that share the costs of one training: preparing, the last evaluation, and storing."""
SEEDS = 25
TWO_LAYER_OPERATIONS = ("add", "sub", "mul", "div")
"""Operations that two layers learn."""
EVALUATE_EVERY = 1000

Floor = Callable[[str, int], float | None]
"""A module's name and its number of inputs, to microseconds; None where the floor is unknown."""


@dataclass(frozen=True)
class Procedure:
    """How long a benchmark measures.

    Arguments:
        ensemble: iterations of the ensemble in a repetition.
        plain: iterations of each plain loop in a repetition.
        repetitions: the largest number of repetitions; the least is ``REPETITIONS``.
        seconds: time for all rows, after which no repetition starts.
    """

    ensemble: int
    plain: int
    repetitions: int
    seconds: float

    def repeat(self, measure: Callable[[], tuple[float, float]], end: float) -> list[tuple[float, float]]:
        """Return the results of repeated measurements; those above the least number start before ``end``."""
        found = [measure() for _ in range(REPETITIONS)]
        while len(found) < self.repetitions and time.perf_counter() < end:
            found.append(measure())
        return found


QUICK = Procedure(ensemble=1000, plain=100, repetitions=11, seconds=45.0)
THOROUGH = Procedure(ensemble=TRAINING, plain=1000, repetitions=REPETITIONS, seconds=0.0)


def benchmark(
    modules: Sequence[str] | None = None,
    inputs: Sequence[int] = (2,),
    say: Callable[[str], None] = lambda message: None,
    floor: Path | None = None,
    two_layers: bool = False,
    thorough: bool = False,
) -> list[dict[str, Any]]:
    """Measure the time of a run's iteration, in an ensemble and in a plain PyTorch loop, in one thread.

    A single module learns division over the nine ranges with 25 seeds each. Two layers learn four operations on two
    sums of 100 inputs; these operations share their random numbers.

    The ensemble's time includes preparing the models, sampling, objective, clipping, optimizer, projection, evaluation
    every 1,000 iterations, and storing, but not compiling. Preparing and storing are shared by 4,000 iterations. The
    plain loop trains one model, with the faster of torch's default and fused Adam.

    After a warm-up, ensemble and plain loop are measured in turn. A repetition has 1,000 iterations of the ensemble
    and 100 of the plain loop. There are 5 to 11 repetitions: as many as fit into 45 seconds for all rows, which include
    compiling, but at least 5. Each quantity is the median of the repetitions, with the lowest and the highest. The
    ratio is taken within each repetition.

    Arguments:
        modules: names; those of Figure 3 by default. With two layers, labels of variants of that experiment; NAU and
            NMU by default.
        inputs: numbers of inputs of a single module.
        say: called with what is being measured.
        floor: a Python file to run, with a function ``floor(module, inputs)`` that returns the least microseconds of a
            run's iteration, or None if it is unknown. The repository's is ``benchmarks/floor.py``. Two layers have no
            floor.
        two_layers: whether to measure networks of two layers.
        thorough: whether to repeat 4,000 iterations of the ensemble and 1,000 of the plain loop five times, however
            long that takes.

    Raises:
        NalmError: a module is unknown, there are too few inputs to divide, or the floor cannot be measured.

    Returns:
        A row per module and number of inputs: ``module``, ``inputs``, ``runs``, ``repetitions``, and the medians
        ``us_per_run_iteration``, ``plain_us`` (both microseconds) and ``ratio``, each followed by its lowest and
        highest value, such as ``ratio_low`` and ``ratio_high``; then ``floor_us``, and ``floor_factor``, how many times
        the floor a run's iteration takes (both None without a floor).
    """
    procedure = THOROUGH if thorough else QUICK
    measure_floor = _load_floor(floor) if floor else lambda module, inputs: None
    if min(inputs) < 2:
        raise NalmError(f"found {min(inputs)} inputs, expected at least 2")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        if two_layers:
            return _measure_two_layers(modules or ["NAU", "NMU"], procedure, say)
        return _measure_modules(modules or ["RealNPU", "NRU", "NMRU"], inputs, procedure, measure_floor, say)
    finally:
        torch.set_num_threads(threads)


def _measure_two_layers(
    labels: Sequence[str], procedure: Procedure, say: Callable[[str], None]
) -> list[dict[str, Any]]:
    experiment = load_experiment("two-layer").narrowed(range(SEEDS), labels, TWO_LAYER_OPERATIONS)
    tasks = cast(list[SubsetTask], list(experiment.tasks.values()))
    seconds = procedure.seconds / len(experiment.variants)
    rows = []
    for label, recipe in experiment.variants.items():
        say(f"measuring {label} with two layers")
        rows.append(_measure(label, recipe, tasks, procedure, seconds))
    return rows


def _measure_modules(
    modules: Sequence[str],
    inputs: Sequence[int],
    procedure: Procedure,
    measure_floor: Floor,
    say: Callable[[str], None],
) -> list[dict[str, Any]]:
    seconds = procedure.seconds / len(modules) / len(inputs)
    rows = []
    for module, count in itertools.product(modules, inputs):
        recipe = valid(Recipe, default_recipe(module))
        recipe.check(count)
        say(f"measuring {module} with {count} inputs")
        floor = _floor_of(measure_floor, module, count)
        row = _measure(module, recipe, benchmark_tasks(count), procedure, seconds)
        rows.append(row | {"floor_us": floor, "floor_factor": floor and row["us_per_run_iteration"] / floor})
    return rows


def _floor_of(floor: Floor, module: str, inputs: int) -> float | None:
    try:
        return floor(module, inputs)
    except RuntimeError as error:
        raise NalmError(f"cannot measure the floor: {error}") from error


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


def _measure(
    name: str, recipe: Recipe, tasks: list[SubsetTask], procedure: Procedure, seconds: float
) -> dict[str, Any]:
    end = time.perf_counter() + seconds
    runs = tuple(Run(recipe, task, seed) for task in tasks for seed in range(SEEDS))

    def measure(ensemble: int, plain: int) -> tuple[float, float]:
        return (
            _time_ensemble(recipe, runs, ensemble),
            min(plain_loop(recipe, tasks[0], plain, fused) for fused in (False, True)),
        )

    measure(10, 10)  # compiles
    found = procedure.repeat(lambda: measure(procedure.ensemble, procedure.plain), end)
    ensemble, plain = zip(*found, strict=True)
    return {
        "module": name,
        "inputs": tasks[0].columns,
        "runs": len(runs),
        "repetitions": len(found),
        **_summary("us_per_run_iteration", [seconds * 1e6 for seconds in ensemble]),
        **_summary("plain_us", [seconds * 1e6 for seconds in plain]),
        **_summary("ratio", [there / here for here, there in found]),
        "floor_us": None,
        "floor_factor": None,
    }


def _summary(name: str, values: Sequence[float]) -> dict[str, float]:
    return {name: statistics.median(values), f"{name}_low": min(values), f"{name}_high": max(values)}


def benchmark_tasks(inputs: int) -> list[SubsetTask]:
    """Return the tasks of dividing one input by another, for the nine ranges."""
    size = {"input_size": inputs, "subset_ratio": one_input_each(inputs)}
    tasks = cast(list[SubsetTask], list(load_experiment("figure-3").tasks.values()))
    return [task.model_copy(update=size) for task in tasks]


def _time_ensemble(recipe: Recipe, runs: tuple[Run, ...], iterations: int) -> float:
    """Train an ensemble, and return the seconds per run and iteration."""
    recipe = recipe.model_copy(update={"iterations": iterations - 1, "evaluate_every": EVALUATE_EVERY})
    pauses: list[float] = []
    with tempfile.TemporaryDirectory() as directory:
        store = Store(Path(directory))
        store.make_directories()
        start = time.perf_counter()
        ensemble = start_training(recipe, [(run.task, run.seed) for run in runs])
        prepared = time.perf_counter()
        history = ensemble.train(on_pause=lambda trainer: pauses.append(time.perf_counter()))
        store.add(Shard(recipe, runs), history, {})
        stored = time.perf_counter()
    trained = pauses[-1]
    once = prepared - start + stored - trained
    return ((trained - prepared) / iterations + once / TRAINING) / len(runs)


def plain_loop(recipe: Recipe, task: SubsetTask, iterations: int, fused: bool) -> float:
    """Train one model in plain PyTorch, and return the seconds per iteration.

    The loss is written out here on purpose, as people write it. There is one evaluation, which counts as one of every
    ``EVALUATE_EVERY`` iterations.
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
    module.eval()
    with torch.no_grad():
        _errors = [((module(x) - target) ** 2).mean().item() for x, target in held_out]
    module.train()
    evaluated = time.perf_counter()
    for iteration in range(iterations):
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
    return (time.perf_counter() - evaluated) / iterations + (evaluated - start) / EVALUATE_EVERY
