"""Options of commands, derived from the fields of a request."""

import dataclasses
import functools
import inspect
from collections.abc import Callable, Iterable
from inspect import Parameter
from typing import Any

import typer

from nalm.cli.completion import COMPLETIONS
from nalm.workflows.options import OptionField, option_field, option_fields

__all__ = ["Arguments", "Command", "typed_as", "with_parameters", "with_request"]

Command = Callable[..., None]
Arguments = dict[str, Any]
KIND = Parameter.KEYWORD_ONLY


def with_parameters(
    command: Command, name: str, parameters: Iterable[Parameter], read: Callable[[Arguments], Any]
) -> Command:
    """Replace a command's parameter by others.

    Arguments:
        command: the command.
        name: the parameter to replace.
        parameters: the parameters that people type instead.
        read: takes their values out of the arguments, and returns the value for the replaced parameter.
    """
    own = inspect.signature(command).parameters
    before, after = list(own).index(name), list(own).index(name) + 1
    kept = [parameter.replace(kind=KIND) for parameter in own.values()]

    @functools.wraps(command)
    def with_others(**arguments: Any) -> None:
        value = read(arguments)
        command(**arguments, **{name: value})

    signature = inspect.Signature([*kept[:before], *parameters, *kept[after:]])
    with_others.__signature__ = signature  # type: ignore[attr-defined]
    with_others.__annotations__ = {parameter.name: parameter.annotation for parameter in signature.parameters.values()}
    return with_others


def with_request(command: Command) -> Command:
    """Give a command an option for each field of its parameter ``request``, whose annotation is a data class."""
    request = inspect.signature(command).parameters["request"].annotation
    fields = {f"no_{field.name}" if field.negated else field.name: field for field in option_fields(request)}

    def read(arguments: Arguments) -> Any:
        typed = {name: arguments.pop(name) for name in fields}
        values = {field.name: not typed[name] if field.negated else typed[name] for name, field in fields.items()}
        return request(**values)

    parameters = [
        Parameter(name, KIND, default=_option(field), annotation=field.type) for name, field in fields.items()
    ]
    return with_parameters(command, "request", parameters, read)


def typed_as(request: type, name: str) -> Any:
    """Return the option of one field of a request, to annotate a parameter of another command with."""
    return _option(option_field(request, name)._replace(default=dataclasses.MISSING))


def _option(field: OptionField) -> Any:
    option, required = field.option, field.default is dataclasses.MISSING
    default = ... if required else False if field.negated else field.default
    completion = None if option.completes is None else COMPLETIONS[option.completes]
    if option.positional:
        return typer.Argument(
            default, metavar=option.metavar, help=option.help, show_default=not required, autocompletion=completion
        )
    return typer.Option(
        default, field.flag, metavar=option.metavar, help=option.help, min=option.min, autocompletion=completion
    )
