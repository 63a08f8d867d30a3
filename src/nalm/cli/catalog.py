"""Commands that list experiments and modules."""

import json
from dataclasses import asdict
from typing import Annotated, Any

import typer

from nalm.cli.app import app
from nalm.cli.arguments import AsJson
from nalm.cli.completion import COMPLETIONS
from nalm.cli.console import write_json, write_table
from nalm.errors import NalmError
from nalm.experiments.index import COMPUTED_FIGURES, experiment_names, in_the_papers_order, index
from nalm.modules.names import module_names
from nalm.registry import import_paths
from nalm.remember import remembered


@app.command("list")
def list_experiments(as_json: AsJson = False) -> None:
    """List the experiments and the computed figures.

    Nothing is trained for computed figures.

    Example: nalm list
    """
    rows = [_row(name) for name in in_the_papers_order([*experiment_names(), *COMPUTED_FIGURES])]
    if as_json:
        write_json(rows)
    else:
        write_table(
            list(rows[0]),
            [[f"{cell:,}" if isinstance(cell, int) else str(cell or "–") for cell in row.values()] for row in rows],
        )


def _row(name: str) -> dict[str, str | int | None]:
    if name in COMPUTED_FIGURES:
        number = name.removeprefix("figure-")
        return {"name": name, "figure": number, "title": COMPUTED_FIGURES[name].title, "runs": 0, "iterations": 0}
    entry = index()[name]
    return {
        "name": name,
        "figure": entry.figure,
        "title": entry.title,
        "runs": entry.runs,
        "iterations": entry.iterations,
    }


@app.command()
def modules(
    name: Annotated[
        str | None,
        typer.Argument(
            help="Module to show: its equation, options and operations.", autocompletion=COMPLETIONS["modules"]
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the modules, or show one.

    Recipes, `nalm train` and `nalm.modules` use the same names. The names of the original's command line work too.

    Example: nalm modules NMRU
    """
    try:
        with import_paths(True):
            descriptions = [_description(module) for module in ([name] if name is not None else module_names())]
    except ValueError as error:
        raise NalmError(str(error)) from None
    if as_json:
        write_json(descriptions if name is None else descriptions[0])
    elif name is None:
        write_table(
            ["name", "operations", "what it does"],
            [[module["name"], " ".join(module["operations"]) or "–", module["summary"]] for module in descriptions],
        )
    else:
        _show_module(descriptions[0])


def _description(name: str) -> dict[str, Any]:
    """Return the fields of a module's description; building the module needs torch, so they are remembered."""

    def describe() -> dict[str, Any]:
        from nalm.modules.descriptions import describe

        return dict(json.loads(json.dumps(asdict(describe(name)))))

    return remembered("description", name, describe)


def _show_module(module: dict[str, Any]) -> None:
    print(f"{module['name']}\n\n{module['documentation']}\n")
    operations = ", ".join(f"{operation} ({inputs})" for operation, inputs in module["operations"].items())
    print(f"{'operations':18}{operations or 'none'}")
    options = ", ".join(f"{option}={value!r}" for option, value in module["options"].items())
    print(f"{'options':18}{options or 'none'}")
    shapes = ", ".join(f"{parameter} {shape}" for parameter, shape in module["parameters"].items())
    print(f"{'parameters':18}{shapes} (with 2 inputs, 1 output)")
    for parameter, (low, high) in module["domain"].items():
        print(f"{'discrete values':18}{parameter}: {', '.join(map(str, range(low, high + 1)))}")
