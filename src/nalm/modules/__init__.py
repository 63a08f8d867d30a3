"""Neural arithmetic modules: plain ``torch.nn.Module`` layers that depend on torch alone."""

from types import ModuleType as _ModuleType
from typing import TYPE_CHECKING as _TYPE_CHECKING

from nalm.modules.base import ArithmeticModule as ArithmeticModule
from nalm.modules.cells import ArithmeticCell as ArithmeticCell
from nalm.modules.constraint import constrain as constrain
from nalm.modules.descriptions import Description as Description, describe as describe
from nalm.modules.formula import expression as expression
from nalm.modules.names import (
    build as build,
    canonical as canonical,
    module_names as module_names,
    option_defaults as option_defaults,
    resolve as resolve,
)
from nalm.modules.two_layers import TwoLayers as TwoLayers
from nalm.modules.units import *  # noqa: F403

if not _TYPE_CHECKING:  # type checkers read the public names from the imports above
    __all__ = [
        name for name, value in globals().items() if not (name.startswith("_") or isinstance(value, _ModuleType))
    ]
