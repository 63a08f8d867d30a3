"""The list of modules. A new module is a new file here and one line below; everything else derives from this list."""

# Listings have the order of these lines.
# isort: off
from collections.abc import Mapping

from nalm.modules.base import ArithmeticModule

from .linear import Linear as Linear, ReLU as ReLU, ReLU6 as ReLU6
from .nac import NAC as NAC, NACMul as NACMul
from .nac_sigma import NACSigma as NACSigma, NACNMU as NACNMU
from .nalu import NALU as NALU, GNALU as GNALU
from .inalu import INALU as INALU
from .nau import NAU as NAU
from .nmu import NMU as NMU, SigmaNMU as SigmaNMU
from .gated_nau_nmu import GatedNAUNMU as GatedNAUNMU
from .npu import NPU as NPU, RealNPU as RealNPU, NaiveNPU as NaiveNPU, RealNaiveNPU as RealNaiveNPU
from .nru import NRU as NRU
from .nmru import NMRU as NMRU
from .mcfc import MCFC as MCFC, MulMCFC as MulMCFC
from .dmu import DMU as DMU
from .power_product import PowerProduct as PowerProduct
from .magnitude_nmru import MagnitudeNMRU as MagnitudeNMRU

MODULES: Mapping[str, type[ArithmeticModule]]
"""Every module of this library by name."""
