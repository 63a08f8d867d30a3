"""Arguments and options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from nalm.cli.completion import complete_stored_experiments
from nalm.cli.options import typed_as
from nalm.workflows.request import Selection

__all__ = ["AsCsv", "AsJson", "Directories", "Directory", "Name", "Tasks", "Variants"]

AsJson = Annotated[bool, typer.Option("--json", help="Write JSON to stdout.")]
AsCsv = Annotated[bool, typer.Option("--csv", help="Write CSV to stdout.")]
Directory = Annotated[Path, typer.Argument(help="Results directory.", show_default=False)]
Directories = Annotated[
    list[Path], typer.Argument(metavar="DIRECTORY...", help="Results directories.", show_default=False)
]
Name = Annotated[
    str | None,
    typer.Argument(
        help="Experiment; needed if the directory holds several.", autocompletion=complete_stored_experiments
    ),
]
Variants = Annotated[list[str] | None, typed_as(Selection, "variants")]
Tasks = Annotated[list[str] | None, typed_as(Selection, "tasks")]
