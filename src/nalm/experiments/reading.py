"""The reader of experiment files: recipes and tasks are merged from their parts, then checked."""

import itertools
from collections.abc import Collection, Iterator, Mapping
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr

from nalm.errors import NalmError
from nalm.experiments.experiment import Experiment, Fields, set_field
from nalm.experiments.seeds import parse_seeds
from nalm.spec.document import Document, Location, check
from nalm.spec.recipe import Recipe
from nalm.spec.task import Task
from nalm.tasks import check_tasks, family_of

__all__ = ["outline", "read_experiment", "shared"]


class _Variant(BaseModel):
    model_config = ConfigDict(extra="forbid")

    label: StrictStr
    recipe: Fields = {}
    grid: dict[str, Annotated[list[Any], Field(min_length=1)]] = {}


class _File(BaseModel):
    """The fields of an experiment file. Recipes and tasks are checked after they are merged."""

    model_config = ConfigDict(extra="forbid")

    title: StrictStr
    figure: StrictStr | None = None
    task: Fields = {}
    ranges: StrictStr | Annotated[list[Fields], Field(min_length=1)]
    recipe: Fields = {}
    seeds: StrictStr | StrictInt = "0-24"
    variants: list[_Variant] = Field(min_length=1)


@cache
def shared(name: str) -> Fields:
    """Return the recipes, or the ranges, that experiments of the catalog share, by name."""
    return Document(Path(__file__).with_name(f"{name}.yaml")).value


def read_experiment(path: Path, recipes: Mapping[str, Fields], ranges: Mapping[str, list[Fields]]) -> Experiment:
    """Read an experiment file.

    Arguments:
        path: path of the file; its name without suffix is the name of the experiment.
        recipes: recipes that the file may name as a ``base``.
        ranges: lists of ranges that the file may name.

    Raises:
        NalmError: the file is wrong; the message has line, field, the value found and the values expected.
    """
    document = Document(path)
    file = check(_File, document.value, document)
    seeds = _seeds(file, document)
    tasks = _tasks(file, document, ranges)
    variants = _variants(file, document, recipes, tasks.values())
    fields = {"name": path.stem, "title": file.title, "figure": file.figure}
    return check(Experiment, {**fields, "variants": variants, "tasks": tasks, "seeds": seeds}, document)


def outline(path: Path) -> Fields:
    """Read what the index says about an experiment of the catalog: its fields are those of an ``Entry``.

    Its recipes are not checked.

    Raises:
        NalmError: the file is wrong.
    """
    document = Document(path)
    file = check(_File, document.value, document)
    variants = {label: fields for label, _, fields in _recipes(file, document, shared("recipes"))}
    default = Recipe.model_fields["iterations"].default
    return {
        "figure": file.figure,
        "title": file.title,
        "variants": list(variants),
        "tasks": list(_tasks(file, document, shared("ranges"))),
        "seeds": len(_seeds(file, document)),
        "iterations": max(fields.get("iterations", default) for fields in variants.values()),
    }


def _seeds(file: _File, document: Document) -> tuple[int, ...]:
    try:
        return parse_seeds(str(file.seeds))
    except NalmError as error:
        raise document.error(("seeds",), str(error)) from None


def _tasks(file: _File, document: Document, known: Mapping[str, list[Fields]]) -> dict[str, Task]:
    if isinstance(file.ranges, str) and file.ranges not in known:
        raise document.error(
            ("ranges",), f"found {file.ranges!r}, expected a list, or one of the names: {', '.join(known)}"
        )
    listed = known[file.ranges] if isinstance(file.ranges, str) else file.ranges
    tasks: dict[str, Task] = {}
    for index, fields in enumerate(listed):
        label = fields.get("label")
        merged = file.task | {name: value for name, value in fields.items() if name != "label"}
        task = check(family_of(merged), merged, document, [("ranges", index), ("task",)])
        if label is not None and not isinstance(label, str):
            raise document.error(("ranges", index, "label"), f"found {label!r}, expected a string")
        label = label or task.label
        if label in tasks:
            raise document.error(("ranges", index), f"found the label {label!r} twice, expected it once")
        tasks[label] = task
    return tasks


def _variants(
    file: _File, document: Document, known: Mapping[str, Fields], tasks: Collection[Task]
) -> dict[str, Recipe]:
    variants: dict[str, Recipe] = {}
    for label, index, fields in _recipes(file, document, known):
        origin: Location = ("variants", index)
        if label in variants:
            raise document.error((*origin, "label"), f"found the label {label!r} twice, expected it once")
        origins: list[Location] = [(*origin, "recipe"), ("recipe",), (*origin, "grid")]
        variants[label] = check(Recipe, fields, document, origins)
        try:
            check_tasks(variants[label], tasks)
        except ValueError as error:
            raise document.error((*origin, "recipe"), str(error)) from None
    return variants


def _recipes(file: _File, document: Document, known: Mapping[str, Fields]) -> Iterator[tuple[str, int, Fields]]:
    """Yield the label of each variant, the index of its entry in the file, and its merged fields."""
    for index, variant in enumerate(file.variants):
        origin: Location = ("variants", index)
        fields = _based(file.recipe | variant.recipe, document, (*origin, "recipe"), known)
        for values in itertools.product(*variant.grid.values()):
            point = dict(zip(variant.grid, values, strict=True))
            recipe = deepcopy(fields)
            for path, value in point.items():
                try:
                    set_field(recipe, path, value)
                except NalmError as error:
                    raise document.error((*origin, "grid", path), str(error)) from None
            yield _grid_label(variant.label, point), index, recipe


def _based(fields: Fields, document: Document, location: Location, known: Mapping[str, Fields]) -> Fields:
    if "base" not in fields:
        return fields
    if not isinstance(fields["base"], str) or fields["base"] not in known:
        found = f"found {fields['base']!r}, expected one of: {', '.join(known)}"
        raise document.error((*location, "base"), found)
    return known[fields["base"]] | {name: value for name, value in fields.items() if name != "base"}


def _grid_label(template: str, point: Mapping[str, Any]) -> str:
    label = template
    for path, value in point.items():
        shown = f"{value:g}" if isinstance(value, float) else str(value)
        if f"{{{path}}}" in template:
            label = label.replace(f"{{{path}}}", shown)
        else:
            label += f" {path}={shown}"
    return label
