"""Every module against numbers that the original printed for chosen weights."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
from tests.modules.golden.helpers import (
    chosen,
    float64,
)
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
    MulMCFC,
    NACSigma,
    RealNPU,
    SigmaNMU,
)
from nalm.modules.functional import EPS32

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
    """Numbers that the original printed for a module: outputs of three rows, and regularizers by our names."""

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
