"""Commands that read results."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import nalm
from nalm.cli.app import app
from nalm.cli.arguments import AsCsv, AsJson, Directories, Directory, Name, Tasks, Variants
from nalm.cli.console import say, write_csv, write_json, write_table
from nalm.cli.tables import say_missing, show_runs, show_summary
from nalm.errors import NalmError
from nalm.figures import FIGURES
from nalm.text import one_line
from nalm.workflows.request import split_labels

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["load_results", "write_data"]


@app.command()
def summary(directory: Directory, experiment: Name = None, as_json: AsJson = False, as_csv: AsCsv = False) -> None:
    """Summarize results.

    Print success rate, speed and sparsity of each variant, per task and over all tasks.

    Example: nalm summary results figure-3
    """
    results = load_results(directory, experiment)
    table = results.summary()
    if not write_data(table, as_json, as_csv):
        show_summary(table, results.experiment.title)


@app.command()
def runs(directory: Directory, experiment: Name = None, as_json: AsJson = False, as_csv: AsCsv = False) -> None:
    """List results run by run.

    Print whether and when each run was solved, and its errors at its best validation error.

    Example: nalm runs results figure-3 --csv
    """
    results = load_results(directory, experiment)
    table = results.runs()
    if not write_data(table, as_json, as_csv):
        show_runs(table)


def write_data(frame: "pd.DataFrame", as_json: bool, as_csv: bool) -> bool:
    """Print a table as JSON or CSV if one of them was asked for, and return whether one was.

    Raises:
        NalmError: both were asked for.
    """
    if as_json and as_csv:
        raise NalmError("found --json and --csv, expected one of them")
    if as_json:
        write_json(frame)
    elif as_csv:
        write_csv(frame)
    return as_json or as_csv


def load_results(directory: Path, experiment: str | None) -> "nalm.Results":
    """Load results that have finished runs, and print how many runs are missing.

    Raises:
        NalmError: the directory has no finished runs.
    """
    results = nalm.load(directory, experiment)
    say_missing(results, directory)
    if not results.finished:
        raise NalmError(f"found no finished runs of {results.experiment.name} in {str(directory)!r}")
    return results


@app.command()
def plot(
    directory: Directory,
    experiment: Name = None,
    kind: Annotated[
        str,
        typer.Option(help=f"Kind of figure: {', '.join(FIGURES)}."),
    ] = "panels",
    variants: Variants = None,
    tasks: Tasks = None,
    output: Annotated[Path, typer.Option("-o", "--output", help="FILE.pdf, .png or .svg")] = Path("figure.pdf"),
) -> None:
    """Draw a figure.

    The default kind is the paper's three panels: success rate, iteration at which runs were solved, and sparsity error.

    Example: nalm plot results figure-3 --kind curves --variants NMRU,NRU -o curves.pdf
    """
    results = load_results(directory, experiment)
    chosen = split_labels(variants or (), results.experiment.variants)
    chosen_tasks = split_labels(tasks or (), results.experiment.tasks)
    nalm.plot(results, output, kind, variants=chosen, tasks=chosen_tasks)
    say(f"drew {output}")


@app.command()
def show(
    directory: Directory,
    variant: Annotated[str, typer.Option(help="Label of the variant.")],
    task: Annotated[str, typer.Option(help="Label of the task, such as 'U[1,2)'.")],
    seed: Annotated[int, typer.Option(min=0, help="Seed of the run.")],
    experiment: Name = None,
    as_json: AsJson = False,
) -> None:
    """Show one run.

    Print its weights, its history, the expression it learnt, and where and how it was trained.

    Example: nalm show results --variant NMRU --task 'U[1,2)' --seed 0
    """
    description = nalm.load(directory, experiment).run(variant, task, seed).description()
    if as_json:
        write_json(description)
        return
    history, provenance = description.pop("history"), description.pop("provenance")
    for name, value in {**description, **provenance}.items():
        print(f"{name:18}{one_line(str(value))}")
    if history:
        write_table(list(history[0]), [[f"{value:.6g}" for value in row.values()] for row in history])


@app.command()
def report(
    directories: Directories,
    output: Annotated[Path, typer.Option("-o", "--output", help="FILE.html or .md")] = Path("report.html"),
) -> None:
    """Write a page of all results.

    The page shows what was trained and its cost, and for every experiment a figure, tables, and published numbers.
    HTML is one file. It also shows which seeds failed, what they learnt instead, and where results were trained.
    Markdown stores its figures beside it, in the folder `figures`.

    Example: nalm report results -o report.html
    """
    page, *_ = nalm.report(directories, output, on_section=lambda title: say(f"writing {title}"))
    say(f"wrote {page}")
