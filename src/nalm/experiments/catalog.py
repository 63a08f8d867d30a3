"""The experiments that come with nalm."""

import difflib
import re
from collections.abc import Collection
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

from nalm.errors import NalmError
from nalm.experiments.experiment import Experiment
from nalm.experiments.reading import read_experiment
from nalm.spec.document import Document
from nalm.spec.recipe import Recipe

__all__ = [
    "COMPUTED_FIGURES",
    "default_recipe",
    "experiment_names",
    "figures_called",
    "in_the_papers_order",
    "load_experiment",
]

HERE = Path(str(resources.files("nalm.experiments")))


class ComputedFigure(NamedTuple):
    """A figure of the paper for which nothing is trained.

    Arguments:
        title: its title.
        writer: import path of the function that writes its files into a directory and returns their paths.
    """

    title: str
    writer: str


COMPUTED_FIGURES = {
    "figure-5": ComputedFigure(
        "Test error of gold weights, for inputs that come ever closer to 0",
        "nalm.figures.gold_errors:reproduce_gold_errors",
    ),
    "figure-9": ComputedFigure(
        "Loss landscapes of seven modules", "nalm.figures.landscapes.pages:reproduce_landscapes"
    ),
}
"""Computed figures by name."""
README_NUMBERS = {"figure-6": ("redundancy", "distributions-in2"), "figure-7": ("distributions-in10",)}
"""What the original's README calls by numbers of which one is used twice."""


@cache
def _shared(name: str) -> dict[str, Any]:
    return Document(HERE / f"{name}.yaml").value


def experiment_names() -> list[str]:
    """Names of the experiments in the catalog."""
    return sorted(path.stem for path in (HERE / "catalog").glob("*.yaml"))


def in_the_papers_order(names: Collection[str]) -> list[str]:
    """Figures of the paper as they are numbered, then the others."""
    paper = _figures_of_the_paper()
    return [*(name for name in paper if name in names), *sorted(set(names) - set(paper))]


def figures_called(name: str) -> list[str]:
    """The experiments and computed figures that a name stands for: mostly itself.

    ``all`` is every figure of the paper, in its order; ``figure-6`` and ``figure-7`` are what the original's README
    calls so: 6 both its table's redundancy and its text's distributions.
    """
    if name == "all":
        return _figures_of_the_paper()
    return list(README_NUMBERS.get(name, (name,)))


@cache
def _figures_of_the_paper() -> list[str]:
    numbers = {name: load_experiment(name).figure for name in experiment_names()}
    numbers |= {name: name.removeprefix("figure-") for name in COMPUTED_FIGURES}
    readme = [name for names in README_NUMBERS.values() for name in names]

    def order(name: str) -> tuple[int, str, int]:
        number = numbers[name] or ""
        digits = re.match(r"\d+", number)
        return (int(digits[0]) if digits else 0, number, readme.index(name) if name in readme else -1)

    return sorted((name for name, number in numbers.items() if number), key=order)


def load_experiment(name: str) -> Experiment:
    """Reads an experiment of the catalog by its name, or anybody's by the path of its YAML file.

    Raises:
        NalmError: there is none, or it is wrong.
    """
    if name in README_NUMBERS:
        several = README_NUMBERS[name]
        if len(several) > 1:
            found = f"the original's README calls several experiments {name}"
            raise NalmError(f"{found}, name one of: {', '.join(several)}")
        (name,) = several
    if name in COMPUTED_FIGURES:
        raise NalmError(f"nothing is trained for {name}: use `nalm reproduce {name}`")
    if name in experiment_names():
        path = HERE / "catalog" / f"{name}.yaml"
    elif name.endswith((".yaml", ".yml")):
        path = Path(name)
    else:
        known = experiment_names()
        closest = ", ".join(difflib.get_close_matches(name, known, 5, cutoff=0))
        raise NalmError(
            f"found unknown experiment {name!r}, expected one of: {closest} … (`nalm list` shows all {len(known)}), "
            "or a .yaml file"
        )
    return read_experiment(path, _shared("recipes"), _shared("ranges"))


def default_recipe(module: str, second: str | None = None) -> dict[str, Any]:
    """Fields of the first of the shared recipes that trains the modules, or just the modules where there is none."""
    bare = {"module": module} | ({} if second is None else {"second": second})
    for fields in _shared("recipes").values():
        known = Recipe.model_validate(fields)
        if (known.module.name, known.second and known.second.name) == (module, second):
            return dict(fields)
    return bare
