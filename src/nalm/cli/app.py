"""The ``nalm`` command, and the arguments and options that commands which read results share."""

from pathlib import Path
from typing import Annotated

import typer

import nalm
from nalm.cli.options import typed_as
from nalm.workflows.request import Selection

__all__ = ["AsCsv", "AsJson", "Directories", "Directory", "Name", "Tasks", "Variants", "app"]

app = typer.Typer(
    name="nalm",
    help="Neural arithmetic logic modules: train hundreds at once, and see which learn to calculate.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

AsJson = Annotated[bool, typer.Option("--json", help="Write JSON to stdout.")]
AsCsv = Annotated[bool, typer.Option("--csv", help="Write CSV to stdout.")]
Directory = Annotated[Path, typer.Argument(help="Results directory.", show_default=False)]
Directories = Annotated[
    list[Path], typer.Argument(metavar="DIRECTORY...", help="Results directories.", show_default=False)
]
Name = Annotated[str | None, typer.Argument(help="Experiment; needed if the directory holds several.")]
Variants = Annotated[list[str] | None, typed_as(Selection, "variants")]
Tasks = Annotated[list[str] | None, typed_as(Selection, "tasks")]


@app.callback(invoke_without_command=True)
def root(version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False) -> None:
    if version:
        print(f"nalm {nalm.__version__}")
        raise typer.Exit
