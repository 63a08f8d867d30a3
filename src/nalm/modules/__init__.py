"""Neural arithmetic modules: plain ``torch.nn.Module`` layers that depend on torch alone."""

from nalm.modules.base import ArithmeticModule
from nalm.modules.expressions import expression
from nalm.modules.nmru import NMRU
from nalm.modules.npu import RealNPU
from nalm.modules.nru import NRU
from nalm.modules.registry import MODULES, build, option_defaults, resolve

__all__ = ["MODULES", "NMRU", "NRU", "ArithmeticModule", "RealNPU", "build", "expression", "option_defaults", "resolve"]
