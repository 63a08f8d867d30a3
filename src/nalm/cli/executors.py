"""Options that choose an executor and its settings, derived from the declarations of the executors."""

from collections.abc import Iterable
from inspect import Parameter
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from nalm.cli.options import Arguments, Command, with_parameters
from nalm.errors import NalmError
from nalm.execution.executors import EXECUTORS
from nalm.execution.executors.scripts import QueueSettings
from nalm.execution.executors.settings import SECTIONS, ExecutorSettings, load_settings
from nalm.registry import import_paths

__all__ = ["with_executor", "with_queue"]

SEVERAL = (list, tuple, dict)
"""Types of fields that hold several values."""

NAMES: Any = Literal.__getitem__(tuple(EXECUTORS))
EXECUTOR = Parameter(
    "executor",
    Parameter.KEYWORD_ONLY,
    default=None,
    annotation=Annotated[
        NAMES | None,
        typer.Option(help="Where shards train. Default: as ~/.config/nalm/config.yaml says, or local."),
    ],
)


def with_executor(command: Command) -> Command:
    """Give a command the options of all executors. The chosen settings become its argument ``executor``.

    Settings that are not typed come from the user's configuration file.
    """
    sections = {name: list(_options(settings, name)) for name, settings in SECTIONS.items()}

    def read(arguments: Arguments) -> ExecutorSettings:
        chosen = arguments.pop("executor")
        typed = {name: fields for name, options in sections.items() if (fields := _typed(options, arguments))}
        with import_paths(not arguments.get("no_imports")):
            settings = load_settings(typed | ({} if chosen is None else {"executor": chosen}))
        for name in typed:
            if settings.executor != name:
                raise NalmError(
                    f"found options of {name} for the executor {settings.executor}, expected --executor {name}"
                )
        return settings

    parameters = [EXECUTOR, *(option.parameter for options in sections.values() for option in options)]
    return with_parameters(command, "executor", parameters, read)


def with_queue(command: Command) -> Command:
    """Give a command the options of a queue's jobs. Those that are typed become its argument ``asked``, a mapping."""
    options = list(_options(QueueSettings))
    return with_parameters(
        command, "asked", [option.parameter for option in options], lambda arguments: _typed(options, arguments)
    )


class _Option(NamedTuple):
    """The option for one field of an executor's settings."""

    field: str
    parameter: Parameter
    is_mapping: bool


def _options(settings: type[BaseModel], section: str = "") -> Iterable[_Option]:
    for name, field in settings.model_fields.items():
        kind = _kind(field)
        several = kind in SEVERAL
        words = [section.replace("-", "_"), name.removesuffix("s") if several else name]
        value: Any = list[str] if several else kind
        annotation = Annotated[value | None, _described(field, several)]
        parameter = Parameter(
            "_".join(filter(None, words)), Parameter.KEYWORD_ONLY, default=None, annotation=annotation
        )
        yield _Option(name, parameter, kind is dict)


def _kind(field: FieldInfo) -> Any:
    """Return the type of a field without None, and without the types of its items."""
    kind = field.annotation
    if get_origin(kind) in (Union, UnionType):
        kind = next(item for item in get_args(kind) if item is not NoneType)
    return get_origin(kind) if get_origin(kind) in SEVERAL else kind


def _described(field: FieldInfo, several: bool) -> Any:
    extra: Any = field.json_schema_extra or {}
    minimum = next((limit.ge for limit in field.metadata if hasattr(limit, "ge")), None)
    text = field.description or ""
    if several:
        text += " Repeat for more."
    elif field.default is not None:
        text += f" Default: {field.default}."
    return typer.Option(help=text, metavar=extra.get("metavar"), min=minimum)


def _typed(options: Iterable[_Option], arguments: Arguments) -> dict[str, Any]:
    """Take the values of options out of the arguments, and return those that were typed by their field."""
    values = [(option, arguments.pop(option.parameter.name)) for option in options]
    return {
        option.field: _mapping(option, value) if option.is_mapping else value
        for option, value in values
        if value not in (None, [])
    }


def _mapping(option: _Option, texts: list[str]) -> dict[str, str | None]:
    pairs = {}
    for text in texts:
        key, equals, value = text.removeprefix("--").partition("=")
        if not key:
            flag = option.parameter.name.replace("_", "-")
            raise NalmError(f"found {text!r} for --{flag}, expected KEY=VALUE or KEY")
        pairs[key] = value if equals else None
    return pairs
