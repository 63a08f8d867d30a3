"""The index of the catalog: the names, titles, sizes and labels of its experiments, without building anything."""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from nalm.remember import remembered

__all__ = [
    "COMPUTED_FIGURES",
    "HERE",
    "README_NUMBERS",
    "ComputedFigure",
    "Entry",
    "experiment_names",
    "figures_called",
    "in_the_papers_order",
    "index",
]

HERE = Path(__file__).parent


class ComputedFigure(NamedTuple):
    """A figure of the paper that is computed without training.

    Arguments:
        title: title of the figure.
        writer: import path of the function that writes the figure's files into a directory and returns their paths.
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
"""Experiments by the names of the original's README, which calls two of them ``figure-6``."""


class Entry(NamedTuple):
    """An experiment in the index.

    Arguments:
        figure: the figure of the paper that shows it, if any.
        title: title of the figure.
        variants: labels of variants.
        tasks: labels of tasks.
        seeds: number of seeds.
        iterations: the last iteration of the longest runs.
    """

    figure: str | None
    title: str
    variants: list[str]
    tasks: list[str]
    seeds: int
    iterations: int

    @property
    def runs(self) -> int:
        """Return the number of runs."""
        return len(self.variants) * len(self.tasks) * self.seeds


def experiment_names() -> list[str]:
    """Return the names of the experiments in the catalog, sorted."""
    return sorted(path.stem for path in (HERE / "catalog").glob("*.yaml"))


@cache
def index() -> dict[str, Entry]:
    """Return the index of the catalog, by the names of the experiments."""
    entries = remembered("index", "catalog", _read_entries)
    return {name: Entry(**fields) for name, fields in entries.items()}


def _read_entries() -> dict[str, dict[str, Any]]:
    from nalm.experiments.reading import outline

    return {name: outline(HERE / "catalog" / f"{name}.yaml") for name in experiment_names()}


def in_the_papers_order(names: Collection[str]) -> list[str]:
    """Sort names: the figures of the paper by number, then all other experiments by name."""
    paper = _figures_of_the_paper()
    return [*(name for name in paper if name in names), *sorted(set(names) - set(paper))]


def figures_called(name: str) -> list[str]:
    """Return the experiments and computed figures that a name stands for, in most cases the name itself.

    ``all`` stands for every figure of the paper, in the paper's order. ``figure-6`` and ``figure-7`` are names from the
    original's README: its table calls ``redundancy`` figure 6, its text ``distributions-in2``.
    """
    if name == "all":
        return _figures_of_the_paper()
    return list(README_NUMBERS.get(name, (name,)))


@cache
def _figures_of_the_paper() -> list[str]:
    numbers = {name: entry.figure for name, entry in index().items()}
    numbers |= {name: name.removeprefix("figure-") for name in COMPUTED_FIGURES}
    readme = [name for names in README_NUMBERS.values() for name in names]

    def order(name: str) -> tuple[int, str, int]:
        number = numbers[name] or ""
        digits = re.match(r"\d+", number)
        return (int(digits[0]) if digits else 0, number, readme.index(name) if name in readme else -1)

    return sorted((name for name, number in numbers.items() if number), key=order)
