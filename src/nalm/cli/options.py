"""Options of commands, derived from the fields of a request."""

import dataclasses
import functools
import inspect
from collections.abc import Callable
from inspect import Parameter
from typing import Any

import typer

from nalm.workflows.options import OptionField, option_field, option_fields

__all__ = ["typed_as", "with_request"]

KIND = Parameter.POSITIONAL_OR_KEYWORD


def with_request(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command an option for each field of its parameter ``request``, whose annotation is a data class."""
    own = dict(inspect.signature(command).parameters)
    request = own.pop("request").annotation
    fields = {f"no_{field.name}" if field.negated else field.name: field for field in option_fields(request)}

    @functools.wraps(command)
    def with_options(**arguments: Any) -> None:
        typed = {name: arguments.pop(name) for name in fields}
        values = {field.name: not typed[name] if field.negated else typed[name] for name, field in fields.items()}
        command(request=request(**values), **arguments)

    derived = [Parameter(name, KIND, default=_option(field), annotation=field.type) for name, field in fields.items()]
    # Python wants parameters without a default first.
    ordered = sorted([*derived, *own.values()], key=lambda parameter: (parameter.kind, _has_default(parameter)))
    with_options.__signature__ = inspect.Signature(ordered)  # type: ignore[attr-defined]
    return with_options


def typed_as(request: type, name: str) -> Any:
    """Return the option of one field of a request, to annotate a parameter of another command with."""
    return _option(option_field(request, name)._replace(default=dataclasses.MISSING))


def _option(field: OptionField) -> Any:
    option, required = field.option, field.default is dataclasses.MISSING
    default = ... if required else False if field.negated else field.default
    if option.positional:
        return typer.Argument(default, metavar=option.metavar, help=option.help, show_default=not required)
    return typer.Option(default, field.flag, metavar=option.metavar, help=option.help, min=option.min)


def _has_default(parameter: Parameter) -> bool:
    return parameter.default is not Parameter.empty
