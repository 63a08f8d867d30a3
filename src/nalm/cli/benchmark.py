"""The command that measures speed."""

from pathlib import Path
from typing import Annotated, Any

import typer

import nalm
from nalm.cli.app import app
from nalm.cli.arguments import AsJson
from nalm.cli.console import say, write_json, write_table


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
    as_json: AsJson = False,
) -> None:
    """Measure the speed.

    The time of a run's iteration in an ensemble, beside a plain PyTorch loop of one model. With --floor, also beside
    the floor: the same work written by hand for this machine's vector units.

    Example: nalm bench NMRU --inputs 2
    """
    rows = nalm.benchmark(modules or None, inputs or [2], say, floor, two_layers)
    if as_json:
        write_json(rows)
    else:
        write_table(list(rows[0]), [[_cell(value) for value in row.values()] for row in rows])


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.2f}" if isinstance(value, float) else str(value)
