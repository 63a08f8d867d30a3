"""Options of the commands, declared once each: as the fields of a data class.

A field is annotated with its type and an :class:`Option`. From the fields, the command line derives its options, and
:func:`arguments_of` writes the command line that asks for the same again.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any, NamedTuple, get_args, get_type_hints

__all__ = ["Option", "OptionField", "arguments_of", "option_field", "option_fields"]


@dataclass(frozen=True)
class Option:
    """The option of one field: its name, its help and its limits.

    Arguments:
        help: what the option does.
        name: the option without its dashes; by default the field's name.
        metavar: the word that stands for the value in the help.
        min: the smallest value allowed.
        positional: whether it is an argument, without an option's name.
        completes: kind of names that the shell completes: ``experiments``, ``variants``, ``tasks`` or ``modules``.
    """

    help: str
    name: str | None = None
    metavar: str | None = None
    min: float | None = None
    positional: bool = False
    completes: str | None = None


class OptionField(NamedTuple):
    """A field of a data class, with its type, its default and its option."""

    name: str
    type: Any
    default: Any
    option: Option

    @property
    def negated(self) -> bool:
        """Whether the option switches off what is on by default: a field ``compile`` becomes ``--no-compile``."""
        return self.default is True

    @property
    def flag(self) -> str:
        """The option as it is typed, such as ``--evaluate-every``."""
        name = self.option.name or self.name.replace("_", "-")
        return f"--no-{name}" if self.negated else f"--{name}"


def option_fields(owner: type) -> list[OptionField]:
    """Return the fields of a data class in their order, those of its bases first."""
    hints = get_type_hints(owner, include_extras=True)
    return [
        OptionField(field.name, *_default_last(hints[field.name], field.default)) for field in dataclasses.fields(owner)
    ]


def _default_last(annotation: Any, default: Any) -> tuple[Any, Any, Option]:
    type_, option = get_args(annotation)
    return type_, default, option


def option_field(owner: type, name: str) -> OptionField:
    """Return one field of a data class by its name."""
    return next(field for field in option_fields(owner) if field.name == name)


def arguments_of(request: Any) -> list[str]:
    """Return the words of a command line that asks for the same, its defaults included: a script outlives them.

    >>> from nalm.workflows.request import Request
    >>> arguments_of(Request(experiments=["figure-3"], seeds="0-4", compile=False))
    ['figure-3', '--seeds=0-4', '--device=cpu', '--no-compile', '--out=results']
    """
    words: list[str] = []
    for field in option_fields(type(request)):
        value = getattr(request, field.name)
        if isinstance(value, bool):
            words += [field.flag] * (value != field.default)
        elif value is not None:
            values = value if isinstance(value, list) else [value]
            words += [str(item) if field.option.positional else f"{field.flag}={item}" for item in values]
    return words
