"""Neural arithmetic modules: plain ``torch.nn.Module`` layers that depend on torch alone."""

from nalm.modules.base import ArithmeticModule
from nalm.modules.cells import ArithmeticCell
from nalm.modules.constraint import constrain
from nalm.modules.descriptions import Description, describe
from nalm.modules.formula import expression
from nalm.modules.names import MODULES, build, canonical, module_names, option_defaults, resolve
from nalm.modules.two_layers import TwoLayers
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
