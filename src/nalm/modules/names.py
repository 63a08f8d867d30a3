"""Modules by name: find one, list its options, build it."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from nalm.modules.units import MODULES
from nalm.registry import LazyMapping, Registry, did_you_mean

if TYPE_CHECKING:
    from torch import nn

__all__ = ["CELLS", "build", "canonical", "module_names", "option_defaults", "resolve"]

ModuleFactory = Callable[..., "nn.Module"]
Layers = list[tuple[str, dict[str, Any]]]
"""The name and options of each layer's module."""


def _check(path: str, found: Any) -> None:
    if not callable(found):
        raise ValueError(f"{path!r} is not a module class")


CELLS: LazyMapping[type[nn.Module]] = LazyMapping(
    {name: f"nalm.modules.cells:{name}" for name in ("LSTM", "GRU", "Accumulator")}
)
"""Recurrent cells that recipes can name."""

_REGISTRY: Registry[ModuleFactory] = Registry("module", "modules", MODULES, _check, "mypackage.layers:MyUnit")


def module_names() -> list[str]:
    """Return the names of this library's modules, then those of installed packages."""
    return _REGISTRY.names()


def resolve(name: str) -> ModuleFactory:
    """Find a module by its name.

    Arguments:
        name: one of ``module_names()``; a recurrent cell of ``CELLS``; an import path ``package.module:Class``, whose
            package's code is run; or a unit with options as in the original's command line, such as
            ``ReRegualizedLinearNAC --nac-mul mnac``. That one is a network of two layers, whose ``hidden_size`` is 2
            by default. Where both have a name, such as NMRU, it is ours.

    Raises:
        ValueError: there is no such module.
    """
    if name in CELLS:
        return CELLS[name]
    if layers := _layers_of_original(name):
        return _network(layers)
    return _REGISTRY[name]


def canonical(name: str) -> tuple[str, dict[str, Any]]:
    """Translate a name of the original into our name and options. Other names stay as they are, without options.

    Raises:
        ValueError: the original's options are wrong, or the name means a network of two layers.
    """
    layers = _layers_of_original(name) or [(name, {})]
    if len(layers) > 1:
        found = " and ".join(layer for layer, _ in layers)
        raise ValueError(f"found {name!r}, a network of two layers ({found}), expected one module")
    return layers[0]


def _layers_of_original(name: str) -> Layers:
    """Translate a name of the original. Return an empty list for any other name.

    The package that knows these names builds on this one, so it is imported only when a name is not ours.
    """
    if name in MODULES or name in CELLS:
        return []
    original = importlib.import_module("nalm.original.units")
    # Asking the registry reads what every installed package offers, so it comes last.
    if "--" not in name and (name not in original.UNITS or name in _REGISTRY):
        return []
    layers: Layers = original.translate(name)
    return layers


def _network(layers: Layers) -> ModuleFactory:
    """Return what builds one layer, or two with a hidden size between them."""
    first, *rest = [partial(resolve(name), **options) for name, options in layers]
    if not rest:
        return first
    (second,) = rest

    def network(in_features: int, out_features: int, *, hidden_size: int = 2) -> nn.Module:
        from torch import nn

        return nn.Sequential(first(in_features, hidden_size), second(hidden_size, out_features))

    return network


def option_defaults(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the module's options with their defaults.

    Raises:
        ValueError: there is no such module, or it lacks one of the given options.
    """
    defaults = {
        parameter.name: parameter.default
        for parameter in [*inspect.signature(resolve(name)).parameters.values()][2:]  # after the two sizes
        if parameter.kind is not parameter.VAR_KEYWORD and parameter.name not in ("device", "dtype")
    }
    for option in options:
        if option not in defaults:
            raise ValueError(
                f"{name} has no option {option!r}{did_you_mean(option, list(defaults))}, "
                f"expected one of: {', '.join(defaults) or 'none'}"
            )
    return defaults


def build(name: str, in_features: int, out_features: int, options: Mapping[str, Any]) -> nn.Module:
    """Build a module by its name.

    Raises:
        ValueError: there is no such module, it lacks one of the options, or an option has a wrong value.
    """
    from torch import nn

    option_defaults(name, options)
    try:
        module = resolve(name)(in_features, out_features, **options)
    except ValueError:
        raise
    except Exception as error:  # building runs the module's code, which can raise anything
        reason = str(error) or type(error).__name__
        raise ValueError(
            f"cannot build {name!r} with {in_features} inputs and {out_features} outputs: {reason}"
        ) from error
    if not isinstance(module, nn.Module):
        raise ValueError(f"{name!r} makes a {type(module).__name__}, expected a torch.nn.Module")
    return module
