"""Builders of modules by the original's names, and its parameters under our names."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from nalm.modules import (
    GNALU,
    INALU,
    MCFC,
    NAC,
    NACNMU,
    NALU,
    NAU,
    NMRU,
    NMU,
    NPU,
    NRU,
    ArithmeticModule,
    GatedNAUNMU,
    Linear,
    MulMCFC,
    NACSigma,
    RealNPU,
    SigmaNMU,
)

Build = Callable[..., ArithmeticModule]

Parameters = Mapping[str, Any]
"""Values by the original's name, in its layout."""

BUILDERS: dict[str, Build] = {
    "Linear": Linear,
    "NAC": NAC,
    "PosNAC": partial(NACSigma, space="linear"),
    "PosLinear": partial(NACNMU, space="linear"),
    "NALU": NALU,
    "NALU-two-nac": partial(NALU, separate=True),
    "NALU-two-gate-bias": partial(NALU, two_gates=True, bias=True),
    "NALU-safe": partial(NALU, multiplication="safe"),
    "NALU-trig": partial(NALU, multiplication="trig"),
    "G-NALU": GNALU,
    "iNALU": INALU,
    "NAU": NAU,
    "NMU": NMU,
    "sigmaNMU": SigmaNMU,
    "GatedNAU-NMU": GatedNAUNMU,
    "RealNPU": partial(RealNPU, init="constrained", clip="both"),
    "RealNPU-nau-reg": partial(RealNPU, init="constrained", clip="both", attract="ternary"),
    "NPU": partial(NPU, init="constrained", clip="both"),
    "NPU-wig": partial(NPU, init="constrained", clip="all"),
    "NRU": NRU,
    "NRU-separate-sign": partial(NRU, sign="separate"),
    "NMRU-no-sign": partial(NMRU, sign="none"),
    "NMRU": NMRU,
    "NMRU-gated-sign": partial(NMRU, sign="gated"),
    "MCFC": MCFC,
    "MulMCFC": MulMCFC,
    "MulMCFC-sign-iNALU": partial(MulMCFC, sign="inalu"),
    "MulMCFC-sign-RealNPU": partial(MulMCFC, sign="real_npu"),
}

PARTS = {"nac_add.": "additive.", "nac_mul.": "multiplicative.", "mcfc.": "sum."}
"""Our name of a part of a module, by the original's."""

PARAMETERS = {
    "W": "weight",
    "W_real": "weight",
    "W_im": "imaginary",
    "g": "gate",
    "bias": "bias",
    "W_hat": "weight_hat",
    "M_hat": "mask_hat",
    "G_add": "gate_weight",
    "G_mul": "second_gate_weight",
    "bias_add": "gate_bias",
    "bias_mul": "second_gate_bias",
    "W_a_hat": "weight_hat",
    "M_a_hat": "mask_hat",
    "W_m_hat": "power_hat",
    "M_m_hat": "power_mask_hat",
    "junction.r": "junction",
    "out_gate.fc.weight": "gate_weight",
    "out_gate.fc.bias": "gate_bias",
}
"""Our name of a parameter, by the original's."""

TRANSPOSED = {"W_real", "W_im", "W_a_hat", "M_a_hat", "W_m_hat", "M_m_hat", "junction.r"}
"""Parameters that the original stores as [in, out], and we as [out, in]."""

TERMS = {"W": "weight", "W-NPU": "weight", "g-NPU": "gate", "W-OOB": "out_of_bounds", "inalu": "saturation"}
"""Our name of a regularizer, by the original's; its ``z`` was off when these numbers were measured."""

both_modes = pytest.mark.parametrize("mode", ["train", "eval"])

# Both sides compute in float64: what is left is rounding, in sums and products of at most 20 terms.
TOLERANCE = 1e-10

same = partial(torch.testing.assert_close, rtol=TOLERANCE, atol=0.0, equal_nan=True)


def float64(values: Any) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def ours(parameters: Parameters) -> dict[str, Tensor]:
    """Parameters of the original under our names and in our layout."""
    return dict(_ours(name, float64(values)) for name, values in parameters.items())


def _ours(name: str, values: Tensor) -> tuple[str, Tensor]:
    part = next((part for part in PARTS if name.startswith(part)), "")
    own = name.removeprefix(part)
    if own in TRANSPOSED:
        values = values.T
    if own == "out_gate.fc.weight":
        values = values.squeeze(1)
    return PARTS.get(part, "") + PARAMETERS[own], values


def chosen(build: Build, parameters: Parameters, outputs: int = 2) -> Any:
    """Build a float64 module of 2 inputs with the given parameters."""
    module = build(2, outputs).double()
    module.load_state_dict(ours(parameters))
    return module
