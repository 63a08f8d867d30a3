"""An experiment: variants × tasks × seeds, read from a YAML file."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    SerializeAsAny,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from nalm.errors import NalmError
from nalm.spec.document import parse_value, sentence
from nalm.spec.recipe import Recipe
from nalm.spec.task import Task
from nalm.tasks import parse_task
from nalm.tasks.digits.options import with_images

__all__ = ["Experiment", "Fields", "check_labels", "set_field"]

Fields = dict[str, Any]
T = TypeVar("T")


def _task(value: Any, info: ValidationInfo) -> Any:
    """Return the task that fields describe."""
    return parse_task(value, info.context) if isinstance(value, dict) else value


class Experiment(BaseModel):
    """Variants × tasks × seeds with a title, and the figure of the paper that shows them.

    ``variants`` and ``tasks`` are stored by label, in the order of the figure.
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
        """Return the number of runs."""
        return len(self.variants) * len(self.tasks) * len(self.seeds)

    def narrowed(
        self,
        seeds: Sequence[int] | None = None,
        variants: Sequence[str] | None = None,
        tasks: Sequence[str] | None = None,
    ) -> "Experiment":
        """Return the experiment with other seeds, or with only some of its variants or tasks.

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
        """Return the experiment with other recipe fields, in every variant or in one.

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
                    set_field(fields, path, value)
                variants[label] = Recipe.model_validate(fields)
            except NalmError as error:
                raise NalmError(f"{label}: {', '.join(changes)}: {error}") from None
            except ValidationError as error:
                details = error.errors()[0]
                place = ".".join(map(str, details["loc"])) or ", ".join(changes)
                raise NalmError(f"{label}: {place}: {sentence(Recipe, details)}") from None
        return self.model_copy(update={"variants": variants})

    def with_iterations(self, iterations: int) -> "Experiment":
        """Return the experiment with another number of iterations.

        With images of digits, where the number of updates in an epoch depends on the data, ramps of regularizers are
        rescaled: a ramp that starts after a tenth of the iterations still does.
        """
        if not any(task.scales_schedules for task in self.tasks.values()):
            return self.changed({"iterations": iterations})
        variants = {label: _with_iterations(recipe, iterations) for label, recipe in self.variants.items()}
        return self.model_copy(update={"variants": variants})

    def with_images(self, kind: str, directory: str) -> "Experiment":
        """Return the experiment with other images of digits.

        Arguments:
            kind: ``mnist`` or ``svhn``.
            directory: directory of the files; ``torchvision`` downloads MNIST.

        Raises:
            NalmError: the experiment reads no digits, or the images cannot be read.
        """
        tasks = with_images(self.tasks, kind, directory)
        if tasks is None:
            raise NalmError(f"found --{kind} with {self.name}, expected it with sequences of digits only")
        return self.model_copy(update={"tasks": tasks})

    def with_setting(self, setting: str) -> "Experiment":
        """Return the experiment with ``VARIANT.FIELD=VALUE`` applied; ``*`` stands for every variant.

        Raises:
            NalmError: the setting has another form, its variant or field does not exist, or its value is wrong.
        """
        target, equals, value = setting.partition("=")
        label = max((label for label in [*self.variants, "*"] if target.startswith(f"{label}.")), key=len, default=None)
        if not equals or label is None:
            raise NalmError(
                f"found setting {setting!r}, expected VARIANT.FIELD=VALUE with VARIANT one of: "
                f"{', '.join([*self.variants, '*'])}"
            )
        return self.changed({target[len(label) + 1 :]: parse_value(value)}, None if label == "*" else label)


def _with_iterations(recipe: Recipe, iterations: int) -> Recipe:
    scale = iterations / max(1, recipe.iterations)
    terms = {name: term.rescaled(scale) for name, term in recipe.regularizers.items()}
    return recipe.model_copy(update={"iterations": iterations, "regularizers": terms})


def check_labels(kind: str, labels: Iterable[str], known: Iterable[str]) -> None:
    """Check that an experiment has all requested labels.

    Arguments:
        kind: ``variant`` or ``task``, for the error message.
        labels: the requested labels.
        known: the labels of the experiment.

    Raises:
        NalmError: the experiment lacks one of the labels.
    """
    for label in labels:
        if label not in known:
            raise NalmError(f"found unknown {kind} {label!r}, expected one of: {', '.join(known)}")


def _only(kind: str, known: dict[str, T], labels: Sequence[str] | None) -> dict[str, T]:
    """Return the variants or tasks with the given labels, in the experiment's order; all of them if labels is None."""
    check_labels(kind, labels or (), known)
    return {label: value for label, value in known.items() if labels is None or label in labels}


def set_field(fields: Fields, path: str, value: Any) -> None:
    """Set a field of a recipe by its dotted path, such as ``regularizers.weight.coefficient``.

    Raises:
        NalmError: the path goes through a field that has no fields.
    """
    *parents, last = path.split(".")
    for parent in parents:
        if parent == "module" and isinstance(fields.get(parent), str):  # a module without options
            fields[parent] = {"name": fields[parent]}
        fields = fields.setdefault(parent, {})
        if not isinstance(fields, dict):
            raise NalmError(f"found field {path!r}, but {parent} has no fields")
    fields[last] = value
