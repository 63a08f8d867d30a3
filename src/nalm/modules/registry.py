"""Names of modules, and how a module is built from its name."""

import importlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from nalm.modules.nmru import NMRU
from nalm.modules.npu import RealNPU
from nalm.modules.nru import NRU

__all__ = ["MODULES", "build", "option_defaults", "resolve"]

ModuleFactory = Callable[..., nn.Module]

MODULES: dict[str, ModuleFactory] = {"NMRU": NMRU, "NRU": NRU, "RealNPU": RealNPU}
"""Every module that can be called by name."""


def resolve(name: str) -> ModuleFactory:
    """Finds a module by its name, or by an import path ``package.module:Class``.

    Importing runs the package's code.

    Raises:
        ValueError: there is no such module.
    """
    if name in MODULES:
        return MODULES[name]
    if ":" not in name:
        raise ValueError(
            f"found unknown module {name!r}, expected one of: {', '.join(MODULES)}, "
            "or an import path such as mypackage.layers:MyUnit"
        )
    path, _, attribute = name.partition(":")
    try:
        factory = getattr(importlib.import_module(path), attribute)
    except Exception as error:  # whatever the package raises while it is imported
        raise ValueError(f"cannot import module {name!r}: {error}") from error
    if not callable(factory):
        raise ValueError(f"{name!r} is not a module class")
    return factory  # type: ignore[no-any-return]


def option_defaults(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Defaults of the options that the module ``name`` has.

    Raises:
        ValueError: there is no such module, or it has not all of the given options.
    """
    defaults = {
        parameter.name: parameter.default
        for parameter in [*inspect.signature(resolve(name)).parameters.values()][2:]  # after the two sizes
        if parameter.kind is not parameter.VAR_KEYWORD
    }
    for option in options:
        if option not in defaults:
            raise ValueError(f"{name} has no option {option!r}, expected one of: {', '.join(defaults) or 'none'}")
    return defaults


def build(name: str, in_features: int, out_features: int, options: Mapping[str, Any]) -> nn.Module:
    """Builds the module ``name`` with the given sizes and options.

    Raises:
        ValueError: there is no such module, or an option is unknown or has a wrong value.
    """
    option_defaults(name, options)
    try:
        module = resolve(name)(in_features, out_features, **options)
    except ValueError:
        raise
    except Exception as error:  # whatever the module raises
        reason = str(error) or type(error).__name__
        raise ValueError(
            f"cannot build {name!r} with {in_features} inputs and {out_features} outputs: {reason}"
        ) from error
    if not isinstance(module, nn.Module):
        raise ValueError(f"{name!r} makes a {type(module).__name__}, expected a torch.nn.Module")
    return module
