"""Commands for sweeps on more than one machine."""

import functools
import sys
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

import nalm
from nalm.cli.app import (
    AsJson,
    Device,
    Directory,
    EvaluateEvery,
    ExperimentNames,
    Gradients,
    Iterations,
    NoCompile,
    NoImports,
    Out,
    Replace,
    Seeds,
    Settings,
    StopWhenSolved,
    Tasks,
    TensorBoard,
    Variants,
    Verbose,
    app,
)
from nalm.cli.choosing import choose_trained
from nalm.cli.console import duration, say, write_json, write_table
from nalm.cli.digits import Mnist, Svhn, with_digits
from nalm.cli.training import tensorboard_logs, train_and_report
from nalm.execution.executors.scripts import LARGEST_ARRAY, QueueSettings, settings_of_slurm
from nalm.execution.plan import Part, plan
from nalm.execution.status import RunningShard
from nalm.registry import import_paths
from nalm.spec.document import valid

SHOWN = 8
"""Characters of a shard's name that are enough to find its files."""


class Scheduler(StrEnum):
    """Whose scripts can be written."""

    slurm = "slurm"
    lsf = "lsf"
    pbs = "pbs"


@app.command()
def shard(
    experiments: ExperimentNames,
    index: Annotated[int, typer.Option(help="Which part, from 0.", show_default=False)],
    of: Annotated[int, typer.Option(help="How many parts there are.", show_default=False)],
    out: Out = Path("results"),
    seeds: Seeds = None,
    variants: Variants = None,
    tasks: Tasks = None,
    iterations: Iterations = None,
    evaluate_every: EvaluateEvery = None,
    stop_when_solved: StopWhenSolved = False,
    settings: Settings = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes of one thread.")] = 1,
    device: Device = "cpu",
    no_compile: NoCompile = False,
    replace: Replace = False,
    no_imports: NoImports = False,
    mnist: Mnist = None,
    svhn: Svhn = None,
    tensorboard: TensorBoard = None,
    verbose: Verbose = False,
    gradients: Gradients = False,
) -> None:
    """Train a part of the shards.

    Of the shards that `nalm run` would train into an empty directory, those whose position divided by the number of
    parts leaves the index. Parts can be trained at the same time, on any machines that see the results directory; what
    is in it already is not trained again.

    Example: nalm shard figure-3 --index 0 --of 4 --out results
    """
    with import_paths(not no_imports):
        chosen = choose_trained(
            experiments, seeds, variants, iterations, evaluate_every, settings, stop_when_solved, tasks
        )
        chosen = with_digits(chosen, mnist, svhn)
    train = functools.partial(nalm.run, part=Part(index, of))
    with tensorboard_logs(chosen, out, tensorboard, verbose, gradients):
        train_and_report(train, chosen, out, workers, device, not no_compile, replace, nalm.ExecutorSettings())


@app.command()
def script(
    experiments: ExperimentNames,
    scheduler: Annotated[Scheduler, typer.Option(help="Whose script.", show_default=False)],
    of: Annotated[
        int | None, typer.Option(min=1, help=f"Jobs; by default one per shard, and at most {LARGEST_ARRAY}.")
    ] = None,
    out: Out = Path("results"),
    seeds: Seeds = None,
    variants: Variants = None,
    tasks: Tasks = None,
    iterations: Iterations = None,
    evaluate_every: EvaluateEvery = None,
    stop_when_solved: StopWhenSolved = False,
    settings: Settings = None,
    device: Device = "cpu",
    no_compile: NoCompile = False,
    replace: Replace = False,
    no_imports: NoImports = False,
    mnist: Mnist = None,
    svhn: Svhn = None,
    queue: Annotated[str | None, typer.Option(help="Queue or partition.")] = None,
    time: Annotated[int | None, typer.Option(min=1, help="Minutes that a job may take; 60 by default.")] = None,
    cpus: Annotated[int | None, typer.Option(min=1, help="Cores of a job, and its workers; 1 by default.")] = None,
    memory: Annotated[str | None, typer.Option(help="Memory of a job, such as 4G.")] = None,
    parallel: Annotated[int | None, typer.Option(min=1, help="Jobs that may run at once.")] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(help="Any other option, as it stands in the scheduler's scripts; again for more."),
    ] = None,
    setup: Annotated[list[str] | None, typer.Option(help="Shell line before training starts; again for more.")] = None,
) -> None:
    """Print a script for a queue.

    It is a job array, each job of which runs `nalm shard`. For Slurm, what is not typed is as the configuration file
    has it.

    Example: nalm script figure-3 --scheduler lsf --queue short > figure-3.sh
    """
    with import_paths(not no_imports):
        chosen = choose_trained(
            experiments, seeds, variants, iterations, evaluate_every, settings, stop_when_solved, tasks
        )
        chosen = with_digits(chosen, mnist, svhn)
    jobs = min(len(plan(chosen, ()).shards), LARGEST_ARRAY) if of is None else of
    typed = {
        "queue": queue,
        "time": time,
        "cpus": cpus,
        "memory": memory,
        "parallel": parallel,
        "options": option,
        "setup": setup,
    }
    known = settings_of_slurm(nalm.load_settings().slurm) if scheduler is Scheduler.slurm else QueueSettings()
    given = {name: value for name, value in typed.items() if value}
    job = valid(QueueSettings, known.model_dump() | given)
    arguments = [*experiments, f"--out={out}", f"--workers={job.cpus}"]
    for name, values in (
        ("seeds", [seeds]),
        ("variants", variants),
        ("tasks", tasks),
        ("iterations", [iterations]),
        ("evaluate-every", [evaluate_every]),
        ("set", settings),
        ("device", [device]),
        ("mnist", [mnist]),
        ("svhn", [svhn]),
    ):
        arguments += [f"--{name}={value}" for value in values or () if value is not None]
    arguments += ["--no-compile"] * no_compile + ["--replace"] * replace + ["--no-imports"] * no_imports
    arguments += ["--stop-when-solved"] * stop_when_solved
    command = [sys.executable, "-m", "nalm", "shard", *arguments]
    print(nalm.array_script(scheduler, command, jobs, job, out / "logs", Path.cwd()))


@app.command()
def status(
    directory: Directory,
    watch: Annotated[float, typer.Option(min=0, help="Seconds to look for signs of life.")] = 10,
    as_json: AsJson = False,
) -> None:
    """Show how far experiments are.

    From the files of the results directory alone, on any machine that sees it: shards that are done, that are being
    trained (and where), and that failed (and why).

    Example: nalm status results
    """
    found = nalm.status(directory, watch)
    if as_json:
        write_json(asdict(found))
        return
    left = "unknown, as nobody trains" if found.seconds_left is None else f"about {duration(found.seconds_left)}"
    if found.seconds_left == 0:
        left = "none"
    print(f"experiments  {', '.join(found.experiments)}")
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


def _running(shard: RunningShard) -> list[object]:
    trained = shard.iteration and shard.iterations and f"{shard.iteration / shard.iterations:.0%}"
    return [shard.shard[:SHOWN], shard.variant, shard.runs, trained or shard.iteration, shard.host]


def _cell(value: object) -> str:
    return "–" if value is None else str(value)


@app.command()
def merge(
    directories: Annotated[
        list[Path], typer.Argument(metavar="DIRECTORY...", help="Results directories.", show_default=False)
    ],
    into: Annotated[Path, typer.Option(help="The results directory they are added to.", show_default=False)],
    replace: Replace = False,
) -> None:
    """Bring results of several directories together.

    Of a run that several have, the first is kept. The directories stay as they are, and a merge that was interrupted
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
