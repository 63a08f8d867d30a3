"""Every module against numbers measured by running the original's code."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
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
from nalm.modules.functional import EPS32

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
"""What the original keeps as [in, out], and we as [out, in]."""
TERMS = {"W": "weight", "W-NPU": "weight", "g-NPU": "gate", "W-OOB": "out_of_bounds", "inalu": "saturation"}
"""Our name of a regularizer, by the original's; its ``z`` was off when these numbers were measured."""

GOLDEN = Path(__file__).parents[1] / "golden" / "modules"
RECORDS = [record for name in ("core", "extra") for record in json.loads((GOLDEN / f"{name}.json").read_text())]


def name_of(record: dict[str, Any]) -> str:
    return f"{record['module']}-{record['in_features']}-{record['out_features']}"


every_record = pytest.mark.parametrize("record", RECORDS, ids=name_of)
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


def size(record: dict[str, Any]) -> tuple[int, int]:
    return record["in_features"], record["out_features"]


def from_record(record: dict[str, Any]) -> ArithmeticModule:
    module = BUILDERS[record["module"]](*size(record)).double()
    module.load_state_dict(ours(record["params"]))
    return module


def chosen(build: Build, parameters: Parameters, outputs: int = 2) -> Any:
    """A float64 module of 2 inputs with the given parameters."""
    module = build(2, outputs).double()
    module.load_state_dict(ours(parameters))
    return module


def gradient_tolerance(module: ArithmeticModule, name: str) -> Tensor:
    """Relative tolerance of the gradient to each entry of a parameter.

    The derivative of tanh, 1 - tanh(w)^2, is for large w a small difference of numbers near 1. Rounding them leaves it
    uncertain by a few 2^-53, on either side: for the NAC's initial weights by up to 1.4e-9 of itself (measured).
    """
    parameter = module.get_parameter(name).detach()
    part, _, own = name.rpartition(".")
    unit = module.get_submodule(part)
    if own == "weight_hat" and isinstance(unit, NAC) and unit.base == "e":
        return TOLERANCE + 2.0**-51 * torch.cosh(parameter) ** 2  # 1 / (1 - tanh^2) = cosh^2
    return torch.full_like(parameter, TOLERANCE)


# --- records of 28 settings in three sizes ----------------------------------------------------------------------


def test_every_setting_is_measured_in_three_sizes() -> None:
    sizes = {name: {size(record) for record in RECORDS if record["module"] == name} for name in BUILDERS}
    assert all(found == {(2, 1), (3, 2), (10, 1)} for found in sizes.values())
    assert len(RECORDS) == 3 * len(BUILDERS)


@both_modes
@every_record
def test_outputs_and_gradients_equal_the_originals(record: dict[str, Any], mode: str) -> None:
    module = from_record(record).train(mode == "train")
    x = float64(record["x"]).requires_grad_()

    y = module(x)
    (float64(record["c"]) * y).sum().backward()

    measured = record[mode]
    same(y.detach(), float64(measured["y"]))
    same(x.grad, float64(measured["grad_x"]))
    gradients = ours(measured["grad"])
    assert gradients.keys() == {name for name, _ in module.named_parameters()}
    for name, gradient in gradients.items():
        own = module.get_parameter(name).grad
        assert own is not None
        excess = (own - gradient).abs() - gradient_tolerance(module, name) * gradient.abs()
        assert ((excess <= 0) | (own.isnan() & gradient.isnan())).all(), name


@every_record
def test_regularizers_equal_the_originals(record: dict[str, Any]) -> None:
    terms = from_record(record).regularizers()
    measured = {TERMS[key]: value for key, value in record["penalties"].items() if key != "z"}
    assert terms.keys() == measured.keys()
    for name, value in measured.items():
        same(terms[name].detach(), float64(value))


@every_record
def test_inputs_add_regularizers_of_inputs_and_gates_and_change_no_other(record: dict[str, Any]) -> None:
    module = from_record(record)
    without, given = module.regularizers(), module.regularizers(float64(record["x"]))
    added = {"input"} if "z" in record["penalties"] else set()
    assert given.keys() - without.keys() == added | ({"gate"} if "G_add" in record["params"] else set())
    for name, value in without.items():
        same(given[name], value)


def is_mass_conserving(record: dict[str, Any]) -> bool:
    return "MCFC" in record["module"]


def seed_of(record: dict[str, Any]) -> int:
    """The seed from which the original drew the record's initial parameters (found by search)."""
    in_features, out_features = size(record)
    return 100 + 7 * in_features + out_features


def differences(module: ArithmeticModule, record: dict[str, Any]) -> dict[str, float]:
    """Largest difference of each parameter from the record's, where there is one.

    The original ends its bisection for the NAC's initial range when about 10^-12 is left; other draws are equal up to
    rounding.
    """
    values = {name: (module.get_parameter(name) - value).abs().max() for name, value in ours(record["params"]).items()}
    return {name: value.item() for name, value in values.items() if value > 1e-12}


@pytest.mark.parametrize("record", [r for r in RECORDS if not is_mass_conserving(r)], ids=name_of)
def test_a_module_starts_with_the_parameters_that_the_original_drew(record: dict[str, Any]) -> None:
    torch.manual_seed(seed_of(record))
    module = BUILDERS[record["module"]](*size(record), dtype=torch.float64)
    assert differences(module, record) == {}


@pytest.mark.parametrize("record", [r for r in RECORDS if is_mass_conserving(r)], ids=name_of)
def test_a_reset_mass_conserving_layer_has_the_parameters_that_the_original_drew(record: dict[str, Any]) -> None:
    # Of these the original's constructor lets torch draw a gate first, and then draws the gate and the junction.
    torch.manual_seed(seed_of(record))
    module = BUILDERS[record["module"]](*size(record), dtype=torch.float64)
    module.reset_parameters()
    assert differences(module, record) == {}


# --- chosen weights ---------------------------------------------------------------------------------------------

# These were printed with 6 significant digits by a float32 run: half a unit of the last digit is at most 5e-6,
# relative, and the float32 rounding of sums of terms of size 1 to 10 comes on top of it.
printed = partial(pytest.approx, rel=6e-6, abs=3e-7, nan_ok=True)

INPUTS = float64([[3.0, -4.0], [0.5, 2.0], [-1.5, -0.25]])

TERNARY = {"W": [[0.9, -0.3], [0.2, 0.7]]}
BINARY = {"W": [[0.9, 0.3], [0.2, 0.7]]}
BEYOND_TERNARY = {"W": [[1.4, -0.3], [0.2, -2.0]]}
BEYOND_BINARY = {"W": [[1.4, -0.3], [0.2, 0.7]]}
TINY = {"W": [[0.0005, -0.0005], [0.002, 0.0]]}
SELECTION = {"W": [[0.9, 0.3, 0.1, 0.6], [0.2, 0.7, 0.4, 0.0]]}
GATED_SELECTION = SELECTION | {"g": [0.9, 0.5, 1, 0.2]}

W_HAT, M_HAT = [[1, -0.5], [0.3, 2]], [[0.5, 1], [-1, 2]]
SECOND_W_HAT, SECOND_M_HAT = [[0.2, 0.4], [-0.6, 0.8]], [[1, 0], [0.5, -0.5]]
ACCUMULATOR = {"W_hat": W_HAT, "M_hat": M_HAT}
GATED = {"nac_add.W_hat": W_HAT, "nac_add.M_hat": M_HAT, "G_add": [[0.4, -0.2], [0.1, 0.3]]}
SECOND_GATE = {"G_mul": [[-0.3, 0.5], [0.2, 0.2]], "bias_add": [0.1, -0.1], "bias_mul": [0.2, 0]}
IMPROVED = {"W_a_hat": W_HAT, "M_a_hat": M_HAT, "W_m_hat": SECOND_W_HAT, "M_m_hat": SECOND_M_HAT, "g": [0.3, -0.4]}

POWERS = {"W_real": [[0.9, -0.3], [0.2, 0.7]], "g": [0.8, 0.4]}
COMPLEX_POWERS = POWERS | {"W_im": [[0.1, 0.2], [-0.3, 0.05]]}

SHARES = {
    "junction.r": [[0.5, -0.2], [0.1, 0.4]],
    "out_gate.fc.weight": [[0.7], [-0.3]],
    "out_gate.fc.bias": [0.2, 0.1],
}
LOGARITHMIC_SHARES = {f"mcfc.{name}": values for name, values in SHARES.items()} | {"bias": [0.05, -0.02]}

nan, inf = float("nan"), float("inf")


@dataclass(frozen=True)
class Printed:
    """What the original printed of a module: outputs of three rows, and regularizers by our names."""

    module: ArithmeticModule
    outputs: Sequence[float]
    terms: Mapping[str, float] = field(default_factory=dict)
    modes: Sequence[str] = ("train", "eval")
    inputs: Tensor = INPUTS


PRINTED = {
    "NAU": Printed(chosen(NAU, TERNARY), [3.9, -2.2, -0.15, 1.5, -1.275, -0.475], {"weight": 0.225, "input": 0.240625}),
    "NAU, squared": Printed(
        chosen(partial(NAU, shape="squared"), TERNARY),
        [3.9, -2.2, -0.15, 1.5, -1.275, -0.475],
        {"weight": 0.030475},
    ),
    "NAU out of bounds": Printed(
        chosen(partial(NAU, out_of_bounds="penalty"), BEYOND_TERNARY),
        [4.2, 4.6, -0.1, -1.9, -1.425, -0.05],
        {"weight": 0.475, "out_of_bounds": 0.35},
    ),
    "NMU": Printed(
        chosen(NMU, BINARY), [-1.4, -3.5, 0.715, 1.53, -0.78125, 0.0625], {"weight": 0.225, "input": 0.790625}
    ),
    "NMU, squared": Printed(
        chosen(partial(NMU, shape="squared"), BINARY),
        [-1.4, -3.5, 0.715, 1.53, -0.78125, 0.0625],
        {"weight": 0.030475},
    ),
    "NMU normalized": Printed(
        chosen(partial(NMU, normalized=True), BINARY),
        [0.788771, -1.93881, 0.791492, 1.64947, -0.8853, 0.35914],
    ),
    "NMU out of bounds": Printed(
        chosen(partial(NMU, out_of_bounds="penalty"), BEYOND_BINARY),
        [3, -3.5, 0.5, 1.53, -1.5, 0.0625],
        {"weight": 0.3, "out_of_bounds": 0.175},
    ),
    "NAC-NMU in linear space": Printed(
        chosen(partial(NACNMU, space="linear"), BINARY), [1.5, -2.2, 1.05, 1.5, -1.425, -0.475], {"weight": 0.225}
    ),
    "NAC": Printed(chosen(NAC, ACCUMULATOR), [2.77352, -3.16141, -0.438639, 1.7374, -0.626633, -0.329797]),
    "sigma NMU": Printed(
        chosen(SigmaNMU, {"W_hat": W_HAT}), [-2.18563, -7.31477, 0.874009, 1.34059, -0.437059, 0.0440451]
    ),
    "NAC-sigma in linear space": Printed(
        chosen(partial(NACSigma, space="linear"), {"W_hat": W_HAT}),
        [0.683013, -1.79986, 1.12061, 2.04882, -1.19097, -1.08186],
    ),
    "NALU": Printed(chosen(NALU, GATED), [2.56854, 1.6006, 0.115743, 1.72669, 0.998337, 0.030449], {"gate": 0.280069}),
    "NALU, safe": Printed(
        chosen(partial(NALU, multiplication="safe"), GATED),
        [2.55245, 2.63398, 0.329783, 1.77929, 0.643958, 1.07468],
    ),
    "NALU, trigonometric": Printed(
        chosen(partial(NALU, multiplication="trig"), GATED),
        [2.71691, -2.67013, -0.341798, 1.69973, -0.547449, -0.317913],
    ),
    "NALU with separate weights": Printed(
        chosen(partial(NALU, separate=True), GATED | {"nac_mul.W_hat": SECOND_W_HAT, "nac_mul.M_hat": SECOND_M_HAT}),
        [2.62468, -0.216735, 0.370062, 1.65598, 0.287409, 0.196566],
    ),
    "NALU with a sigma NMU": Printed(
        chosen(partial(NALU, multiplication="nmu"), GATED | {"nac_mul.W_hat": SECOND_W_HAT}),
        [1.94398, -3.88989, 0.439897, 1.61844, -0.289037, -0.137697],
    ),
    "NALU with two biased gates": Printed(
        chosen(partial(NALU, two_gates=True, bias=True), GATED | SECOND_GATE),
        [2.53731, 0.741864, 0.213607, 2.16377, 0.972348, -0.00683425],
    ),
    "NRU in training": Printed(
        chosen(NRU, TERNARY),
        [-1.77334, -3.2875, 0.435275, 1.41421, 2.18323, 0.410938],
        {"weight": 0.225},
        modes=["train"],
    ),
    "NRU in evaluation": Printed(
        chosen(NRU, TERNARY), [1.26477, -1.62336, 0.549501, 1.39995, -0.293448, 0.0202627], modes=["eval"]
    ),
    "NRU with separate sign in training": Printed(
        chosen(partial(NRU, sign="separate"), TERNARY),
        [1.77334, -3.2875, 0.435275, 1.41421, -2.18323, -0.410938],
        modes=["train"],
    ),
    "NRU with separate sign in evaluation": Printed(
        chosen(partial(NRU, sign="separate"), TERNARY),
        [2.26195, -2.25284, 0.549501, 1.39995, -1.61239, -0.5748],
        modes=["eval"],
    ),
    "NRU of tiny weights in training": Printed(
        chosen(NRU, TINY),
        [0.573111, 1.00204, 0.999852, 0.998713, 0.3281, -0.859452],
        {"weight": 0.00075},
        modes=["train"],
    ),
    "NRU of tiny weights in evaluation": Printed(
        chosen(NRU, TINY), [0.999001, 1, 1, 0.999997, 0.998001, 0.995998], modes=["eval"]
    ),
    "NMRU without sign": Printed(
        chosen(partial(NMRU, sign="none"), SELECTION),
        [-0.326667, -2.56667, 0.55055, 2.142, 1.30208, 0.0208333],
        {"weight": 0.225},
    ),
    "NMRU": Printed(
        chosen(NMRU, SELECTION), [-2.59727, -1.87072, 0.55055, 2.142, 2.89275, -0.266169], {"weight": 0.225}
    ),
    "NMRU with gated sign": Printed(
        chosen(partial(NMRU, sign="gated"), GATED_SELECTION),
        [-1.25538, -0.981915, 0.25553, 1.246, 0.78461, -0.211216],
        {"weight": 0.225, "gate": 0.2},
    ),
    "Real NPU": Printed(
        chosen(RealNPU, POWERS),
        [2.67977, 0.83106, 0.675401, 1.47518, -1.01975, 0.698702],
        {"weight": 0.475, "gate": 0.3},
    ),
    "Real NPU drawn to -1, 0 and 1": Printed(
        chosen(partial(RealNPU, attract="ternary"), POWERS),
        [2.67977, 0.83106, 0.675401, 1.47518, -1.01975, 0.698702],
        {"weight": 0.225, "gate": 0.3},
    ),
    "NPU": Printed(
        chosen(partial(NPU, clip="both"), COMPLEX_POWERS),
        [4.009, 0.544247, 0.667611, 1.46981, -1.26264, 0.393957],
        {"weight": 0.475},
    ),
    "NPU with clipped imaginary exponents": Printed(
        chosen(partial(NPU, clip="all"), COMPLEX_POWERS),
        [4.009, 0.544247, 0.667611, 1.46981, -1.26264, 0.393957],
        {"weight": 1.125},
    ),
    "iNALU": Printed(
        chosen(INALU, IMPROVED),
        [0.740913, -1.24914, 0.531586, 1.23816, -0.250639, 0.259395],
        {"saturation": 96.575},
    ),
    "G-NALU": Printed(chosen(GNALU, GATED), [1.26309, 0.576622, 0.318878, 1.22989, 0.619378, 0.152513]),
    "G-NAC": Printed(
        chosen(partial(NAC, base="golden"), ACCUMULATOR),
        [1.33473, -1.99309, -0.166607, 1.10607, -0.339093, -0.216979],
    ),
    "MCFC": Printed(
        chosen(MCFC, SHARES), [0.214944, -0.586266, 0.842624, 0.591874, -0.788209, -0.288704], {"weight": -0.43}
    ),
    "MulMCFC of magnitudes": Printed(
        chosen(MulMCFC, LOGARITHMIC_SHARES),
        [2.69478, 1.65299, 0.932798, 1.05729, 0.837941, 0.727658],
        {"weight": -0.43},
        inputs=INPUTS.abs(),
    ),
    "MulMCFC": Printed(chosen(MulMCFC, LOGARITHMIC_SHARES), [nan, nan, 0.932798, 1.05729, nan, nan]),
    "MulMCFC with the sign of the iNALU": Printed(
        chosen(partial(MulMCFC, sign="inalu"), LOGARITHMIC_SHARES),
        [0.401212, -0.246106, 0.932798, 1.05729, -0.0419651, -0.0364421],
    ),
    "MulMCFC with the sign of the Real NPU": Printed(
        chosen(partial(MulMCFC, sign="real_npu"), LOGARITHMIC_SHARES | {"g": [0.8, 0.4]}),
        [2.31855, 1.24069, 0.932798, 1.05729, -0.502639, 0.0109112],
        {"gate": 0.3},
    ),
}

every_printed = pytest.mark.parametrize("case", PRINTED.values(), ids=PRINTED)


@every_printed
def test_outputs_of_chosen_weights_equal_what_the_original_printed(case: Printed) -> None:
    for mode in case.modes:
        outputs = case.module.train(mode == "train")(case.inputs)
        assert outputs.flatten().tolist() == printed(case.outputs)


@pytest.mark.parametrize(
    "case",
    [case for case in PRINTED.values() if case.terms],
    ids=[name for name, case in PRINTED.items() if case.terms],
)
def test_regularizers_of_chosen_weights_equal_what_the_original_printed(case: Printed) -> None:
    computed = case.module.regularizers(case.inputs)
    assert {name: computed[name].item() for name in case.terms} == printed(case.terms)


@pytest.mark.parametrize("options", [{}, {"shape": "squared"}, {"out_of_bounds": "penalty"}], ids=str)
def test_an_nru_is_regularized_as_an_nau(options: dict[str, Any]) -> None:
    nru, nau = (chosen(partial(build, **options), BEYOND_TERNARY).regularizers(INPUTS) for build in (NRU, NAU))
    assert nru == nau


@pytest.mark.parametrize(
    ("module", "in_training", "in_evaluation"),
    [
        pytest.param(chosen(partial(NMRU, sign="none"), {"W": [[1, 0, 0, 0]]}, 1), 2.0, nan, id="NMRU without sign"),
        pytest.param(chosen(NMRU, {"W": [[1, 0, 0, 0]]}, 1), 2.0, nan, id="NMRU"),
        pytest.param(chosen(NRU, {"W": [[1, 0]]}, 1), 2.0, 2.0, id="NRU"),
        pytest.param(chosen(RealNPU, {"W_real": [[1], [0]], "g": [1, 1]}, 1), 2.0, 2.0, id="Real NPU"),
        pytest.param(chosen(NRU, {"W": [[1, -1]]}, 1), nan, nan, id="NRU dividing by 0"),
        pytest.param(
            chosen(partial(NRU, sign="separate"), {"W": [[1, -1]]}, 1),
            inf,
            inf,
            id="NRU with separate sign dividing by 0",
        ),
    ],
)
def test_an_input_of_zero_gives_what_the_original_gives(
    module: ArithmeticModule, in_training: float, in_evaluation: float
) -> None:
    x = float64([2.0, 0.0])
    assert module.train()(x).item() == pytest.approx(in_training, rel=EPS32, nan_ok=True)
    assert module.eval()(x).item() == pytest.approx(in_evaluation, rel=EPS32, nan_ok=True)


def test_the_reciprocal_of_zero_in_training_is_one_over_epsilon() -> None:
    assert chosen(NMRU, {"W": [[0, 0, 0, 1]]}, 1)(float64([2.0, 0.0])).item() == 8388608.0


def test_minus_epsilon_divides_by_zero_in_training() -> None:
    assert chosen(NMRU, {"W": [[0, 0, 0, 1]]}, 1)(float64([2.0, -EPS32])).isinf().all()


def test_training_and_evaluation_of_an_nru_differ_unless_weights_are_discrete() -> None:
    module, x = chosen(NRU, {"W": [[0.5, 0.3]]}, 1), float64([3.0, -4.0])
    assert module.train()(x).item() == pytest.approx(-2.6253, abs=5e-5)  # printed with 4 decimals
    assert module.eval()(x).item() == pytest.approx(0.3351, abs=5e-5)


def test_a_gate_out_of_bounds_gets_no_gradient() -> None:
    module = chosen(RealNPU, {"W_real": [[1.0], [-1.0]], "g": [1.5, 1.0]}, 1)
    module(INPUTS).sum().backward()
    assert module.gate.grad[0] == 0
    assert module.gate.grad[1].item() == printed(18.43748)
