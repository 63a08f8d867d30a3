"""The ``nalm`` command."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, TypeVar

import pandas as pd
import typer

import nalm
from nalm.analysis.results import learnt_expression
from nalm.cli.console import duration, progress_reporter, say, write_csv, write_json, write_table
from nalm.cli.tables import show_runs, show_summary
from nalm.errors import NalmError
from nalm.experiments.catalog import experiment_names, load_experiment
from nalm.experiments.experiment import Experiment
from nalm.experiments.seeds import parse_seeds, show_seeds
from nalm.modules import Description, describe, module_names

__all__ = ["app"]

R = TypeVar("R")

app = typer.Typer(
    name="nalm",
    help="Neural arithmetic logic modules: train hundreds at once, and see which of them learnt to calculate.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

AsJson = Annotated[bool, typer.Option("--json", help="Write JSON to stdout.")]
AsCsv = Annotated[bool, typer.Option("--csv", help="Write CSV to stdout.")]
Directory = Annotated[Path, typer.Argument(help="A results directory.", show_default=False)]
Name = Annotated[str | None, typer.Argument(help="An experiment in it; needed if it holds several.")]

ExperimentName = Annotated[
    str, typer.Argument(metavar="EXPERIMENT", help="A name that `nalm list` shows, or a YAML file.", show_default=False)
]
Out = Annotated[Path, typer.Option(help="Results directory.")]
Seeds = Annotated[str | None, typer.Option(help="Such as 0-24 or 0-4,10, instead of the experiment's.")]
Variants = Annotated[list[str] | None, typer.Option(help="Only this variant; give it again for more, or use commas.")]
Iterations = Annotated[int | None, typer.Option(min=0, help="N makes N + 1 updates, as the original does.")]
EvaluateEvery = Annotated[int | None, typer.Option(min=1, help="Iterations between evaluations.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="VARIANT.FIELD=VALUE", help="Change a recipe; * stands for every variant."),
]
Workers = Annotated[int | None, typer.Option(min=0, help="Processes of one thread; by default one per core.")]
Device = Annotated[str, typer.Option(help="Where models train, such as cpu or cuda.")]
NoCompile = Annotated[bool, typer.Option("--no-compile", help="Train eagerly, which is many times slower.")]
Replace = Annotated[bool, typer.Option("--replace", help="Go on although a known recipe changed; old runs stay.")]


@app.callback(invoke_without_command=True)
def root(version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False) -> None:
    if version:
        print(f"nalm {nalm.__version__}")
        raise typer.Exit


@app.command("list")
def list_experiments(as_json: AsJson = False) -> None:
    """List the experiments.

    Example: nalm list
    """
    experiments = [load_experiment(name) for name in experiment_names()]
    rows = [
        {
            "name": experiment.name,
            "figure": experiment.figure,
            "title": experiment.title,
            "runs": experiment.runs,
            "iterations": max(recipe.iterations for recipe in experiment.variants.values()),
        }
        for experiment in experiments
    ]
    if as_json:
        write_json(rows)
    else:
        write_table(
            list(rows[0]),
            [[f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row.values()] for row in rows],
        )


@app.command()
def modules(
    name: Annotated[str | None, typer.Argument(help="Show this one: its equation, options, operations.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the modules, or show one.

    Names are those of recipes, of `nalm train` and of `nalm.modules`; those of the original's command line are known
    too.

    Example: nalm modules NMRU
    """
    try:
        descriptions = [describe(module) for module in ([name] if name is not None else module_names())]
    except ValueError as error:
        raise NalmError(str(error)) from None
    if as_json:
        rows = [asdict(description) for description in descriptions]
        write_json(rows if name is None else rows[0])
    elif name is None:
        write_table(
            ["name", "operations", "what it does"],
            [[module.name, " ".join(module.operations) or "–", module.summary] for module in descriptions],
        )
    else:
        _show_module(descriptions[0])


def _show_module(module: Description) -> None:
    print(f"{module.name}\n\n{module.documentation}\n")
    operations = ", ".join(f"{operation} ({inputs})" for operation, inputs in module.operations.items())
    print(f"{'operations':18}{operations or 'none'}")
    print(f"{'options':18}{', '.join(f'{option}={value!r}' for option, value in module.options.items()) or 'none'}")
    shapes = ", ".join(f"{parameter} {list(shape)}" for parameter, shape in module.parameters.items())
    print(f"{'parameters':18}{shapes} (with 2 inputs, 1 output)")
    for parameter, (low, high) in module.domain.items():
        print(f"{'discrete values':18}{parameter}: {', '.join(map(str, range(low, high + 1)))}")


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
def summary(directory: Directory, experiment: Name = None, as_json: AsJson = False, as_csv: AsCsv = False) -> None:
    """Summarize results.

    Success, speed and sparsity per variant and task, and over all tasks of a variant.

    Example: nalm summary results figure-3
    """
    results = _load(directory, experiment)
    table = results.summary()
    if not _write_data(table, as_json, as_csv):
        show_summary(table, results.experiment.title)


@app.command()
def runs(directory: Directory, experiment: Name = None, as_json: AsJson = False, as_csv: AsCsv = False) -> None:
    """List results run by run.

    Solved or not, when, and the errors at the best validation row.

    Example: nalm runs results figure-3 --csv
    """
    results = _load(directory, experiment)
    table = results.runs()
    if not _write_data(table, as_json, as_csv):
        show_runs(table)


def _write_data(frame: pd.DataFrame, as_json: bool, as_csv: bool) -> bool:
    if as_json and as_csv:
        raise NalmError("found --json and --csv, expected one of them")
    if as_json:
        write_json(frame)
    elif as_csv:
        write_csv(frame)
    return as_json or as_csv


def _load(directory: Path, experiment: str | None) -> nalm.Results:
    results = nalm.load(directory, experiment)
    _say_missing(results, directory)
    if not results.trained:
        raise NalmError(f"found no finished runs of {results.experiment.name} in {str(directory)!r}")
    return results


def _say_missing(results: nalm.Results, directory: Path) -> None:
    if results.missing:
        missing = f"{results.missing} of {results.experiment.runs} runs (variants × tasks × seeds)"
        say(f"nalm: {missing} of {results.experiment.name} are not in {directory}")


@app.command()
def plot(
    directory: Directory,
    experiment: Name = None,
    output: Annotated[Path, typer.Option("-o", "--output", help="FILE.pdf, .png or .svg")] = Path("figure.pdf"),
) -> None:
    """Draw the three panels.

    Success rate, iteration at which runs were solved, and sparsity error, as the paper draws them.

    Example: nalm plot results figure-3 -o figure-3.pdf
    """
    nalm.plot(_load(directory, experiment), output)
    say(f"drew {output}")


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
    _say_missing(results, out)
    show_summary(results.summary(), results.experiment.title)
    say(f"wrote {chosen.name}.csv, .pdf and .png into {out}")


@app.command()
def show(
    directory: Directory,
    variant: Annotated[str, typer.Option(help="Label of the variant.")],
    task: Annotated[str, typer.Option(help="Label of the task, such as 'U[1,2)'.")],
    seed: Annotated[int, typer.Option(min=0)],
    experiment: Name = None,
    as_json: AsJson = False,
) -> None:
    """Show one run.

    Its weights, its history, and the expression it learnt.

    Example: nalm show results --variant NMRU --task 'U[1,2)' --seed 0
    """
    description = nalm.load(directory, experiment).run(variant, task, seed).description()
    if as_json:
        write_json(description)
        return
    history = description.pop("history")
    for name, value in description.items():
        print(f"{name:18}{value}")
    if history:
        write_table(list(history[0]), [[f"{value:.6g}" for value in row.values()] for row in history])


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
