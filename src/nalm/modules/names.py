"""Names of modules, and how a module is built from its name."""

import contextlib
import importlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from functools import partial
from importlib.metadata import entry_points
from typing import Any

from torch import nn

from nalm.modules.cells import CELLS
from nalm.modules.units.dmu import DMU
from nalm.modules.units.inalu import INALU
from nalm.modules.units.linear import Linear, ReLU, ReLU6
from nalm.modules.units.mcfc import MCFC, MulMCFC
from nalm.modules.units.nac import NAC, NACNMU, NACMul, NACSigma
from nalm.modules.units.nalu import GNALU, NALU, GatedNAUNMU
from nalm.modules.units.nau import NAU
from nalm.modules.units.nmru import NMRU
from nalm.modules.units.nmu import NMU, SigmaNMU
from nalm.modules.units.npu import NPU, NaiveNPU, RealNaiveNPU, RealNPU
from nalm.modules.units.nru import NRU

__all__ = [
    "ENTRY_POINTS",
    "MODULES",
    "build",
    "canonical",
    "import_paths",
    "module_names",
    "option_defaults",
    "resolve",
]

ModuleFactory = Callable[..., nn.Module]

MODULES: dict[str, ModuleFactory] = {
    module.__name__: module
    for module in (
        Linear,
        ReLU,
        ReLU6,
        NAC,
        NACMul,
        NACSigma,
        NACNMU,
        NALU,
        GNALU,
        INALU,
        NAU,
        NMU,
        SigmaNMU,
        GatedNAUNMU,
        NPU,
        RealNPU,
        NaiveNPU,
        RealNaiveNPU,
        NRU,
        NMRU,
        MCFC,
        MulMCFC,
        DMU,
    )
}
"""Every module of this library that can be called by name."""

ENTRY_POINTS = "nalm.modules"
"""Group of entry points by which other packages give names to their modules."""


OTHER_NAMES = "nalm.original.units"
"""What knows the names of the original research code; imported for names that are not ours."""


def _translated(name: str) -> list[tuple[str, dict[str, Any]]]:
    layers: list[tuple[str, dict[str, Any]]] = importlib.import_module(OTHER_NAMES).translate(name)
    return layers


def _is_original(name: str) -> bool:
    return "--" in name or name in importlib.import_module(OTHER_NAMES).UNITS


_IMPORT_PATHS = ContextVar("import_paths", default=True)


@contextlib.contextmanager
def import_paths(allowed: bool) -> Iterator[None]:
    """Whether import paths may name modules meanwhile; the names that installed packages offer always may."""
    token = _IMPORT_PATHS.set(allowed)
    try:
        yield
    finally:
        _IMPORT_PATHS.reset(token)


def module_names() -> list[str]:
    """Every name that can be resolved: this library's, then those of installed packages."""
    return [*MODULES, *sorted(point.name for point in entry_points(group=ENTRY_POINTS) if point.name not in MODULES)]


def canonical(name: str) -> tuple[str, dict[str, Any]]:
    """Our name and options for a module of one layer that is named as in the original; others stay as they are.

    Raises:
        ValueError: it is a command line of the original that means no module, or a network of two layers.
    """
    if name in MODULES or name in CELLS or not _is_original(name):
        return name, {}
    layers = _translated(name)
    if len(layers) > 1:
        found = " and ".join(layer for layer, _ in layers)
        raise ValueError(f"found {name!r}, a network of two layers ({found}), expected one module")
    return layers[0]


def resolve(name: str) -> ModuleFactory:
    """Finds a module by its name; the one entry point for everything that names modules.

    Arguments:
        name: one of ``module_names()`` or ``CELLS``; an import path ``package.module:Class``, whose package's code is
            run; or a unit with options as in the original's command line, such as ``ReRegualizedLinearNAC --nac-mul
            mnac`` (a network of two layers, whose ``hidden_size`` is 2 unless given). A name that both have, as NMRU,
            is ours.

    Raises:
        ValueError: there is no such module.
    """
    if name in MODULES:
        return MODULES[name]
    if name in CELLS:
        return CELLS[name]
    if ":" in name and "--" not in name:
        if not _IMPORT_PATHS.get():
            raise ValueError(f"found module {name!r}, an import path, whose code would be run: imports are not allowed")
        return _imported(name)
    if point := next(iter(entry_points(group=ENTRY_POINTS, name=name)), None):
        return _imported(point.value)
    if _is_original(name):
        return _original(_translated(name))
    raise ValueError(
        f"found unknown module {name!r}, expected one of: {', '.join(module_names())}, "
        "or an import path such as mypackage.layers:MyUnit"
    )


def _original(layers: list[tuple[str, dict[str, Any]]]) -> ModuleFactory:
    (first, first_options), *rest = layers
    if not rest:
        return partial(MODULES[first], **first_options)
    ((second, second_options),) = rest

    def network(in_features: int, out_features: int, *, hidden_size: int = 2) -> nn.Module:
        return nn.Sequential(
            MODULES[first](in_features, hidden_size, **first_options),
            MODULES[second](hidden_size, out_features, **second_options),
        )

    return network


def _imported(name: str) -> ModuleFactory:
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
        if parameter.kind is not parameter.VAR_KEYWORD and parameter.name not in ("device", "dtype")
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
