"""Division modules against numbers measured by running the original's code: see facts, Appendix A, and core.json."""

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from nalm.modules import NMRU, NRU, ArithmeticModule, RealNPU
from nalm.modules.functional import EPS32

Build = Callable[[int, int], ArithmeticModule]

BUILDERS: dict[str, Build] = {
    "RealNPU": RealNPU,
    "RealNPU-nau-reg": partial(RealNPU, attract="ternary"),
    "NRU": NRU,
    "NRU-separate-sign": partial(NRU, sign="separate"),
    "NMRU": NMRU,
    "NMRU-no-sign": partial(NMRU, sign="none"),
    "NMRU-gated-sign": partial(NMRU, sign="gated"),
}
PARAMETER_OF = {"W": "weight", "W_real": "weight", "g": "gate"}
"""Our name of a parameter, by the original's."""
TERM_OF = {"W": "weight", "W-NPU": "weight", "g-NPU": "gate", "W-OOB": "out_of_bounds"}
"""Our name of a regularizer, by the original's; its ``z`` was off when these numbers were measured."""

GOLDEN = Path(__file__).parents[1] / "golden" / "modules" / "core.json"
RECORDS = [record for record in json.loads(GOLDEN.read_text()) if record["module"] in BUILDERS]

# Both sides compute in float64: what is left is rounding, in sums and products of at most 20 terms.
same = partial(torch.testing.assert_close, rtol=1e-10, atol=0.0)

every_record = pytest.mark.parametrize(
    "record", RECORDS, ids=lambda record: f"{record['module']}-{record['in_features']}-{record['out_features']}"
)
both_modes = pytest.mark.parametrize("mode", ["train", "eval"])


def float64(values: Any) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def our_layout(record: dict[str, Any], name: str, values: Any) -> Tensor:
    """The original's Real NPU keeps its weights as [in, out], ours as [out, in]."""
    return float64(values).T if name == "W_real" else float64(values)


def from_record(record: dict[str, Any]) -> ArithmeticModule:
    module = BUILDERS[record["module"]](record["in_features"], record["out_features"]).double()
    module.load_state_dict(
        {PARAMETER_OF[name]: our_layout(record, name, values) for name, values in record["params"].items()}
    )
    return module


def with_weights(build: Build, weight: Sequence[Sequence[float]], *, gate: Sequence[float] | None = None) -> Any:
    """A float64 module of 2 inputs with the given weights, and gates if it has them."""
    module = build(2, len(weight)).double()
    state = {"weight": float64(weight)} | ({} if gate is None else {"gate": float64(gate)})
    module.load_state_dict(state)
    return module


def test_every_setting_of_the_division_modules_is_measured_in_three_sizes() -> None:
    assert {name: sum(record["module"] == name for record in RECORDS) for name in BUILDERS} == dict.fromkeys(
        BUILDERS, 3
    )


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
    assert {PARAMETER_OF[name] for name in measured["grad"]} == {name for name, _ in module.named_parameters()}
    for name, gradient in measured["grad"].items():
        same(module.get_parameter(PARAMETER_OF[name]).grad, our_layout(record, name, gradient))


@every_record
def test_regularizers_equal_the_originals(record: dict[str, Any]) -> None:
    terms = from_record(record).regularizers()
    measured = {TERM_OF[key]: value for key, value in record["penalties"].items() if key != "z"}
    assert terms.keys() == measured.keys()
    for name, value in measured.items():
        same(terms[name].detach(), float64(value))


@every_record
def test_inputs_add_at_most_one_regularizer_and_change_no_other(record: dict[str, Any]) -> None:
    module = from_record(record)
    without, given = module.regularizers(), module.regularizers(float64(record["x"]))
    assert given.keys() - without.keys() == ({"input"} if "z" in record["penalties"] else set())
    for name, value in without.items():
        same(given[name], value)


# What follows was printed with 6 significant digits by a float32 run: half a unit of the last digit is at most 5e-6,
# relative, and the float32 rounding of sums of terms of size 1 to 10 comes on top of it.
printed = partial(pytest.approx, rel=6e-6, abs=3e-7)

ROWS = [[3.0, -4.0], [0.5, 2.0], [-1.5, -0.25]]
TERNARY = [[0.9, -0.3], [0.2, 0.7]]
BINARY = [[0.9, 0.3], [0.2, 0.7]]
TINY = [[0.0005, -0.0005], [0.002, 0.0]]
SELECTION = [[0.9, 0.3, 0.1, 0.6], [0.2, 0.7, 0.4, 0.0]]

NRU_SEPARATE = BUILDERS["NRU-separate-sign"]
NMRU_NO_SIGN = BUILDERS["NMRU-no-sign"]
NMRU_GATED = BUILDERS["NMRU-gated-sign"]
REAL_NPU_WEIGHT = [list(column) for column in zip(*TERNARY, strict=True)]


@pytest.mark.parametrize(
    ("module", "modes", "outputs"),
    [
        pytest.param(
            with_weights(NRU, TERNARY),
            ["train"],
            [-1.77334, -3.2875, 0.435275, 1.41421, 2.18323, 0.410938],
            id="NRU in training",
        ),
        pytest.param(
            with_weights(NRU, TERNARY),
            ["eval"],
            [1.26477, -1.62336, 0.549501, 1.39995, -0.293448, 0.0202627],
            id="NRU in evaluation",
        ),
        pytest.param(
            with_weights(NRU_SEPARATE, TERNARY),
            ["train"],
            [1.77334, -3.2875, 0.435275, 1.41421, -2.18323, -0.410938],
            id="NRU with separate sign in training",
        ),
        pytest.param(
            with_weights(NRU_SEPARATE, TERNARY),
            ["eval"],
            [2.26195, -2.25284, 0.549501, 1.39995, -1.61239, -0.5748],
            id="NRU with separate sign in evaluation",
        ),
        pytest.param(
            with_weights(NRU, TINY),
            ["train"],
            [0.573111, 1.00204, 0.999852, 0.998713, 0.3281, -0.859452],
            id="NRU of tiny weights in training",
        ),
        pytest.param(
            with_weights(NRU, TINY),
            ["eval"],
            [0.999001, 1, 1, 0.999997, 0.998001, 0.995998],
            id="NRU of tiny weights in evaluation",
        ),
        pytest.param(
            with_weights(NMRU_NO_SIGN, SELECTION),
            ["train", "eval"],
            [-0.326667, -2.56667, 0.55055, 2.142, 1.30208, 0.0208333],
            id="NMRU without sign",
        ),
        pytest.param(
            with_weights(NMRU, SELECTION),
            ["train", "eval"],
            [-2.59727, -1.87072, 0.55055, 2.142, 2.89275, -0.266169],
            id="NMRU",
        ),
        pytest.param(
            with_weights(NMRU_GATED, SELECTION, gate=[0.9, 0.5, 1, 0.2]),
            ["train", "eval"],
            [-1.25538, -0.981915, 0.25553, 1.246, 0.78461, -0.211216],
            id="NMRU with gated sign",
        ),
        pytest.param(
            with_weights(RealNPU, REAL_NPU_WEIGHT, gate=[0.8, 0.4]),
            ["train", "eval"],
            [2.67977, 0.83106, 0.675401, 1.47518, -1.01975, 0.698702],
            id="Real NPU",
        ),
    ],
)
def test_outputs_of_chosen_weights_equal_what_the_original_printed(
    module: ArithmeticModule, modes: list[str], outputs: list[float]
) -> None:
    for mode in modes:
        assert module.train(mode == "train")(float64(ROWS)).flatten().tolist() == printed(outputs)


@pytest.mark.parametrize(
    ("module", "terms"),
    [
        pytest.param(with_weights(NRU, TERNARY), {"weight": 0.225, "input": 0.240625}, id="NRU"),
        pytest.param(with_weights(NRU, TINY), {"weight": 0.00075}, id="NRU of tiny weights"),
        pytest.param(with_weights(partial(NRU, shape="squared"), TERNARY), {"weight": 0.030475}, id="NRU, squared"),
        pytest.param(
            with_weights(partial(NRU, out_of_bounds="penalty"), [[1.4, -0.3], [0.2, -2.0]]),
            {"weight": 0.475, "out_of_bounds": 0.35},
            id="NRU out of bounds",
        ),
        pytest.param(with_weights(NMRU, SELECTION), {"weight": 0.225}, id="NMRU"),
        pytest.param(
            with_weights(NMRU_GATED, SELECTION, gate=[0.9, 0.5, 1, 0.2]),
            {"weight": 0.225, "gate": 0.2},
            id="NMRU with gated sign",
        ),
        pytest.param(
            with_weights(RealNPU, REAL_NPU_WEIGHT, gate=[0.8, 0.4]), {"weight": 0.475, "gate": 0.3}, id="Real NPU"
        ),
        pytest.param(
            with_weights(partial(RealNPU, attract="ternary"), REAL_NPU_WEIGHT, gate=[0.8, 0.4]),
            {"weight": 0.225, "gate": 0.3},
            id="Real NPU drawn to -1, 0 and 1",
        ),
    ],
)
def test_regularizers_of_chosen_weights_equal_what_the_original_printed(
    module: ArithmeticModule, terms: dict[str, float]
) -> None:
    # The input term of the NRU is the NAU's, whose printed value belongs to the same weights and rows.
    computed = module.regularizers(float64(ROWS))
    assert {name: computed[name].item() for name in terms} == printed(terms)


def test_regularizers_of_the_nmu_are_those_of_an_nmru_of_one_input() -> None:
    # The original's NMU and NMRU share their regularizers, so numbers printed for the NMU's 2 x 2 weights apply.
    def nmru(shape: Any, weight: Sequence[Sequence[float]]) -> dict[str, Tensor]:
        module = NMRU(1, 2, shape=shape, out_of_bounds="penalty").double()
        module.load_state_dict({"weight": float64(weight)})
        return module.regularizers()

    assert nmru("linear", BINARY)["weight"].item() == printed(0.225)
    assert nmru("squared", BINARY)["weight"].item() == printed(0.030475)
    beyond = nmru("linear", [[1.4, -0.3], [0.2, 0.7]])
    assert {name: term.item() for name, term in beyond.items()} == printed({"weight": 0.3, "out_of_bounds": 0.175})


@pytest.mark.parametrize(
    ("module", "in_training", "in_evaluation"),
    [
        pytest.param(with_weights(NMRU_NO_SIGN, [[1, 0, 0, 0]]), 2.0, float("nan"), id="NMRU without sign"),
        pytest.param(with_weights(NMRU, [[1, 0, 0, 0]]), 2.0, float("nan"), id="NMRU"),
        pytest.param(with_weights(NRU, [[1, 0]]), 2.0, 2.0, id="NRU"),
        pytest.param(with_weights(RealNPU, [[1, 0]], gate=[1, 1]), 2.0, 2.0, id="Real NPU"),
        pytest.param(with_weights(NRU, [[1, -1]]), float("nan"), float("nan"), id="NRU dividing by 0"),
        pytest.param(
            with_weights(NRU_SEPARATE, [[1, -1]]),
            float("inf"),
            float("inf"),
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
    assert with_weights(NMRU, [[0, 0, 0, 1]])(float64([2.0, 0.0])).item() == 8388608.0


def test_minus_epsilon_divides_by_zero_in_training() -> None:
    assert with_weights(NMRU, [[0, 0, 0, 1]])(float64([2.0, -EPS32])).isinf().all()


def test_training_and_evaluation_of_an_nru_differ_unless_weights_are_discrete() -> None:
    module, x = with_weights(NRU, [[0.5, 0.3]]), float64([3.0, -4.0])
    assert module.train()(x).item() == pytest.approx(-2.6253, abs=5e-5)  # printed with 4 decimals
    assert module.eval()(x).item() == pytest.approx(0.3351, abs=5e-5)


def test_a_gate_out_of_bounds_gets_no_gradient() -> None:
    module = with_weights(RealNPU, [[1.0, -1.0]], gate=[1.5, 1.0])
    module(float64(ROWS)).sum().backward()
    assert module.gate.grad[0] == 0
    assert module.gate.grad[1].item() == printed(18.43748)
