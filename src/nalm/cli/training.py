"""Commands that train."""

import signal
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

import nalm
from nalm.cli.app import app
from nalm.cli.arguments import AsJson
from nalm.cli.console import duration, progress_reporter, say, write_json
from nalm.cli.executors import with_executor
from nalm.cli.options import with_request
from nalm.cli.tables import say_missing, show_summary
from nalm.execution.signals import Interrupted, interruption
from nalm.experiments.seeds import show_seeds
from nalm.text import one_line
from nalm.workflows.request import RunRequest
from nalm.workflows.single_request import SingleRequest

if TYPE_CHECKING:
    from nalm.execution.executors.settings import ExecutorSettings
    from nalm.experiments.experiment import Experiment

__all__ = ["train_and_report"]

R = TypeVar("R")
Figures = Sequence["Experiment | str"]


@app.command()
@with_executor
@with_request
def run(
    request: RunRequest,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Estimate time and disk space; train nothing.")] = False,
    *,
    executor: "ExecutorSettings",
) -> None:
    """Train experiments.

    Only missing runs are trained: finished runs are kept, interrupted runs resume, and runs that several experiments
    share are trained once. Several processes may train into one directory.

    Example: nalm run figure-3 --seeds 0-4 --variants NMRU --out results
    """
    experiments = request.trained()
    if dry_run:
        _show_forecast(experiments, request, executor)
    else:
        train_and_report(nalm.run, experiments, request, executor)


def _show_forecast(experiments: Sequence["Experiment"], request: RunRequest, executor: "ExecutorSettings") -> None:
    device = request.device if executor.executor == "local" else "cpu"
    forecast = nalm.forecast(experiments, request.out, workers=request.workers, device=device, replace=request.replace)
    print(one_line(_title(experiments)))
    print(f"runs      {forecast.runs:,}, of which {forecast.missing:,} are missing, in {forecast.shards} shards")
    print(f"time      about {duration(forecast.seconds)} on this machine (an estimate)")
    print(f"disk      about {forecast.bytes / 1e6:,.1f} MB")


def _title(figures: Figures) -> str:
    from nalm.experiments.experiment import Experiment

    first, *others = figures
    if not others and isinstance(first, Experiment):
        return f"{first.name}: {first.title} ({first.runs:,} runs, seeds {show_seeds(first.seeds)})"
    return ", ".join(figure if isinstance(figure, str) else figure.name for figure in figures)


def train_and_report(train: Callable[..., R], figures: Figures, request: RunRequest, executor: "ExecutorSettings") -> R:
    """Call `nalm.run` or `nalm.reproduce`, show the progress, and write TensorBoard logs if they were asked for."""
    request.check()
    say(_title(figures))
    try:
        result = _train(train, figures, request, executor)
    except (KeyboardInterrupt, Interrupted) as stop:
        interrupted = isinstance(stop, KeyboardInterrupt)
        how, number = ("interrupted", signal.SIGINT) if interrupted else ("told to stop", interruption.signal)
        say(f"nalm: {how}; finished work is saved, and the same command resumes it")
        raise typer.Exit(128 + number) from None
    _write_tensorboard_logs(figures, request)
    return result


def _train(train: Callable[..., R], figures: Figures, request: RunRequest, executor: "ExecutorSettings") -> R:
    from nalm.execution.executors.settings import open_executor

    last: list[nalm.Progress] = []
    with open_executor(executor, request.workers) as opened, progress_reporter() as report:

        def on_progress(progress: nalm.Progress) -> None:
            last[:] = [progress]
            report(progress)

        result = train(
            figures,
            request.out,
            workers=request.workers,
            device=request.device,
            compiled=request.compile,
            replace=request.replace,
            executor=opened,
            on_progress=on_progress,
        )
    if last:
        say(f"all {last[0].runs:,} runs are in {request.out}, trained in {duration(last[0].seconds)}")
    elif not all(isinstance(figure, str) for figure in figures):
        say(f"all runs are in {request.out}, trained before: nothing was left to train")
    return result


def _write_tensorboard_logs(figures: Figures, request: RunRequest) -> None:
    logs = request.tensorboard
    if logs is None:
        return
    for figure in figures:
        if not isinstance(figure, str):
            exported = nalm.export_tensorboard(
                request.out, logs, figure, verbose=request.verbose, gradients=request.gradients
            )
            say(f"wrote TensorBoard logs of {exported.runs:,} runs of {figure.name} into {logs}")


@app.command()
@with_executor
@with_request
def reproduce(request: RunRequest, *, executor: "ExecutorSettings") -> None:
    """Train, summarize and draw figures.

    Everything goes into the results directory. Besides experiments there are figure-5 and figure-9, for which nothing
    is trained, and `all`: every figure of the paper.

    Example: nalm reproduce figure-3 --out results
    """
    reproduced = train_and_report(nalm.reproduce, request.figures(), request, executor)
    for figure in reproduced:
        if figure.results is not None:
            say_missing(figure.results, request.out)
            if len(reproduced) == 1:
                show_summary(figure.results.summary(), figure.results.experiment.title)
        say(f"wrote {', '.join(path.name for path in figure.files)} into {request.out}")


@app.command()
@with_request
def train(request: SingleRequest, as_json: AsJson = False) -> None:
    """Train one module.

    It trains with the recipe that the papers use for it. The learnt weights are printed, and nothing is stored.

    Example: nalm train NMRU --operation div --seed 0
    """

    def report(iteration: int, validation: float, test: float) -> None:
        say(f"{iteration:>9,}  validation error {validation:<12.4g} test error {test:.4g}")

    from nalm.analysis.results import learnt_expression

    experiment = request.experiment()
    trained = nalm.train_single(experiment, request.device, request.compile, report)
    (label,), (variant,) = experiment.tasks, experiment.variants
    described = {
        "module": variant,
        "operation": request.operation,
        "task": label,
        "seed": request.seed,
        "solved": trained.solved,
        "validation_error": trained.validation_error,
        "test_error": trained.test_error,
        "weights": {name: value.tolist() for name, value in trained.module.named_parameters()},
        "expression": learnt_expression(trained.module),
        "diverged_at": trained.diverged_at,
    }
    if as_json:
        write_json(described)
    else:
        for name, value in described.items():
            print(f"{name:18}{one_line(str(value))}")
