"""Whole figures: how long they take, where the time goes, what they need, and how cost grows.

    python benchmarks/endtoend.py [EXPERIMENT …]

prints, for each experiment (Figure 3 by default), the time on two workers with an empty compile cache and with a full
one, on one worker, the memory of the largest process, and a table of where the time of one worker goes. Then it trains
more and more runs, and longer and longer ones, and draws docs/figures/scaling.png.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt

import nalm
from clock import clocked
from nalm.store.store import Store
from nalm.tasks.subsets.streams import Sampler
from nalm.training import compiling
from nalm.training.ensemble.loop import Ensemble
from nalm.training.ensemble.step import Program

PAIRS = 1
"""How often to compare two workers with one."""
PICTURE = Path(__file__).parent.parent / "docs" / "figures" / "scaling.png"
PARTS = {
    "compiling": (compiling, "_compile"),
    "preparing": (Ensemble, "__init__"),
    "sampling": (Sampler, "draw"),
    "training": (Program, "train"),
    "evaluation": (Program, "evaluate"),
    "storing": (Store, "add"),
}
"""Parts of a worker's time: the function of each, without the time of other parts that it calls."""


def timed(*arguments: str, cache: str) -> tuple[float, float]:
    """Seconds of a ``nalm run`` into an empty directory, and MiB of the largest of its processes."""
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, "-m", "nalm", "run", *arguments, "--out", directory]
        environment = os.environ | {"TORCHINDUCTOR_CACHE_DIR": cache}
        start = time.perf_counter()
        with tempfile.TemporaryFile("w+") as said, subprocess.Popen(command, stderr=said, env=environment) as process:
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            seconds = time.perf_counter() - start
            if process.returncode:
                said.seek(0)
                raise SystemExit(f"failed: {' '.join(command)}\n{said.read()}")
    return seconds, usage.ru_maxrss / 1024


def parts(experiment: str) -> dict[str, float]:
    """Seconds of each part of training an experiment in this process."""
    with clocked(PARTS) as (seconds, _), tempfile.TemporaryDirectory() as directory:
        start = time.perf_counter()
        nalm.run(nalm.load_experiment(experiment), directory, workers=0)
        seconds["all"] = time.perf_counter() - start
    return {name: seconds[name] for name in (*PARTS, "all")}


def figure(experiment: str, cache: str) -> None:
    """Print the time of an experiment with an empty and with a full compile cache, and its memory."""
    cold, _ = timed(experiment, "--workers", "2", cache=cache)
    pairs = [[timed(experiment, "--workers", count, cache=cache) for count in "21"] for _ in range(PAIRS)]
    warm = statistics.median(two for (two, _), _ in pairs)
    alone = statistics.median(one for _, (one, _) in pairs)
    ratio = statistics.median(one / two for (two, _), (one, _) in pairs)
    memory = max(memory for pair in pairs for _, memory in pair)
    print(f"{experiment}: two workers {cold:.0f} s with an empty compile cache, {warm:.0f} s with a full one;")
    print(f"one worker {alone:.0f} s, {ratio:.2f} times that; the largest process needs {memory:.0f} MiB")
    spent = parts(experiment)
    print("| " + " | ".join(spent) + " |\n" + "|---" * len(spent) + "|")
    print("| " + " | ".join(f"{seconds:.1f} s" for seconds in spent.values()) + " |", flush=True)


def scaling(cache: str) -> None:
    """Measures NMRU with more runs and with more iterations, and draws both."""

    def measured(seeds: int, iterations: int) -> tuple[float, float]:
        seed_range = f"0-{seeds - 1}"
        arguments = ("--variants", "NMRU", "--seeds", seed_range, "--iterations", str(iterations), "--workers", "0")
        return timed("figure-3", *arguments, cache=cache)

    runs, iterations = [3, 25, 100, 400, 711], [1_000, 3_000, 10_000, 30_000, 100_000]
    for seeds in (*runs[:2], runs[-1] % 25):  # every size of a shard that there will be is compiled
        measured(seeds, 10)
    more = [(9 * seeds, *measured(seeds, 1_000)) for seeds in runs]
    longer = [(count, *measured(25, count)) for count in iterations]
    mpl.use("agg")
    picture, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for axis, name, points in zip(
        axes, ("runs of 1,000 iterations", "iterations of 225 runs"), (more, longer), strict=True
    ):
        print(f"| {name} | seconds | MiB |\n|---|---|---|")
        for count, seconds, memory in points:
            print(f"| {count:,} | {seconds:.1f} | {memory:.0f} |")
        counts, seconds_of, _ = zip(*points, strict=True)
        slope = seconds_of[-1] / counts[-1]
        axis.loglog(counts, seconds_of, "o-", label="measured")
        axis.loglog(counts, [slope * count for count in counts], ":", color="gray", label="proportional")
        axis.set(xlabel=name, ylabel="seconds, all-in")
        axis.legend()
    picture.suptitle("Cost of training: NMRU, division of 2 inputs, one thread")
    picture.savefig(PICTURE, dpi=120)


def main() -> int:
    """Print everything, and return the exit code."""
    with tempfile.TemporaryDirectory() as cache:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = cache
        for experiment in sys.argv[1:] or ["figure-3"]:
            figure(experiment, cache)
        scaling(cache)
    return 0


if __name__ == "__main__":
    sys.exit(main())
