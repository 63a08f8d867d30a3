"""An experiment: variants × tasks × seeds, read from a YAML file."""

import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializeAsAny,
    StrictInt,
    StrictStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from nalm.errors import NalmError
from nalm.experiments.seeds import parse_seeds
from nalm.spec.document import Document, Location, check, parse_value, sentence
from nalm.spec.recipe import Recipe
from nalm.tasks.families import task_kind
from nalm.tasks.judging import check_tasks
from nalm.tasks.subsets.task import Task

__all__ = ["Experiment", "check_labels", "read_experiment"]

Fields = dict[str, Any]
T = TypeVar("T")


def _task(value: Any, info: ValidationInfo) -> Any:
    """A task of the kind that its fields say."""
    return task_kind(value).model_validate(value, context=info.context) if isinstance(value, dict) else value


class Experiment(BaseModel):
    """What is trained, with the title and the figure it stands for.

    ``variants`` and ``tasks`` are by label, in the order of the figure.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    title: str
    figure: str | None = None
    variants: dict[str, Recipe]
    tasks: dict[str, SerializeAsAny[Annotated[Task, BeforeValidator(_task)]]]
    seeds: tuple[int, ...]

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        if not name or name.startswith(".") or any(character in "/\\\0" for character in name):
            raise ValueError("expected a name that files can have, without / and \\, and without a dot in front")
        return name

    @property
    def runs(self) -> int:
        """Number of trainings."""
        return len(self.variants) * len(self.tasks) * len(self.seeds)

    def narrowed(
        self,
        seeds: Sequence[int] | None = None,
        variants: Sequence[str] | None = None,
        tasks: Sequence[str] | None = None,
    ) -> "Experiment":
        """The experiment with other seeds, or with some of its variants or tasks only.

        Raises:
            NalmError: a variant or a task is unknown.
        """
        return self.model_copy(
            update={
                "seeds": tuple(seeds) if seeds is not None else self.seeds,
                "variants": _only("variant", self.variants, variants),
                "tasks": _only("task", self.tasks, tasks),
            }
        )

    def changed(self, changes: Mapping[str, Any], only: str | None = None) -> "Experiment":
        """The experiment with other recipe fields, in every variant or in one.

        Arguments:
            changes: values by field, such as ``learning_rate`` or ``regularizers.weight.coefficient``.
            only: label of the one variant to change.

        Raises:
            NalmError: a field is unknown, or has a wrong value.
        """
        variants = dict(self.variants)
        for label in self.variants if only is None else [only]:
            fields = variants[label].model_dump(mode="json", exclude_unset=True)
            try:
                for path, value in changes.items():
                    _set(fields, path, value)
                variants[label] = Recipe.model_validate(fields)
            except NalmError as error:
                raise NalmError(f"{label}: {', '.join(changes)}: {error}") from None
            except ValidationError as error:
                details = error.errors()[0]
                place = ".".join(map(str, details["loc"])) or ", ".join(changes)
                raise NalmError(f"{label}: {place}: {sentence(Recipe, details)}") from None
        return self.model_copy(update={"variants": variants})

    def with_setting(self, setting: str) -> "Experiment":
        """The experiment with ``VARIANT.FIELD=VALUE`` applied; ``*`` stands for every variant.

        Raises:
            NalmError: the setting is not of that form, or what it names does not exist.
        """
        target, equals, value = setting.partition("=")
        label = max((label for label in [*self.variants, "*"] if target.startswith(f"{label}.")), key=len, default=None)
        if not equals or label is None:
            raise NalmError(
                f"found setting {setting!r}, expected VARIANT.FIELD=VALUE with VARIANT one of: "
                f"{', '.join([*self.variants, '*'])}"
            )
        return self.changed({target[len(label) + 1 :]: parse_value(value)}, None if label == "*" else label)


def check_labels(kind: str, labels: Iterable[str], known: Iterable[str]) -> None:
    """Check that an experiment has all of some labels.

    Arguments:
        kind: what they label: ``variant`` or ``task``.
        labels: the labels that were asked for.
        known: the labels that the experiment has.

    Raises:
        NalmError: it lacks one of them.
    """
    for label in labels:
        if label not in known:
            raise NalmError(f"found unknown {kind} {label!r}, expected one of: {', '.join(known)}")


def _only(kind: str, known: dict[str, T], labels: Sequence[str] | None) -> dict[str, T]:
    """Return what has one of the labels, in the known order; all of it if labels is None."""
    check_labels(kind, labels or (), known)
    return {label: value for label, value in known.items() if labels is None or label in labels}


def _set(fields: Fields, path: str, value: Any) -> None:
    *parents, last = path.split(".")
    for parent in parents:
        if parent == "module" and isinstance(fields.get(parent), str):  # a module without options
            fields[parent] = {"name": fields[parent]}
        fields = fields.setdefault(parent, {})
        if not isinstance(fields, dict):
            raise NalmError(f"found field {path!r}, but {parent} has no fields")
    fields[last] = value


class _Variant(BaseModel):
    model_config = ConfigDict(extra="forbid")

    label: StrictStr
    recipe: Fields = {}
    grid: dict[str, Annotated[list[Any], Field(min_length=1)]] = {}


class _File(BaseModel):
    """Fields of an experiment file; recipes and tasks are checked once they are put together."""

    model_config = ConfigDict(extra="forbid")

    title: StrictStr
    figure: StrictStr | None = None
    task: Fields = {}
    ranges: StrictStr | Annotated[list[Fields], Field(min_length=1)]
    recipe: Fields = {}
    seeds: StrictStr | StrictInt = "0-24"
    variants: list[_Variant] = Field(min_length=1)


def read_experiment(path: Path, recipes: Mapping[str, Fields], ranges: Mapping[str, list[Fields]]) -> Experiment:
    """Reads an experiment file.

    Arguments:
        path: of the file; its name without suffix is the experiment's.
        recipes: recipes that it may name as a ``base``.
        ranges: lists of ranges that it may name.

    Raises:
        NalmError: the file is wrong; the sentence names line, field, what was found and what was expected.
    """
    document = Document(path)
    file = check(_File, document.value, document)
    try:
        seeds = parse_seeds(str(file.seeds))
    except NalmError as error:
        raise document.error(("seeds",), str(error)) from None
    tasks = _tasks(file, document, ranges)
    variants = _variants(file, document, recipes, tasks.values())
    fields = {"name": path.stem, "title": file.title, "figure": file.figure}
    return check(Experiment, {**fields, "variants": variants, "tasks": tasks, "seeds": seeds}, document)


def _tasks(file: _File, document: Document, known: Mapping[str, list[Fields]]) -> dict[str, Task]:
    if isinstance(file.ranges, str) and file.ranges not in known:
        raise document.error(
            ("ranges",), f"found {file.ranges!r}, expected a list, or one of the names: {', '.join(known)}"
        )
    listed = known[file.ranges] if isinstance(file.ranges, str) else file.ranges
    tasks: dict[str, Task] = {}
    for index, fields in enumerate(listed):
        label = fields.get("label")
        own = {name: value for name, value in fields.items() if name != "label"}
        together = file.task | own
        task = check(task_kind(together), together, document, [("ranges", index), ("task",)])
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
    for index, variant in enumerate(file.variants):
        origin: Location = ("variants", index)
        fields = _based(file.recipe | variant.recipe, document, (*origin, "recipe"), known)
        for values in itertools.product(*variant.grid.values()):
            point = dict(zip(variant.grid, values, strict=True))
            own = deepcopy(fields)
            for path, value in point.items():
                try:
                    _set(own, path, value)
                except NalmError as error:
                    raise document.error((*origin, "grid", path), str(error)) from None
            label = _grid_label(variant.label, point)
            if label in variants:
                raise document.error((*origin, "label"), f"found the label {label!r} twice, expected it once")
            origins: list[Location] = [(*origin, "recipe"), ("recipe",), (*origin, "grid")]
            variants[label] = check(Recipe, own, document, origins)
            try:
                check_tasks(variants[label], tasks)
            except ValueError as error:
                raise document.error((*origin, "recipe"), str(error)) from None
    return variants


def _based(fields: Fields, document: Document, location: Location, known: Mapping[str, Fields]) -> Fields:
    if "base" not in fields:
        return fields
    own = {name: value for name, value in fields.items() if name != "base"}
    if not isinstance(fields["base"], str) or fields["base"] not in known:
        found = f"found {fields['base']!r}, expected one of: {', '.join(known)}"
        raise document.error((*location, "base"), found)
    return known[fields["base"]] | own


def _grid_label(template: str, point: Mapping[str, Any]) -> str:
    label = template
    for path, value in point.items():
        shown = f"{value:g}" if isinstance(value, float) else str(value)
        if f"{{{path}}}" in template:
            label = label.replace(f"{{{path}}}", shown)
        else:
            label += f" {path}={shown}"
    return label
