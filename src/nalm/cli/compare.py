"""The command that compares results with published numbers, or with other results."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import nalm
from nalm.cli.app import app
from nalm.cli.arguments import AsCsv, AsJson, Directory
from nalm.cli.console import say
from nalm.cli.results import write_data
from nalm.cli.tables import show_comparison, show_pairs
from nalm.errors import NalmError

if TYPE_CHECKING:
    import pandas as pd


@app.command()
def compare(
    directory: Directory,
    other: Annotated[Path | None, typer.Argument(help="Second directory, to compare seed by seed.")] = None,
    experiment: Annotated[str | None, typer.Option(help="Only this experiment.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Also show rows without published numbers.")] = False,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Compare with published numbers.

    Print solved runs beside those that papers report: the difference, ours minus published, with its 95 % interval,
    and whether the interval contains 0. With a second directory, compare runs of the same seeds in pairs, first minus
    second.

    Example: nalm compare results --experiment redundancy
    """
    if other is not None and every:
        raise NalmError(f"found --all and a second directory {str(other)!r}, expected one of them")
    if other is None:
        from nalm.analysis.comparison import NOTHING_PUBLISHED

        table = nalm.compare(directory, experiment)
        shown = table if every else table[table["verdict"] != NOTHING_PUBLISHED]
        show, where = show_comparison, "in the catalog"
    else:
        table = shown = nalm.compare_results(directory, other, experiment)
        show, where = show_pairs, f"in {other}"
    if not write_data(shown, as_json, as_csv):
        show(shown)
    _say_left_out(table.drop(shown.index))
    _say_changes(shown, where)


def _say_left_out(rows: "pd.DataFrame") -> None:
    if len(rows):
        experiments = ", ".join(rows["experiment"].unique())
        say(f"nalm: nothing is published of {len(rows)} rows ({experiments}), which --all shows")


def _say_changes(table: "pd.DataFrame", where: str) -> None:
    """Print which recipes or tasks differ under the same labels, if any."""
    for name, rows in table[table["changed"].notna()].groupby("experiment", sort=False):
        fields = dict.fromkeys(field for text in rows["changed"] for field in text.split(", "))
        variants = ", ".join(dict.fromkeys(rows["variant"]))
        say(f"nalm: {name}: {', '.join(fields)} of {variants} are not as {where}")
