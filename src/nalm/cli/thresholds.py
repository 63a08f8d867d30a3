"""Commands about success thresholds, and about the test errors of gold weights."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import nalm
from nalm.cli.app import app
from nalm.cli.arguments import AsCsv, AsJson
from nalm.cli.console import say, write_table
from nalm.cli.results import write_data

if TYPE_CHECKING:
    import pandas as pd

ThresholdsOf = Annotated[str | None, typer.Argument(metavar="EXPERIMENT", help="Name from `nalm list`, or YAML file.")]
Figure = Annotated[Path | None, typer.Option("-o", "--output", help="Also draw the figure: FILE.pdf, .png or .svg.")]


@app.command()
def thresholds(experiment: ThresholdsOf = None, as_json: AsJson = False, as_csv: AsCsv = False) -> None:
    """Show success thresholds.

    For an experiment, print the threshold of the test error for every variant and task. Without one, simulate the
    thresholds of two-layer networks and print them beside the published values, which takes about 20 seconds.

    Example: nalm thresholds figure-3 --csv
    """
    _show(nalm.thresholds(experiment), as_json, as_csv)


@app.command("gold-error")
def gold_error(output: Figure = None, as_json: AsJson = False, as_csv: AsCsv = False) -> None:
    """Measure test errors of gold weights.

    Print the test errors of the division modules with perfect weights when they divide by small numbers, beside the
    published values, as in Figure 5.

    Example: nalm gold-error --output figure-5.pdf
    """
    frame = nalm.gold_errors()
    if output is not None:
        from nalm.figures.gold_errors import gold_error_figure
        from nalm.figures.saving import save

        save(gold_error_figure(frame), output)
        say(f"drew {output}")
    _show(frame, as_json, as_csv)


def _show(frame: "pd.DataFrame", as_json: bool, as_csv: bool) -> None:
    if not write_data(frame, as_json, as_csv):
        rows = [[_cell(name, value) for name, value in row.items()] for row in frame.to_dict(orient="records")]
        write_table([str(name).replace("_", " ") for name in frame], rows)


def _cell(column: object, value: object) -> str:
    if isinstance(value, float):
        return f"{value:.1e}" if column == "relative_difference" else f"{value:.6g}"
    return str(value)
