"""Cost of durability: leases, progress, provenance, storing and checkpoints, relative to training.

    python benchmarks/durability.py [ITERATIONS] [REPETITIONS]

trains Figure 3 in one process in three ways, in turn: the ensembles alone; `nalm.run` without checkpoints; and
`nalm.run`. By default it makes all iterations, and five repetitions. It prints the medians of the ratios, and the time
that `nalm.run` spent in each part, which depends less on the load of the machine.
"""

import statistics
import sys
import tempfile
import time
from typing import Any

import nalm
from clock import clocked
from nalm.execution import checkpoints, worker
from nalm.execution.checkpoints import Checkpoint
from nalm.execution.plan import plan
from nalm.experiments.experiment import Experiment
from nalm.store.leases import Lease
from nalm.store.store import Store
from nalm.tasks import start_training
from nalm.training.ensemble.loop import Ensemble

PARTS: dict[str, tuple[Any, str]] = {
    "training": (Ensemble, "train"),
    "preparing": (Ensemble, "__init__"),
    "checkpoints": (Checkpoint, "save"),
    "progress": (worker.ProgressWriter, "__call__"),
    "taking leases": (worker, "acquire"),
    "giving leases back": (Lease, "__exit__"),
    "storing": (Store, "add"),
}
"""Parts of a run, each with its function. The time of a part excludes the other parts that it calls."""


def bare(experiment: Experiment) -> float:
    """Return the seconds of the ensembles alone."""
    start = time.perf_counter()
    for shard in plan([experiment], set()).shards:
        start_training(shard.recipe, [(run.task, run.seed) for run in shard.runs]).train()
    return time.perf_counter() - start


def run(experiment: Experiment) -> float:
    """Return the seconds of a whole run into an empty directory."""
    with tempfile.TemporaryDirectory() as directory:
        start = time.perf_counter()
        nalm.run(experiment, directory, workers=0)
        return time.perf_counter() - start


def run_without_checkpoints(experiment: Experiment) -> float:
    """Return the seconds of a whole run without checkpoints."""
    usual, checkpoints.SECONDS_AT_LEAST = checkpoints.SECONDS_AT_LEAST, float("inf")
    try:
        return run(experiment)
    finally:
        checkpoints.SECONDS_AT_LEAST = usual


def main(iterations: int | None = None, repetitions: int = 5) -> int:
    """Print the results and return the exit code."""
    experiment = nalm.load_experiment("figure-3")
    bare(experiment.changed({"iterations": 100}))  # compiles
    if iterations is not None:
        experiment = experiment.changed({"iterations": iterations})
    ways = (bare, run_without_checkpoints, run)
    rounds = [[way(experiment) for way in ways] for _ in range(repetitions)]
    for times in rounds:
        print("bare {:.1f} s, without checkpoints {:.1f} s, with {:.1f} s".format(*times))
    machinery = statistics.median(without / alone for alone, without, _ in rounds) - 1
    written = statistics.median(whole / without for _, without, whole in rounds) - 1
    print(f"machinery {machinery:+.1%} of training, checkpoints {written:+.1%} more", flush=True)
    with clocked(PARTS) as (spent, calls):
        whole = run(experiment)
    print("| part | seconds | of training | calls |\n|---|---|---|---|")
    for name in PARTS:
        share = spent[name] / spent["training"]
        print(f"| {name} | {spent[name]:.2f} | {share:.2%} | {calls[name]} |")
    rest = whole - sum(spent[name] for name in PARTS)
    print(f"| planning and the rest | {rest:.2f} | {rest / spent['training']:.2%} | |")
    return 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
