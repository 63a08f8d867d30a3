"""Commands for training on several machines."""

import functools
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

import nalm
from nalm.cli.app import app
from nalm.cli.arguments import AsJson, Directories, Directory
from nalm.cli.console import duration, say, write_json, write_table
from nalm.cli.executors import with_queue
from nalm.cli.options import typed_as, with_request
from nalm.cli.training import train_and_report
from nalm.execution.executors.scripts import LARGEST_ARRAY, SCHEDULERS, queue_settings
from nalm.text import one_line
from nalm.workflows.options import Option, arguments_of
from nalm.workflows.request import Request, RunRequest

if TYPE_CHECKING:
    from nalm.execution.status import RunningShard

SHOWN = 8
"""Number of characters of a shard's name to show: enough to find its files."""

Scheduler: Any = Literal.__getitem__(tuple(SCHEDULERS))


@dataclass(frozen=True, kw_only=True)
class ShardRequest(RunRequest):
    """A part of the shards of experiments."""

    index: Annotated[int, Option("Which part, from 0.")]
    of: Annotated[int, Option("Number of parts.")]
    workers: Annotated[int | None, Option("Worker processes of one thread each.", min=0)] = 1


@app.command()
@with_request
def shard(request: ShardRequest) -> None:
    """Train a part of the shards.

    `nalm run` would train these shards into an empty directory, in the same order. A part holds every shard whose
    position, divided by the number of parts, leaves the remainder INDEX. Parts can train at the same time, on any
    machines that see the results directory. Finished runs are not trained again.

    Example: nalm shard figure-3 --index 0 --of 4 --out results
    """
    from nalm.execution.plan import Part

    train = functools.partial(nalm.run, part=Part(request.index, request.of))
    train_and_report(train, request.trained(), request, nalm.ExecutorSettings())


@app.command()
@with_queue
@with_request
def script(
    request: Request,
    scheduler: Annotated[Scheduler, typer.Option(help="Scheduler of the queue.", show_default=False)],
    of: Annotated[
        int | None, typer.Option(min=1, help=f"Number of jobs; by default one per shard, at most {LARGEST_ARRAY}.")
    ] = None,
    *,
    asked: dict[str, Any],
) -> None:
    """Print a script for a queue.

    It submits a job array, and each job runs `nalm shard`. For Slurm, options that are not given come from the
    configuration file.

    Example: nalm script figure-3 --scheduler lsf --queue short > figure-3.sh
    """
    from nalm.execution.plan import plan

    experiments = request.trained()
    jobs = min(len(plan(experiments, ()).shards), LARGEST_ARRAY) if of is None else of
    job = queue_settings(scheduler, asked)
    command = [sys.executable, "-P", "-m", "nalm", "shard", *arguments_of(request), f"--workers={job.cpus}"]
    print(nalm.array_script(scheduler, command, jobs, job, request.out / "logs", Path.cwd()))


@app.command()
def status(
    directory: Directory,
    watch: Annotated[float, typer.Option(min=0, help="Seconds to look for signs of life.")] = 10,
    as_json: AsJson = False,
) -> None:
    """Show how far experiments are.

    Print which shards are done, which train (and where), and which failed (and why). This reads the files of the
    results directory only, so it works on any machine that sees the directory.

    Example: nalm status results
    """
    found = nalm.status(directory, watch)
    if as_json:
        write_json(asdict(found))
        return
    left = "unknown, as nobody trains" if found.seconds_left is None else f"about {duration(found.seconds_left)}"
    if found.seconds_left == 0:
        left = "none"
    print(f"experiments  {one_line(', '.join(found.experiments))}")
    print(f"runs         {found.runs:,}, of which {found.finished:,} are saved")
    alive = sum(shard.alive for shard in found.running)
    silent = len(found.running) - alive
    print(
        f"shards       {found.shards:,}, of which {found.done:,} are done, {alive} train, "
        + f"{silent} show no life, " * bool(silent)
        + f"{len(found.failed)} failed, {found.waiting:,} wait"
    )
    print(f"time left    {left}")
    if found.running:
        print()
        write_table(
            ["shard", "variant", "runs", "trained", "host", "signs of life"],
            [
                [*map(_cell, _running(shard)), "yes" if shard.alive else f"none in {watch:g} s"]
                for shard in found.running
            ],
        )
    if found.failed:
        print()
        write_table(
            ["shard", "variant", "failed with"],
            [[shard.shard[:SHOWN], _cell(shard.variant), shard.reason] for shard in found.failed],
        )


def _running(shard: "RunningShard") -> list[object]:
    trained = shard.iteration and shard.iterations and f"{shard.iteration / shard.iterations:.0%}"
    return [shard.shard[:SHOWN], shard.variant, shard.runs, trained or shard.iteration, shard.host]


def _cell(value: object) -> str:
    return "–" if value is None else str(value)


@app.command()
def merge(
    directories: Directories,
    into: Annotated[Path, typer.Option(help="Results directory to add them to.", show_default=False)],
    replace: Annotated[bool, typed_as(Request, "replace")] = False,
) -> None:
    """Merge results of several directories.

    If several directories have the same run, the first is kept. The directories do not change. An interrupted merge
    can be repeated.

    Example: nalm merge here there --into all
    """
    merged = nalm.merge(directories, into, replace=replace)
    say(f"added {merged.runs:,} runs in {merged.shards:,} shards to {into}")
    if merged.duplicates:
        say(
            f"{merged.duplicates:,} runs were there already, {merged.different:,} of them with other numbers, "
            "as other machines give: the first of each is kept"
        )
