"""The list of modules. A new module is a new file here and one line below; everything else derives from this list."""

# Listings have the order of these lines.
# isort: off
from nalm.modules.base import ArithmeticModule as _ArithmeticModule
from nalm.modules.units.linear import Linear as Linear, ReLU as ReLU, ReLU6 as ReLU6
from nalm.modules.units.nac import NAC as NAC, NACMul as NACMul
from nalm.modules.units.nac_sigma import NACSigma as NACSigma, NACNMU as NACNMU
from nalm.modules.units.nalu import NALU as NALU, GNALU as GNALU
from nalm.modules.units.inalu import INALU as INALU
from nalm.modules.units.nau import NAU as NAU
from nalm.modules.units.nmu import NMU as NMU, SigmaNMU as SigmaNMU
from nalm.modules.units.gated_nau_nmu import GatedNAUNMU as GatedNAUNMU
from nalm.modules.units.npu import NPU as NPU, RealNPU as RealNPU, NaiveNPU as NaiveNPU, RealNaiveNPU as RealNaiveNPU
from nalm.modules.units.nru import NRU as NRU
from nalm.modules.units.nmru import NMRU as NMRU
from nalm.modules.units.mcfc import MCFC as MCFC, MulMCFC as MulMCFC
from nalm.modules.units.dmu import DMU as DMU

MODULES: dict[str, type[_ArithmeticModule]] = {
    name: value for name, value in vars().items() if isinstance(value, type) and not name.startswith("_")
}
"""Every module of this library by name."""
