"""The command that draws loss landscapes."""

from pathlib import Path
from typing import Annotated

import typer

import nalm
from nalm.cli.app import app
from nalm.cli.arguments import AsCsv
from nalm.cli.console import say, write_csv
from nalm.errors import NalmError
from nalm.figures.landscapes import EPSILON

OUTPUT = Path("landscape.pdf")


@app.command()
def landscape(
    modules: Annotated[
        list[str] | None,
        typer.Argument(metavar="MODULE", help="Modules such as NRU-train; by default all that can learn it."),
    ] = None,
    target: Annotated[str, typer.Option(help="Operation to learn: product or quotient.")] = "product",
    kind: Annotated[
        str, typer.Option(help="Kind of figure: contour, with singularities marked, or surface.")
    ] = "contour",
    epsilon: Annotated[
        float, typer.Option(help="Number added to the sums' magnitudes; 1e-7 shows singularities in full.")
    ] = EPSILON,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help=f"FILE.pdf, .png or .svg; {OUTPUT} by default.")
    ] = None,
    as_csv: AsCsv = False,
) -> None:
    """Draw loss landscapes.

    Each landscape is the loss of an addition followed by a module, over one weight of each, as in Figure 9.

    Example: nalm landscape NRU-eval NMRU --target quotient -o landscape.pdf
    """
    chosen = modules or []
    if as_csv:
        if output is not None:
            raise NalmError("found --csv and --output, expected one of them")
        from nalm.figures.landscapes.table import landscapes

        write_csv(landscapes(chosen, target, epsilon=epsilon))
        return
    output = output or OUTPUT
    nalm.plot_landscapes(output, chosen, target=target, kind=kind, epsilon=epsilon)
    say(f"drew {output}")
