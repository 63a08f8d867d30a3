"""The command that measures speed."""

from pathlib import Path
from typing import Annotated, Any

import typer

import nalm
from nalm.cli.app import app
from nalm.cli.arguments import AsJson
from nalm.cli.console import say, write_json, write_table

BOUNDS = LOW, HIGH = "_low", "_high"
"""Ends of the names of columns with the lowest and the highest value of another."""


@app.command()
def bench(
    modules: Annotated[
        list[str] | None, typer.Argument(help="Modules to measure; by default those of Figure 3.")
    ] = None,
    inputs: Annotated[list[int] | None, typer.Option(help="Number of inputs; repeat for more.")] = None,
    floor: Annotated[
        Path | None,
        typer.Option(help="Python file that measures the floor, such as the repository's benchmarks/floor.py."),
    ] = None,
    two_layers: Annotated[
        bool, typer.Option("--two-layers", help="Measure variants of the experiment two-layer, with 100 inputs.")
    ] = False,
    thorough: Annotated[bool, typer.Option("--thorough", help="Repeat longer trainings, of 4,000 iterations.")] = False,
    as_json: AsJson = False,
) -> None:
    """Measure the speed.

    The time of a run's iteration in an ensemble, beside a plain PyTorch loop of one model. With --floor, also beside
    the floor: the same work written by hand for this machine's vector units.

    Both are measured in turn, 5 to 11 times in about a minute for all modules. The table shows the median of these
    repetitions, and in brackets the lowest and the highest.

    Example: nalm bench NMRU --inputs 2
    """
    rows = nalm.benchmark(modules or None, inputs or [2], say, floor, two_layers, thorough)
    if as_json:
        write_json(rows)
    else:
        headers = [name for name in rows[0] if not name.endswith(BOUNDS)]
        write_table(headers, [[_cell(row, name) for name in headers] for row in rows])


def _cell(row: dict[str, Any], name: str) -> str:
    value = row[name]
    if not isinstance(value, float):
        return "–" if value is None else str(value)
    digits = 2 if value < 10 else 1 if value < 100 else 0
    if name + LOW not in row:
        return f"{value:.{digits}f}"
    return f"{value:.{digits}f} ({row[name + LOW]:.{digits}f}–{row[name + HIGH]:.{digits}f})"
