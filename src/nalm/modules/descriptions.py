"""What is known about a module without training it."""

import inspect
import re
from dataclasses import dataclass
from typing import Any

from nalm.modules.base import ArithmeticModule
from nalm.modules.names import build, option_defaults, resolve

__all__ = ["Description", "describe"]


@dataclass(frozen=True)
class Description:
    """A module as built with two inputs, one output and no options.

    Arguments:
        name: its name.
        summary: what it does, in a sentence.
        documentation: all there is to know, as plain text.
        options: their defaults.
        operations: which it computes with gold weights, and for which inputs.
        domain: first and last of the discrete values of its parameters.
        parameters: their shapes.
    """

    name: str
    summary: str
    documentation: str
    options: dict[str, Any]
    operations: dict[str, str]
    domain: dict[str, tuple[int, int]]
    parameters: dict[str, tuple[int, ...]]


def describe(name: str) -> Description:
    """Describes a module by any name that ``resolve`` knows.

    Raises:
        ValueError: there is no such module.

    >>> describe("NAU").operations
    {'add': 'real', 'sub': 'real'}
    """
    options = option_defaults(name, {})
    factory = resolve(name)
    documentation = _readable(inspect.getdoc(getattr(factory, "func", factory)) or "")
    module = build(name, 2, 1, {})
    known = module if isinstance(module, ArithmeticModule) else None
    return Description(
        name=name,
        summary=documentation.split("\n\n")[0].replace("\n", " "),
        documentation=documentation,
        options=options,
        operations=dict(known.operations) if known else {},
        domain=known.domain if known else {},
        parameters={key: tuple(value.shape) for key, value in module.named_parameters()},
    )


def _readable(documentation: str) -> str:
    """The documentation without its markup, and without its examples."""
    text = documentation.split("\n>>>", maxsplit=1)[0].rstrip()
    text = re.sub(r":\w+:`([^`]*)`|``([^`]*)``", lambda found: found[1] or found[2], text)
    return re.sub(r"^\.\. math:: ?", "    ", text, flags=re.MULTILINE)
