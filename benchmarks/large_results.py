"""Measure the commands that read results, on directories of many shards.

    python benchmarks/large_results.py [--shards 500 2000] [--commands summary show] [--keep DIRECTORY]

trains one shard of 25 runs for a moment, with as many evaluations as Figure 3 has, copies its rows with the seeds and
keys of other shards, and prints processor seconds and peak memory of each command as a Markdown table.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

import nalm
from nalm.execution.plan import plan
from nalm.experiments.catalog import load_experiment
from nalm.experiments.experiment import Experiment
from nalm.experiments.runs import Shard, recipe_fields
from nalm.paths import write_atomically
from nalm.store.columns import COLUMNS
from nalm.store.store import Store

__all__ = ["fill", "sized"]

SEEDS_PER_SHARD = 25
EVALUATIONS = 51
UPDATES_BETWEEN = 10
COMMANDS = {
    "summary": ["summary", "--csv"],
    "runs": ["runs", "--csv"],
    "show": ["show", "--variant", "NMRU", "--task", "U[1,2)", "--seed", "40"],
    "plot": ["plot", "-o", "{folder}/figure.svg"],
    "status": ["status", "--watch", "0"],
    "report": ["report", "-o", "{folder}/report.html"],
}


def sized(shards: int) -> Experiment:
    """Return Figure 3 on one range, with as many seeds as make that many shards, and few updates."""
    figure = load_experiment("figure-3")
    changes = {"iterations": UPDATES_BETWEEN * (EVALUATIONS - 1), "evaluate_every": UPDATES_BETWEEN}
    seeds = range(SEEDS_PER_SHARD * (shards // len(figure.variants)))
    return figure.changed(changes).narrowed(seeds, tasks=["U[1,2)"])


def fill(directory: Path, experiment: Experiment) -> None:
    """Train the first shard of every variant, and store its rows again for all other shards."""
    first = experiment.narrowed(range(SEEDS_PER_SHARD))
    nalm.run(first, directory, workers=0)
    store = Store(directory)
    trained = {json.dumps(about["recipe"], sort_keys=True): (rows, about) for rows, about in store.runs()}
    there = store.finished()
    for shard in plan([experiment], there).shards:
        rows, provenance = trained[json.dumps(recipe_fields(shard.recipe), sort_keys=True)]
        store.add_rows(_copied(rows, shard), provenance, _write)
    store.experiments.add(experiment)


def _copied(rows: pa.Table, shard: Shard) -> pa.Table:
    """Return the rows with the keys and seeds of a shard."""
    new = {"key": [run.key for run in shard.runs], "seed": [run.seed for run in shard.runs]}
    for name, values in new.items():
        column = next(column for column in COLUMNS if column.name == name)
        rows = rows.set_column(rows.column_names.index(name), name, pa.array(values, column.arrow_type))
    return rows


def _write(path: Path, content: bytes) -> None:
    write_atomically(path, content, durable=False)


def _spent(command: Sequence[str]) -> tuple[float, float]:
    """Return processor seconds and peak memory, in MB, of a command."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} ended with {os.waitstatus_to_exitcode(status)}")
    scale = 1e6 if sys.platform == "darwin" else 1e3
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / scale


def main() -> None:
    """Make the directories, run the commands, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shards", type=int, nargs="+", default=[500, 2000])
    parser.add_argument("--commands", nargs="+", default=list(COMMANDS), choices=list(COMMANDS))
    parser.add_argument("--keep", type=Path, help="make the directories here, and use those that are there already")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        kept = arguments.keep or Path(folder)
        print("| shards | runs | command | processor seconds | peak memory |\n|---|---|---|---|---|", flush=True)
        for shards in arguments.shards:
            directory, experiment = kept / str(shards), sized(shards)
            if not directory.exists():
                fill(directory, experiment)
            for name in arguments.commands:
                command, *options = [part.format(folder=folder) for part in COMMANDS[name]]
                seconds, memory = _spent([sys.executable, "-m", "nalm", command, str(directory), *options])
                print(f"| {shards:,} | {experiment.runs:,} | `{name}` | {seconds:.1f} | {memory:,.0f} MB |", flush=True)


if __name__ == "__main__":
    main()
