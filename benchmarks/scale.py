"""Estimate the time, files and memory of large sweeps from costs measured on this machine.

    python benchmarks/scale.py [--experiments 1000] [--seeds 10000]

prints the two tables of docs/scaling.md in about a minute: the measured costs, and the estimates for experiments of the
size of Figure 3 (four variants, nine tasks, 50,001 iterations, 51 evaluations).
"""

import argparse
import json
import math
import pickle
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nalm
from nalm.execution.executors.scripts import LARGEST_ARRAY
from nalm.execution.plan import plan
from nalm.experiments.catalog import load_experiment
from nalm.store.store import Store
from nalm.tasks.subsets.task import SubsetTask

__all__ = ["Costs", "measure", "needs", "table"]

UPDATES = 50_001
EVALUATIONS = 51
SHORTER = 10
MANY_SEEDS = 1_000


@dataclass(frozen=True)
class Costs:
    """Measured costs. benchmarks/README.md says how the first two are measured."""

    microseconds_per_run_and_iteration: float
    seconds_to_start_a_worker: float
    bytes_per_stored_run: float
    microseconds_to_check_a_finished_run: float
    microseconds_to_plan_a_run: float
    bytes_of_memory_to_plan_a_run: float
    microseconds_to_summarize_a_run: float
    bytes_of_memory_to_summarize_a_run: float
    bytes_per_seed_in_an_experiment_file: float
    bytes_sent_to_the_job_of_a_shard: float


def measure(microseconds: float, seconds: float) -> Costs:
    """Train Figure 3 for a tenth of its iterations, with the same number of evaluations, and measure the costs."""
    figure = load_experiment("figure-3")
    iterations = (UPDATES - 1) // SHORTER
    short = figure.changed({"iterations": iterations, "evaluate_every": iterations // (EVALUATIONS - 1)})
    many = figure.narrowed(range(MANY_SEEDS))
    with tempfile.TemporaryDirectory() as directory:
        nalm.run(short, directory)
        size = sum(path.stat().st_size for path in Path(directory, "shards").iterdir())
        checking, _ = _spent(lambda: Store(directory).finished())
        summarizing, summary = _spent(lambda: nalm.load(directory).summary())
    planning, planned = _spent(lambda: plan([many], ()))
    texts = [json.dumps(each.model_dump(mode="json", exclude_defaults=True), indent=2) for each in (figure, many)]
    return _rounded_costs(
        Costs(
            microseconds_per_run_and_iteration=microseconds,
            seconds_to_start_a_worker=seconds,
            bytes_per_stored_run=size / figure.runs,
            microseconds_to_check_a_finished_run=1e6 * checking / figure.runs,
            microseconds_to_plan_a_run=1e6 * planning / many.runs,
            bytes_of_memory_to_plan_a_run=planned / many.runs,
            microseconds_to_summarize_a_run=1e6 * summarizing / figure.runs,
            bytes_of_memory_to_summarize_a_run=summary / figure.runs,
            bytes_per_seed_in_an_experiment_file=(len(texts[1]) - len(texts[0])) / (MANY_SEEDS - len(figure.seeds)),
            bytes_sent_to_the_job_of_a_shard=len(pickle.dumps(plan([figure], ()).shards[0])),
        )
    )


def _rounded_costs(costs: Costs) -> Costs:
    """Round the costs as the table shows them, so that estimates can be recomputed from the table."""
    return Costs(**{name: float(_rounded(value).replace(",", "")) for name, value in vars(costs).items()})


def _spent(function: Callable[[], object]) -> tuple[float, int]:
    """Return the seconds of one call and the peak memory of another. A first call, not measured, loads libraries."""
    function()
    start = time.perf_counter()
    function()
    seconds = time.perf_counter() - start
    tracemalloc.start()
    kept = function()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del kept
    return seconds, peak


def needs(costs: Costs, experiments: int, seeds: int) -> dict[str, str]:
    """Return what a number of experiments and seeds needs in one results directory, as text with units."""
    figure = load_experiment("figure-3")
    variants, tasks = len(figure.variants), len(figure.tasks)
    runs = experiments * seeds * variants * tasks
    shards = experiments * variants * math.ceil(seeds / SubsetTask.seeds_per_shard)
    training = runs * UPDATES * costs.microseconds_per_run_and_iteration / 1e6
    return {
        "runs": f"{runs:,}",
        "shards (one file each)": f"{shards:,}",
        "files on disk": _bytes(runs * costs.bytes_per_stored_run),
        "training": f"{_rounded(training / 3600)} core hours",
        "a shard": f"{_rounded(training / shards)} s",
        "starting, one job per shard": f"{_rounded(shards * costs.seconds_to_start_a_worker / 3600)} core hours",
        f"starting, at most {LARGEST_ARRAY:,} jobs": (
            f"{_rounded(min(shards, LARGEST_ARRAY) * costs.seconds_to_start_a_worker / 3600)} core hours"
        ),
        "data sent to jobs, one job per shard": _bytes(shards * costs.bytes_sent_to_the_job_of_a_shard),
        "experiment files": _bytes(experiments * seeds * costs.bytes_per_seed_in_an_experiment_file),
        "planning": _seconds(runs * costs.microseconds_to_plan_a_run / 1e6),
        "memory of the plan": _bytes(runs * costs.bytes_of_memory_to_plan_a_run),
        "checking finished shards": _seconds(runs * costs.microseconds_to_check_a_finished_run / 1e6),
        "summarizing": _seconds(runs * costs.microseconds_to_summarize_a_run / 1e6),
        "memory of the summary": _bytes(runs * costs.bytes_of_memory_to_summarize_a_run),
    }


def _rounded(value: float) -> str:
    """Format a number with two significant digits."""
    digits = 1 - math.floor(math.log10(value)) if value else 0
    return f"{round(value, digits):,.{max(0, digits)}f}"


def _bytes(value: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 1000:
            return f"{_rounded(value)} {unit}"
        value /= 1000
    return f"{_rounded(value)} TB"


def _seconds(value: float) -> str:
    return f"{_rounded(value)} s" if value < 3600 else f"{_rounded(value / 3600)} h"


def table(rows: dict[str, list[str]], headers: list[str]) -> str:
    """Format rows as a Markdown table."""
    lines = [headers, ["---"] * len(headers), *([name, *cells] for name, cells in rows.items())]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def main() -> None:
    """Measure the costs and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--experiments", type=int, default=1_000)
    parser.add_argument("--seeds", type=int, default=10_000)
    parser.add_argument("--microseconds", type=float, default=1.5, help="per run and iteration, measured by nalm bench")
    parser.add_argument("--start", type=float, default=10.0, help="seconds to start a worker")
    arguments = parser.parse_args()
    costs = measure(arguments.microseconds, arguments.start)
    print(table({name.replace("_", " "): [_rounded(value)] for name, value in vars(costs).items()}, ["cost", ""]))
    sweeps = [(1, 25), (1, arguments.seeds), (arguments.experiments, arguments.seeds)]
    columns = [needs(costs, *sweep) for sweep in sweeps]
    headers = ["", *(f"{experiments:,} × {seeds:,} seeds" for experiments, seeds in sweeps)]
    print()
    print(table({name: [column[name] for column in columns] for name in columns[0]}, headers))


if __name__ == "__main__":
    main()
