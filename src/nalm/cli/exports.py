"""Commands that write files for other tools, and read the original's."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

import nalm
from nalm.cli.app import app
from nalm.cli.arguments import AsCsv, Directory, Variants
from nalm.cli.console import say
from nalm.cli.options import with_request
from nalm.errors import NalmError
from nalm.workflows.request import TensorBoardOptions, split_labels


class Schema(StrEnum):
    """Columns of a table for other tools."""

    tidy = "tidy"
    original = "original"


@app.command()
@with_request
def export(
    request: TensorBoardOptions,
    directory: Directory,
    experiment: Annotated[
        str | None, typer.Argument(help="Experiment in the directory; by default all of them.", show_default=False)
    ] = None,
    as_csv: AsCsv = False,
    schema: Annotated[
        Schema, typer.Option(help="Columns of the CSV: tidy, or the original's with its run names.")
    ] = Schema.tidy,
    variants: Variants = None,
) -> None:
    """Write results for other tools.

    Print a CSV table to stdout, with a row per run and evaluation, or write TensorBoard logs. With the original's
    schema, runs that its names cannot express are left out. Other tools can read the Parquet files of a results
    directory as they are.

    Example: nalm export results figure-3 --csv --schema original > figure-3.csv
    """
    logs = request.tensorboard
    if as_csv == (logs is not None):
        found = "both --csv and" if as_csv else "neither --csv nor"
        raise NalmError(f"found {found} --tensorboard, expected one of them")
    request.check()
    labels = split_labels(variants, nalm.load(directory, experiment).experiment.variants) if variants else None
    if logs is None:
        exported = nalm.export_csv(directory, sys.stdout, experiment, variants=labels, schema=schema.value)
    else:
        if schema is not Schema.tidy:
            raise NalmError("found --schema with --tensorboard, expected it with --csv")
        exported = nalm.export_tensorboard(
            directory, logs, experiment, variants=labels, verbose=request.verbose, gradients=request.gradients
        )
        say(f"wrote TensorBoard logs of {exported.runs:,} runs into {logs}")
    if exported.missing:
        say(f"nalm: {exported.missing:,} of {exported.total:,} runs are not in {directory}")
    for reason, count in exported.left_out.items():
        say(f"nalm: {count:,} runs are left out ({reason})")


@app.command("import")
def import_(
    sources: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE_OR_FOLDER...", help="CSV files, or folders of TensorBoard logs.", show_default=False
        ),
    ],
    out: Annotated[Path, typer.Option(help="Results directory to add them to.", show_default=False)],
    experiment: Annotated[
        str | None,
        typer.Option(help="Experiment of the runs: a name from `nalm list`, or a YAML file.", show_default=False),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(help="Name of a new experiment for the runs, without --experiment.", show_default=False),
    ] = None,
    skip_damaged: Annotated[
        bool, typer.Option("--skip-damaged", help="Leave out runs whose TensorBoard logs are damaged.")
    ] = False,
    sort: Annotated[bool, typer.Option("--sort", help="Sort rows of CSV files by run and step.")] = False,
) -> None:
    """Read results of the original code.

    Its CSV files and TensorBoard folders become results that can be summarized, compared and drawn like our own. With
    --experiment, runs get the labels and thresholds of that experiment, and other runs are skipped.

    Example: nalm import figure-3.csv --out old --experiment figure-3
    """
    imported = nalm.import_results(sources, out, experiment, name=name, skip_damaged=skip_damaged, sort=sort)
    say(f"added {imported.runs:,} runs of {imported.experiment.name} to {out}")
    for count, what in (
        (imported.there, "were there already or were found more than once: the first of each is kept"),
        (imported.not_in_experiment, f"are not part of {imported.experiment.name} and are skipped"),
        (imported.short, "end before others of their variant and count as diverged: the original stops at NaN weights"),
    ):
        if count:
            say(f"nalm: {count:,} runs {what}")
    if imported.damaged:
        say(
            f"nalm: {len(imported.damaged):,} runs are left out: their files are damaged, such as {imported.damaged[0]}"
        )
