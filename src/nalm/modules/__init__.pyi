"""Neural arithmetic modules: plain ``torch.nn.Module`` layers that depend on torch alone."""

from .base import ArithmeticModule as ArithmeticModule
from .cells import ArithmeticCell as ArithmeticCell
from .constraint import constrain as constrain
from .descriptions import Description as Description, describe as describe
from .formula import expression as expression
from .names import (
    build as build,
    canonical as canonical,
    module_names as module_names,
    option_defaults as option_defaults,
    resolve as resolve,
)
from .two_layers import TwoLayers as TwoLayers
from .units import *  # noqa: F403
from .units import MODULES as MODULES
