"""NRU, NMRU and Real NPU: formulas and expressions."""

import copy

import numpy as np
import pytest
import sympy
import torch
from tests.modules.division.helpers import (
    Build,
    every_variant_mostly_slow,
    float64,
    randomized,
    signed_inputs,
    with_parameters,
)
from torch import Tensor

from nalm.modules import NMRU, NRU, ArithmeticModule, RealNPU, expression


def evaluated(module: ArithmeticModule, x: Tensor) -> Tensor:
    """Compute the module's formulas with numpy."""
    symbols = sympy.symbols([f"x{index}" for index in range(module.in_features)], real=True)
    formulas = sympy.lambdify([symbols], module.to_sympy(symbols), modules=[{"Heaviside": np.heaviside}, "numpy"])
    columns = np.broadcast_arrays(*formulas(x.T.numpy()), x[:, 0].numpy())[:-1]
    return torch.tensor(np.stack(columns, axis=-1))


@pytest.mark.parametrize("seed", range(3))
@every_variant_mostly_slow
def test_formulas_compute_what_the_module_does_in_evaluation(build: Build, seed: int) -> None:
    module, x = randomized(build(3, 2), seed).eval(), signed_inputs(20, 3, seed)
    expected = module(x).detach()
    # Formulas hold the parameters as doubles, and differ in the order of some twenty operations.
    torch.testing.assert_close(evaluated(module, x), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "module",
    [
        NRU(2, 1, out_of_bounds="penalty"),
        NMRU(2, 1, out_of_bounds="penalty"),
        NMRU(2, 1, sign="none", out_of_bounds="penalty"),
        RealNPU(2, 1),
    ],
    ids=["NRU", "NMRU", "NMRU-none", "RealNPU"],
)
def test_formulas_clamp_what_the_module_clamps(module: ArithmeticModule) -> None:
    module, x = randomized(copy.deepcopy(module)).eval(), signed_inputs(20, 2)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter[..., :2] = float64([-1.3, 1.6])
    torch.testing.assert_close(evaluated(module, x), module(x).detach(), rtol=1e-12, atol=1e-12)


@every_variant_mostly_slow
def test_formulas_take_names_or_symbols(build: Build) -> None:
    module = build(2, 1).gold("div")
    named = module.to_sympy(["a", "b"])
    assert {str(symbol) for symbol in named[0].free_symbols} == {"a", "b"}
    assert named == module.to_sympy([sympy.Symbol("a", real=True), sympy.Symbol("b", real=True)])


@pytest.mark.parametrize(
    ("operation", "operands", "printed"),
    [
        ("mul", (), "x1*x2"),
        ("div", (), "x1/x2"),
        ("reciprocal", (), "1/x1"),
        ("div", (2, 0), "x3/x1"),
        ("reciprocal", (1,), "1/x2"),
        ("mul", (2,), "x3"),
        ("mul", (0, 1, 2), "x1*x2*x3"),
    ],
)
@every_variant_mostly_slow
def test_the_expression_of_gold_weights_is_the_operation(
    build: Build, operation: str, operands: tuple[int, ...], printed: str
) -> None:
    assert [str(formula) for formula in expression(build(3, 1).gold(operation, *operands))] == [printed]


@pytest.mark.parametrize("names", [["distance", "time"], ["ü", "Δt"], ["total price", "x:2"]], ids=", ".join)
@every_variant_mostly_slow
def test_expressions_take_names_as_they_stand(build: Build, names: list[str]) -> None:
    assert str(expression(build(2, 1).gold("div"), names)[0]) == f"{names[0]}/{names[1]}"


@every_variant_mostly_slow
def test_expressions_of_ignored_inputs_are_one(build: Build) -> None:
    module = build(2, 2)
    with_parameters(module, **dict.fromkeys(dict(module.named_parameters()), 0.0))
    assert [str(formula) for formula in expression(module)] == ["1", "1"]


@every_variant_mostly_slow
def test_there_is_an_expression_for_every_output(build: Build) -> None:
    product, quotient = build(2, 1).gold("mul"), build(2, 1).gold("div")
    both = build(2, 2).gold("mul")
    with torch.no_grad():
        both.get_parameter("weight")[1] = quotient.get_parameter("weight")[0]
    assert expression(both) == [*expression(product), *expression(quotient)]


@every_variant_mostly_slow
def test_the_expression_is_that_of_the_nearest_discrete_weights(build: Build) -> None:
    module = build(2, 1).gold("div").double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(parameter * 0.8 + 0.07)
    before = copy.deepcopy(module.state_dict())
    assert str(expression(module)[0]) == "x1/x2"
    torch.testing.assert_close(module.state_dict(), before, rtol=0, atol=0)
