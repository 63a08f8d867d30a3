"""Neural arithmetic modules: plain ``torch.nn.Module`` layers that depend on torch alone."""

from nalm.modules.base import ArithmeticModule
from nalm.modules.cell import ArithmeticCell
from nalm.modules.constraint import constrain
from nalm.modules.descriptions import Description, describe
from nalm.modules.dmu import DMU
from nalm.modules.expressions import expression
from nalm.modules.inalu import INALU
from nalm.modules.linear import Linear, ReLU, ReLU6
from nalm.modules.mcfc import MCFC, MulMCFC
from nalm.modules.nac import NAC, NACNMU, NACMul, NACSigma
from nalm.modules.nalu import GNALU, NALU, GatedNAUNMU
from nalm.modules.nau import NAU
from nalm.modules.nmru import NMRU
from nalm.modules.nmu import NMU, SigmaNMU
from nalm.modules.npu import NPU, NaiveNPU, RealNaiveNPU, RealNPU
from nalm.modules.nru import NRU
from nalm.modules.registry import MODULES, build, canonical, module_names, option_defaults, resolve
from nalm.modules.two_layers import TwoLayers

__all__ = [
    "DMU",
    "GNALU",
    "INALU",
    "MCFC",
    "MODULES",
    "NAC",
    "NACNMU",
    "NALU",
    "NAU",
    "NMRU",
    "NMU",
    "NPU",
    "NRU",
    "ArithmeticCell",
    "ArithmeticModule",
    "Description",
    "GatedNAUNMU",
    "Linear",
    "MulMCFC",
    "NACMul",
    "NACSigma",
    "NaiveNPU",
    "ReLU",
    "ReLU6",
    "RealNPU",
    "RealNaiveNPU",
    "SigmaNMU",
    "TwoLayers",
    "build",
    "canonical",
    "constrain",
    "describe",
    "expression",
    "module_names",
    "option_defaults",
    "resolve",
]
