"""Descriptions of modules: their documentation, options, operations and parameters."""

import inspect
import re
from dataclasses import dataclass
from typing import Any

from nalm.modules.base import ArithmeticModule
from nalm.modules.names import build, option_defaults, resolve

__all__ = ["Description", "describe"]


@dataclass(frozen=True)
class Description:
    """A description of a module, as built with two inputs, one output and no options.

    Arguments:
        name: name of the module.
        summary: first sentence of its documentation.
        documentation: its documentation as plain text.
        options: options and their defaults.
        operations: operations that gold weights compute, and the inputs for which they do.
        domain: first and last discrete value of parameters, by name.
        parameters: shapes of parameters, by name.
    """

    name: str
    summary: str
    documentation: str
    options: dict[str, Any]
    operations: dict[str, str]
    domain: dict[str, tuple[int, int]]
    parameters: dict[str, tuple[int, ...]]


def describe(name: str) -> Description:
    """Describe a module, given any name that ``resolve`` knows.

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
    """Return the documentation without markup and examples."""
    text = documentation.split("\n>>>", maxsplit=1)[0].rstrip()
    text = re.sub(r":\w+:`([^`]*)`|``([^`]*)``", lambda found: found[1] or found[2], text)
    return re.sub(r"^\.\. math:: ?", "    ", text, flags=re.MULTILINE)
