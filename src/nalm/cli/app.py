"""The ``nalm`` command itself, and the arguments and options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

import nalm

__all__ = [
    "AsCsv",
    "AsJson",
    "Device",
    "Directory",
    "EvaluateEvery",
    "ExperimentNames",
    "Gradients",
    "Iterations",
    "Name",
    "NoCompile",
    "NoImports",
    "Out",
    "Replace",
    "Seeds",
    "Settings",
    "StopWhenSolved",
    "Tasks",
    "TensorBoard",
    "Variants",
    "Verbose",
    "Workers",
    "app",
]

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

ExperimentNames = Annotated[
    list[str],
    typer.Argument(metavar="EXPERIMENT", help="Names that `nalm list` shows, or YAML files.", show_default=False),
]
Out = Annotated[Path, typer.Option(help="Results directory.")]
Seeds = Annotated[str | None, typer.Option(help="Such as 0-24 or 0-4,10, instead of the experiment's.")]
Variants = Annotated[list[str] | None, typer.Option(help="Only this variant; give it again for more, or use commas.")]
Tasks = Annotated[list[str] | None, typer.Option(help="Only this task, likewise.")]
Iterations = Annotated[int | None, typer.Option(min=0, help="N makes N + 1 updates, as the original does.")]
EvaluateEvery = Annotated[int | None, typer.Option(min=1, help="Iterations between evaluations.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="VARIANT.FIELD=VALUE", help="Change a recipe; * stands for every variant."),
]
StopWhenSolved = Annotated[
    bool,
    typer.Option("--stop-when-solved", help="Retire a run once it is solved; it is another run than to the end."),
]
Workers = Annotated[int | None, typer.Option(min=0, help="Processes of one thread; by default one per core.")]
Device = Annotated[str, typer.Option(help="Where models train, such as cpu or cuda.")]
NoCompile = Annotated[bool, typer.Option("--no-compile", help="Train eagerly, which is many times slower.")]
NoImports = Annotated[
    bool, typer.Option("--no-imports", help="Refuse modules named by an import path, whose code would be run.")
]
TensorBoard = Annotated[
    Path | None,
    typer.Option(metavar="DIRECTORY", help="Write TensorBoard logs there, too, once all is trained."),
]
Verbose = Annotated[bool, typer.Option("--verbose", help="TensorBoard logs with weights and gates, and histograms.")]
Gradients = Annotated[
    bool, typer.Option("--gradients", help="TensorBoard logs with gradients, computed anew on validation rows.")
]
Replace = Annotated[bool, typer.Option("--replace", help="Go on although a known recipe changed; old runs stay.")]


@app.callback(invoke_without_command=True)
def root(version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False) -> None:
    if version:
        print(f"nalm {nalm.__version__}")
        raise typer.Exit
