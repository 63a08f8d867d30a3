"""Commands that train."""

import contextlib
import inspect
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

import nalm
from nalm.analysis.results import learnt_expression
from nalm.cli.app import (
    AsJson,
    Device,
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
    Workers,
    app,
)
from nalm.cli.choosing import choose, choose_trained
from nalm.cli.console import duration, progress_reporter, say, write_json, write_table
from nalm.cli.digits import Mnist, Svhn, with_digits
from nalm.cli.executors import with_executor
from nalm.cli.tables import say_missing, show_summary
from nalm.errors import NalmError
from nalm.execution.executors.settings import ExecutorSettings, open_executor
from nalm.execution.signals import Interrupted
from nalm.experiments.experiment import Experiment
from nalm.experiments.seeds import show_seeds
from nalm.export.tensorboard_logs import check_tensorboard
from nalm.registry import import_paths

__all__ = ["tensorboard_logs", "train_and_report"]

R = TypeVar("R")


@app.command()
@with_executor
def run(
    experiments: ExperimentNames,
    out: Out = Path("results"),
    seeds: Seeds = None,
    variants: Variants = None,
    tasks: Tasks = None,
    iterations: Iterations = None,
    evaluate_every: EvaluateEvery = None,
    stop_when_solved: StopWhenSolved = False,
    settings: Settings = None,
    workers: Workers = None,
    device: Device = "cpu",
    no_compile: NoCompile = False,
    replace: Replace = False,
    no_imports: NoImports = False,
    mnist: Mnist = None,
    svhn: Svhn = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would take, and do nothing.")] = False,
    tensorboard: TensorBoard = None,
    verbose: Verbose = False,
    gradients: Gradients = False,
    *,
    executor: ExecutorSettings,
) -> None:
    """Train experiments.

    What is in the results directory already is not trained again, what was interrupted goes on where it was, and runs
    that several experiments share are trained once. Several processes may train into one directory.

    Example: nalm run figure-3 --seeds 0-4 --variants NMRU --out results
    """
    with import_paths(not no_imports):
        chosen = choose_trained(
            experiments, seeds, variants, iterations, evaluate_every, settings, stop_when_solved, tasks
        )
        chosen = with_digits(chosen, mnist, svhn)
    if dry_run:
        here = device if executor.executor == "local" else "cpu"
        forecast = nalm.forecast(chosen, out, workers=workers, device=here, replace=replace)
        print(_title(chosen))
        print(f"runs      {forecast.runs:,}, of which {forecast.missing:,} are missing, in {forecast.shards} shards")
        print(f"time      about {duration(forecast.seconds)} on this machine (an estimate)")
        print(f"disk      about {forecast.bytes / 1e6:,.1f} MB")
        return
    with tensorboard_logs(chosen, out, tensorboard, verbose, gradients):
        train_and_report(nalm.run, chosen, out, workers, device, not no_compile, replace, executor)


def _title(figures: Sequence[Experiment | str]) -> str:
    first, *others = figures
    if not others and isinstance(first, Experiment):
        return f"{first.name}: {first.title} ({first.runs:,} runs, seeds {show_seeds(first.seeds)})"
    return ", ".join(figure if isinstance(figure, str) else figure.name for figure in figures)


def train_and_report(
    train: Callable[..., R],
    figures: Sequence[Experiment | str],
    out: Path,
    workers: int | None,
    device: str,
    compiled: bool,
    replace: bool,
    executor: ExecutorSettings,
) -> R:
    """Calls `nalm.run` or `nalm.reproduce`, and shows how far it is."""
    say(_title(figures))
    last: list[nalm.Progress] = []
    try:
        with open_executor(executor, workers) as opened, progress_reporter() as report:

            def on_progress(progress: nalm.Progress) -> None:
                last[:] = [progress]
                report(progress)

            result = train(
                figures,
                out,
                workers=workers,
                device=device,
                compiled=compiled,
                replace=replace,
                executor=opened,
                on_progress=on_progress,
            )
    except (KeyboardInterrupt, Interrupted) as stop:
        how, code = ("interrupted", 130) if isinstance(stop, KeyboardInterrupt) else ("told to stop", 143)
        say(f"nalm: {how}; what was trained is saved, and the same command goes on from there")
        raise typer.Exit(code) from None
    if last:
        say(f"all {last[0].runs:,} runs are in {out}, trained in {duration(last[0].seconds)}")
    elif any(isinstance(figure, Experiment) for figure in figures):
        say(f"all runs are in {out}, trained before: nothing was left to train")
    return result


@contextlib.contextmanager
def tensorboard_logs(
    figures: Sequence[Experiment | str], out: Path, tensorboard: Path | None, verbose: bool, gradients: bool
) -> Iterator[None]:
    """Writes TensorBoard logs, if they were asked for, once what is done meanwhile has ended well."""
    if tensorboard is None:
        if verbose or gradients:
            found = "--verbose" if verbose else "--gradients"
            raise NalmError(f"found {found} without --tensorboard, expected them together")
        yield
        return
    check_tensorboard()
    yield
    for figure in figures:
        if isinstance(figure, Experiment):
            exported = nalm.export_tensorboard(out, tensorboard, figure, verbose=verbose, gradients=gradients)
            say(f"wrote TensorBoard logs of {exported.runs:,} runs of {figure.name} into {tensorboard}")


@app.command()
@with_executor
def reproduce(
    experiments: ExperimentNames,
    out: Out = Path("results"),
    seeds: Seeds = None,
    variants: Variants = None,
    tasks: Tasks = None,
    iterations: Iterations = None,
    evaluate_every: EvaluateEvery = None,
    stop_when_solved: StopWhenSolved = False,
    settings: Settings = None,
    workers: Workers = None,
    device: Device = "cpu",
    no_compile: NoCompile = False,
    replace: Replace = False,
    no_imports: NoImports = False,
    mnist: Mnist = None,
    svhn: Svhn = None,
    tensorboard: TensorBoard = None,
    verbose: Verbose = False,
    gradients: Gradients = False,
    *,
    executor: ExecutorSettings,
) -> None:
    """Train, summarize and draw figures.

    Everything goes into the results directory. Besides experiments there are figure-5 and figure-9, for which nothing
    is trained, and `all`: every figure of the paper.

    Example: nalm reproduce figure-3 --out results
    """
    with import_paths(not no_imports):
        chosen = choose(experiments, seeds, variants, iterations, evaluate_every, settings, stop_when_solved, tasks)
        chosen = with_digits(chosen, mnist, svhn)
    with tensorboard_logs(chosen, out, tensorboard, verbose, gradients):
        reproduced = train_and_report(nalm.reproduce, chosen, out, workers, device, not no_compile, replace, executor)
    for figure in reproduced:
        if figure.results is not None:
            say_missing(figure.results, out)
            if len(reproduced) == 1:
                show_summary(figure.results.summary(), figure.results.experiment.title)
        say(f"wrote {', '.join(path.name for path in figure.files)} into {out}")


@app.command()
def train(
    module: Annotated[str, typer.Argument(help="A module's name, or an import path package.module:Class.")],
    operation: Annotated[str, typer.Option(help="What it learns.")] = "div",
    train_range: Annotated[str, typer.Option(help="LOW,HIGH of the training inputs.")] = "1,2",
    test_range: Annotated[str, typer.Option(help="LOW,HIGH of the test inputs.")] = "2,6",
    inputs: Annotated[int, typer.Option(min=1, help="Inputs; the operation takes the first ones a seed draws.")] = 2,
    second: Annotated[str | None, typer.Option(help="A module that is applied to the sums of the first.")] = None,
    hidden_size: Annotated[int, typer.Option(min=1, help="How many sums, with a second module.")] = 2,
    subset_ratio: Annotated[
        float | None, typer.Option(help="Share of the inputs that each operand sums; by default it is one input.")
    ] = None,
    overlap_ratio: Annotated[float, typer.Option(help="Share of an operand's inputs that the next one sums too.")] = 0,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    length: Annotated[
        int | None,
        typer.Option(
            min=1, help="Digits in a sequence of images, instead of inputs; it is tested on ten times as many."
        ),
    ] = None,
    mnist: Mnist = None,
    svhn: Svhn = None,
    iterations: Iterations = None,
    evaluate_every: EvaluateEvery = None,
    stop_when_solved: StopWhenSolved = False,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="Change the module's usual recipe.")
    ] = None,
    device: Device = "cpu",
    no_compile: NoCompile = False,
    as_json: AsJson = False,
) -> None:
    """Train one module.

    It gets the recipe that the papers use for it; what it learnt is printed, and nothing is stored.

    Example: nalm train NMRU --operation div --seed 0
    """
    if length is None:
        experiment = nalm.single_run(
            module,
            operation,
            _pair(train_range),
            _pair(test_range),
            inputs,
            seed,
            second=second,
            hidden_size=hidden_size,
            subset_ratio=subset_ratio,
            overlap_ratio=overlap_ratio,
        )
    else:
        _refuse_options_of_inputs(
            train_range=train_range,
            test_range=test_range,
            inputs=inputs,
            second=second,
            hidden_size=hidden_size,
            subset_ratio=subset_ratio,
            overlap_ratio=overlap_ratio,
        )
        experiment = nalm.single_sequence_run(module, operation, length, seed=seed)
        if iterations is not None:
            experiment = experiment.with_iterations(iterations)
    for setting in settings or ():
        if "=" not in setting:
            raise NalmError(f"found setting {setting!r}, expected FIELD=VALUE")
        experiment = experiment.with_setting(f"*.{setting}")
    changes = {"iterations": iterations, "evaluate_every": evaluate_every, "stop_when_solved": stop_when_solved or None}
    experiment = experiment.changed({field: value for field, value in changes.items() if value is not None})
    (experiment,) = with_digits([experiment], mnist, svhn)
    (label,) = experiment.tasks
    (variant,) = experiment.variants

    def report(iteration: int, validation: float, test: float) -> None:
        say(f"{iteration:>9,}  validation error {validation:<12.4g} test error {test:.4g}")

    trained = nalm.train_single(experiment, device, not no_compile, report)
    described = {
        "module": variant,
        "operation": operation,
        "task": label,
        "seed": seed,
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
            print(f"{name:18}{value}")


def _refuse_options_of_inputs(**found: Any) -> None:
    """What is not as it is by default has nothing to say of sequences of digits."""
    parameters = inspect.signature(train).parameters
    for name, value in found.items():
        if value != parameters[name].default:
            option = "--" + name.replace("_", "-")
            raise NalmError(f"found {option} {value} with --length, expected no options of inputs that are drawn")


def _pair(text: str) -> list[float]:
    try:
        low, high = map(float, text.strip("[] ").split(","))
    except ValueError:
        raise NalmError(f"found range {text!r}, expected LOW,HIGH such as 1,2") from None
    return [low, high]


@app.command()
def bench(
    modules: Annotated[list[str] | None, typer.Argument(help="Modules to measure; all of Figure 3 by default.")] = None,
    inputs: Annotated[list[int] | None, typer.Option(help="Numbers of inputs.")] = None,
    floor: Annotated[
        Path | None,
        typer.Option(help="File that measures the floor; in a clone of the repository, benchmarks/floor.py."),
    ] = None,
    two_layers: Annotated[
        bool, typer.Option("--two-layers", help="Measure variants of the experiment two-layer, with 100 inputs.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Measure the speed.

    What a run's iteration costs in an ensemble, beside a plain PyTorch loop of one model, and beside the floor: the
    same work written out by hand for this machine's vector units.

    Example: nalm bench NMRU --inputs 2
    """
    rows = nalm.benchmark(modules or None, inputs or [2], say, floor, two_layers)
    if as_json:
        write_json(rows)
    else:
        write_table(list(rows[0]), [[_cell(value) for value in row.values()] for row in rows])


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.2f}" if isinstance(value, float) else str(value)
