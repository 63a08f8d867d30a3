"""Expressions are the formulas of the nearest discrete weights."""

import copy
from functools import partial

import pytest
import sympy
import torch
from tests.modules.helpers import (
    COMPUTED,
    IGNORING,
    POWER_UNITS,
    REPRESENTATIVES,
    WITHOUT_FORMULA,
    layer,
    mostly_slow,
    randomized,
)
from tests.modules.variants import VARIANTS
from torch import nn

from nalm.modules import (
    DMU,
    INALU,
    NACNMU,
    NALU,
    NAU,
    NMRU,
    NMU,
    NRU,
    ArithmeticCell,
    ArithmeticModule,
    MulMCFC,
    NACMul,
    NACSigma,
    RealNPU,
    expression,
)

PRINTED = {
    "add": "x1 + x2",
    "sub": "x1 - x2",
    "mul": "x1*x2",
    "div": "x1/x2",
    "reciprocal": "1/x1",
    "squared": "x1**2",
    "root": "sqrt(x1)",
}

PRINTED_WHEN_SAFE = {
    "mul": "(Abs(x1 - 1) + 1)*(Abs(x2 - 1) + 1)",
    "div": "(Abs(x1 - 1) + 1)/(Abs(x2 - 1) + 1)",
    "reciprocal": "1/(Abs(x1 - 1) + 1)",
}
"""A safe NALU multiplies these, which are its inputs from 1 on."""


def keeps(name: str, operation: str) -> bool:
    """Tell whether the weight of a root or square is discrete for the variant."""
    module = VARIANTS[name](2, 1)
    return operation not in ("root", "squared") or (isinstance(module, POWER_UNITS) and "weight" not in module.bounds())


@pytest.mark.parametrize(
    ("name", "operation"), mostly_slow((name, operation) for name, operation in COMPUTED if keeps(name, operation))
)
def test_the_expression_of_gold_weights_is_the_operation(name: str, operation: str) -> None:
    expected = PRINTED | (PRINTED_WHEN_SAFE if name == "NALU-safe" else {})
    assert [str(formula) for formula in expression(VARIANTS[name](2, 1).gold(operation))] == [expected[operation]]


@pytest.mark.parametrize(
    ("name", "operation"), mostly_slow((name, operation) for name, operation in COMPUTED if not keeps(name, operation))
)
def test_the_expression_takes_the_nearest_weight_for_one_that_is_not_discrete(name: str, operation: str) -> None:
    # A half is rounded away from zero, a square's 2 to the largest weight.
    printed = str(expression(VARIANTS[name](2, 1).gold(operation))[0])
    assert printed == ("Abs(x1 - 1) + 1" if name == "NALU-safe" else "x1")


@pytest.mark.parametrize(
    ("name", "operation"),
    [
        (name, operation)
        for name, operation in IGNORING
        if operation in ("sub", "mul", "div") and name in REPRESENTATIVES
    ],
)
def test_the_expression_names_the_operands_in_every_output(name: str, operation: str) -> None:
    outputs = 1 if "MCFC" in name else 2
    module = VARIANTS[name](3, outputs).gold(operation, 2, 0)
    c, a = sympy.symbols("total_price a")
    exact = {"sub": c - a, "mul": c * a, "div": c / a}[operation]
    if name == "NALU-safe" and operation != "sub":
        exact = exact.subs({c: sympy.Abs(c - 1) + 1, a: sympy.Abs(a - 1) + 1}, simultaneous=True)
    assert expression(module, ["a", "b", "total_price"]) == [exact] * outputs


def sum_and_difference() -> NAU:
    result: NAU = layer(NAU(2, 2), [[1.0, 1.0], [1.0, -1.0]])
    return result


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (nn.Sequential(sum_and_difference(), NMU(2, 1).gold("mul")), "(x1 + x2)*(x1 - x2)"),
        (nn.Sequential(sum_and_difference(), RealNPU(2, 1).gold("div")), "(x1 + x2)/(x1 - x2)"),
        (nn.Sequential(sum_and_difference(), RealNPU(2, 1).gold("squared", 1)), "(x1 - x2)**2"),
        (nn.Sequential(sum_and_difference(), NMRU(2, 1).gold("div", 1, 0)), "(x1 - x2)/(x1 + x2)"),
        (nn.Sequential(sum_and_difference(), NALU(2, 1, bias=True).gold("add")), "2*x1"),
        (
            nn.Sequential(
                NMU(3, 2).gold("mul", 0, 2), sum_and_difference(), layer(RealNPU(2, 1).gold("mul"), [[2.0, 0.0]])
            ),
            "4*x1**2*x3**2",
        ),
        (
            nn.Sequential(
                nn.Sequential(sum_and_difference(), sum_and_difference()), nn.Sequential(NMU(2, 1).gold("mul"))
            ),
            "4*x1*x2",
        ),
    ],
    ids=["NAU-NMU", "NAU-RealNPU", "NAU-square", "NAU-NMRU", "NAU-NALU", "three-layers", "nested"],
)
def test_expressions_of_layers_are_composed(model: nn.Module, expected: str) -> None:
    (found,) = expression(model)
    assert sympy.simplify(found - sympy.sympify(expected)) == 0


LAYERS = [
    nn.Linear(2, 2).double(),
    nn.Identity(),
    nn.Dropout(),
    nn.Tanh(),
    nn.Sigmoid(),
    nn.ReLU(),
    nn.ReLU6(),
    nn.LeakyReLU(),
    nn.PReLU(dtype=torch.float64),
    nn.ELU(0.7),
    nn.CELU(0.7),
    nn.SELU(),
    nn.GELU(),
    nn.SiLU(),
    nn.Mish(),
    nn.Hardswish(),
    nn.Hardsigmoid(),
    nn.Hardtanh(),
    nn.Softplus(2),
    nn.Softsign(),
    nn.LogSigmoid(),
    nn.Softmax(-1),
    nn.Tanhshrink(),
]
"""Layers of torch that stand between arithmetic modules."""


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: type(layer).__name__)
def test_layers_of_torch_are_part_of_the_expression(layer: nn.Module) -> None:
    model = nn.Sequential(sum_and_difference(), layer, NMU(2, 1).gold("mul")).double().eval()
    formula = expression(model, ["a", "b"])[0]
    for a, b in ((1.0, 3.0), (3.0, -1.0), (-0.2, 0.5), (-7.0, -2.0)):
        computed = model(torch.tensor([a, b], dtype=torch.float64)).item()
        assert float(formula.subs({"a": a, "b": b})) == pytest.approx(computed, rel=1e-9, abs=1e-12)


def test_the_weights_of_torchs_layers_are_not_rounded() -> None:
    linear = nn.Linear(2, 2)
    linear.load_state_dict({"weight": torch.tensor([[0.5, 0.25], [0.0, -1.5]]), "bias": torch.tensor([0.0, 2.0])})
    assert str(expression(linear)) == "[0.5*x1 + 0.25*x2, 2 - 1.5*x2]"
    (found,) = expression(nn.Sequential(linear, NMU(2, 1).gold("mul")))
    assert sympy.expand(found - sympy.sympify("(0.5*x1 + 0.25*x2) * (2 - 1.5*x2)")) == 0


def test_wide_trained_layers_are_expressed_at_once() -> None:
    model = nn.Sequential(nn.Linear(20, 20), nn.Tanh(), RealNPU(20, 1).gold("div"))
    assert len(expression(model)[0].atoms(sympy.tanh)) == 2


def test_activations_may_come_first() -> None:
    assert str(expression(nn.Sequential(nn.ReLU(), NAU(2, 1).gold("add")))) == "[Max(0, x1) + Max(0, x2)]"
    assert str(expression(nn.Tanh(), ["a", "b"])) == "[tanh(a), tanh(b)]"


class Residual(nn.Module):
    """A module of one's own, around an arithmetic module with weights that are nearly discrete."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = layer(NAU(2, 2), [[0.9, 0.1], [0.0, -0.8]])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = x + self.inner(x)
        return result


def test_modules_of_ones_own_are_expressed_with_the_discrete_weights_inside() -> None:
    assert str(expression(Residual(), ["a", "b"])) == "[2*a, 0]"


@pytest.mark.parametrize(
    "model", [nn.Sequential(), nn.ReLU(), Residual(), ArithmeticCell(NAU(2, 1))], ids=lambda model: type(model).__name__
)
def test_names_are_asked_for_where_the_number_of_inputs_is_unknown(model: nn.Module) -> None:
    with pytest.raises(ValueError, match=f"found a {type(model).__name__}, whose number of inputs is unknown"):
        expression(model)


@pytest.mark.parametrize("model", [nn.LayerNorm(2), nn.LSTM(2, 2), nn.Conv1d(2, 2, 1)])
def test_what_has_no_expression_is_refused_by_its_name(model: nn.Module) -> None:
    with pytest.raises(ValueError, match=f"found a {type(model).__name__}, which has no expression: ") as caught:
        expression(nn.Sequential(NAU(2, 2), model))
    assert "\n" not in str(caught.value)


QUOTIENTS = [unit(2, 1).gold("div") for unit in (NMRU, NRU, RealNPU, INALU, NALU, DMU, NACMul)]


@pytest.mark.parametrize("second", QUOTIENTS, ids=lambda module: type(module).__name__)
@pytest.mark.parametrize("dividend", [0.0, 1.0])
def test_an_output_that_divides_by_nothing_is_nan_and_a_warning_says_so(
    second: ArithmeticModule, dividend: float
) -> None:
    model = nn.Sequential(layer(NAU(2, 2), [[dividend, 0.0], [0.2, 0.2]]), second)
    with pytest.warns(UserWarning, match="found a division by 0 in output 1, which is nan"):
        assert expression(model) == [sympy.nan]


def test_layers_that_do_not_fit_have_no_expression() -> None:
    with pytest.raises(ValueError, match="NMU: found 2 inputs, expected 3"):
        expression(nn.Sequential(NAU(2, 2), NMU(3, 1)))


@pytest.mark.parametrize("name", [name for name in REPRESENTATIVES if name not in WITHOUT_FORMULA])
def test_asking_for_an_expression_changes_nothing(name: str) -> None:
    module = randomized(VARIANTS[name](2, 1)).train()
    before, eps = copy.deepcopy(module.state_dict()), getattr(module, "eps", None)
    expression(module)
    assert module.training
    assert getattr(module, "eps", None) == eps
    for key, value in module.state_dict().items():
        assert torch.equal(value, before[key]), key
    assert all(parameter.requires_grad for parameter in module.parameters())


def sums_of_signs(second: ArithmeticModule) -> nn.Sequential:
    first = NAU(2, 2)
    first.load_state_dict({"weight": torch.tensor([[1.0, -1.0], [1.0, 1.0]])})
    return nn.Sequential(first, second).double().eval()


@pytest.mark.parametrize(
    "second",
    [
        NACMul(2, 1).gold("mul"),
        NACSigma(2, 1).gold("mul"),
        NACNMU(2, 1).gold("mul"),
        MulMCFC(2, 1, sign="inalu").gold("mul"),
        NMU(2, 1).gold("mul"),
        NMRU(2, 1).gold("div"),
        RealNPU(2, 1).gold("div"),
        NRU(2, 1).gold("div"),
        INALU(2, 1).gold("div"),
    ],
    ids=lambda module: type(module).__name__,
)
def test_the_expression_of_a_stack_is_what_it_computes_on_numbers_of_both_signs(second: ArithmeticModule) -> None:
    model = sums_of_signs(second)
    names = ["a", "b"]
    compute = sympy.lambdify(names, expression(model, names)[0], "numpy")
    for a, b in ((1.0, 3.0), (3.0, 1.0), (2.0, 0.5)):
        computed = model(torch.tensor([a, b], dtype=torch.float64)).item()
        assert compute(a, b) == pytest.approx(computed, rel=1e-5)  # expressions have no eps


def test_a_trigonometric_product_is_expressed_as_it_is() -> None:
    module = NALU(2, 1, multiplication="trig").gold("add")
    module.load_state_dict({"gate_weight": torch.tensor([[0.9, -0.5]])}, strict=False)
    (formula,) = expression(module)
    assert formula.has(sympy.sinh)


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["a", "a"], "found the names a, a, expected a different one"),
        (["a", ""], r"found the names \['a', ''\], expected none to be empty"),
        ([" ", "b"], "expected none to be empty"),
        ([], "found 0 names, expected 2"),
    ],
)
def test_names_that_repeat_or_are_empty_are_refused(names: list[str], found: str) -> None:
    for use in (NAU(2, 1).to_sympy, partial(expression, NAU(2, 1)), partial(expression, nn.Linear(2, 1))):
        with pytest.raises(ValueError, match=found):
            use(names)
