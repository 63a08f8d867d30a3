"""Commands that train."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

import nalm
from nalm.analysis.results import learnt_expression
from nalm.cli.app import (
    AsJson,
    Device,
    EvaluateEvery,
    ExperimentName,
    Iterations,
    NoCompile,
    Out,
    Replace,
    Seeds,
    Settings,
    Variants,
    Workers,
    app,
)
from nalm.cli.console import duration, progress_reporter, say, write_json, write_table
from nalm.cli.results import say_missing
from nalm.cli.tables import show_summary
from nalm.errors import NalmError
from nalm.experiments.catalog import load_experiment
from nalm.experiments.experiment import Experiment
from nalm.experiments.seeds import parse_seeds, show_seeds

R = TypeVar("R")


@app.command()
def run(
    experiment: ExperimentName,
    out: Out = Path("results"),
    seeds: Seeds = None,
    variants: Variants = None,
    iterations: Iterations = None,
    evaluate_every: EvaluateEvery = None,
    settings: Settings = None,
    workers: Workers = None,
    device: Device = "cpu",
    no_compile: NoCompile = False,
    replace: Replace = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would take, and do nothing.")] = False,
) -> None:
    """Train an experiment.

    What is in the results directory already is not trained again.

    Example: nalm run figure-3 --seeds 0-4 --variants NMRU --out results
    """
    chosen = _choose(experiment, seeds, variants, iterations, evaluate_every, settings)
    if dry_run:
        forecast = nalm.forecast(chosen, out, workers=workers, device=device, replace=replace)
        print(f"{chosen.name}: {chosen.title}")
        print(f"runs      {forecast.runs:,}, of which {forecast.missing:,} are missing, in {forecast.shards} shards")
        print(f"time      about {duration(forecast.seconds)} (an estimate)")
        print(f"disk      about {forecast.bytes / 1e6:,.1f} MB")
        return
    _train(nalm.run, chosen, out, workers, device, not no_compile, replace)


def _choose(
    name: str,
    seeds: str | None,
    variants: Sequence[str] | None,
    iterations: int | None,
    evaluate_every: int | None,
    settings: Sequence[str] | None,
) -> Experiment:
    experiment = load_experiment(name)
    for setting in settings or ():
        experiment = experiment.with_setting(setting)
    changes: dict[str, Any] = {"iterations": iterations, "evaluate_every": evaluate_every}
    changes = {field: value for field, value in changes.items() if value is not None}
    if changes:
        experiment = experiment.changed(changes)
    labels = [label for text in variants for label in _labels(text, experiment)] if variants else None
    return experiment.narrowed(parse_seeds(seeds) if seeds is not None else None, labels)


def _labels(text: str, experiment: Experiment) -> list[str]:
    return [text] if text in experiment.variants else [label.strip() for label in text.split(",")]


def _train(
    train: Callable[..., R],
    experiment: Experiment,
    out: Path,
    workers: int | None,
    device: str,
    compiled: bool,
    replace: bool,
) -> R:
    """Calls `nalm.run` or `nalm.reproduce`, and shows how far it is."""
    say(f"{experiment.name}: {experiment.title} ({experiment.runs:,} runs, seeds {show_seeds(experiment.seeds)})")
    last: list[nalm.Progress] = []
    try:
        with progress_reporter() as report:

            def on_progress(progress: nalm.Progress) -> None:
                last[:] = [progress]
                report(progress)

            result = train(
                experiment,
                out,
                workers=workers,
                device=device,
                compiled=compiled,
                replace=replace,
                on_progress=on_progress,
            )
    except KeyboardInterrupt:
        say("nalm: interrupted; finished shards are saved, and the same command goes on with the others")
        raise typer.Exit(130) from None
    spent = f"in {duration(last[0].seconds)}" if last else "before: nothing was left to train"
    say(f"all {experiment.runs:,} runs are in {out}, trained {spent}")
    return result


@app.command()
def reproduce(
    experiment: ExperimentName,
    out: Out = Path("results"),
    seeds: Seeds = None,
    variants: Variants = None,
    iterations: Iterations = None,
    evaluate_every: EvaluateEvery = None,
    settings: Settings = None,
    workers: Workers = None,
    device: Device = "cpu",
    no_compile: NoCompile = False,
    replace: Replace = False,
) -> None:
    """Train, summarize and draw a figure.

    Everything goes into the results directory.

    Example: nalm reproduce figure-3 --out results
    """
    chosen = _choose(experiment, seeds, variants, iterations, evaluate_every, settings)
    results = _train(nalm.reproduce, chosen, out, workers, device, not no_compile, replace)
    say_missing(results, out)
    show_summary(results.summary(), results.experiment.title)
    say(f"wrote {chosen.name}.csv, .pdf and .png into {out}")


@app.command()
def train(
    module: Annotated[str, typer.Argument(help="A module's name, or an import path package.module:Class.")],
    operation: Annotated[str, typer.Option(help="What it learns.")] = "div",
    train_range: Annotated[str, typer.Option(help="LOW,HIGH of the training inputs.")] = "1,2",
    test_range: Annotated[str, typer.Option(help="LOW,HIGH of the test inputs.")] = "2,6",
    inputs: Annotated[int, typer.Option(min=1, help="Inputs; the operation takes the first ones a seed draws.")] = 2,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    iterations: Iterations = None,
    evaluate_every: EvaluateEvery = None,
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
    experiment = nalm.single_run(module, operation, _pair(train_range), _pair(test_range), inputs, seed)
    for setting in settings or ():
        if "=" not in setting:
            raise NalmError(f"found setting {setting!r}, expected FIELD=VALUE")
        experiment = experiment.with_setting(f"{module}.{setting}")
    changes = {"iterations": iterations, "evaluate_every": evaluate_every}
    experiment = experiment.changed({field: value for field, value in changes.items() if value is not None})
    (label,) = experiment.tasks

    def report(iteration: int, validation: float, test: float) -> None:
        say(f"{iteration:>9,}  validation error {validation:<12.4g} test error {test:.4g}")

    trained = nalm.train_single(experiment, device, not no_compile, report)
    described = {
        "module": module,
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
    as_json: AsJson = False,
) -> None:
    """Measure the speed.

    What a run's iteration costs in an ensemble, beside a plain PyTorch loop of one model, and beside the floor: the
    same work written out by hand for this machine's vector units.

    Example: nalm bench NMRU --inputs 2
    """
    rows = nalm.benchmark(modules or None, inputs or [2], say, floor)
    if as_json:
        write_json(rows)
    else:
        write_table(list(rows[0]), [[_cell(value) for value in row.values()] for row in rows])


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.2f}" if isinstance(value, float) else str(value)
