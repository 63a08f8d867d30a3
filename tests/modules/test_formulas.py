"""Formulas compute what the module computes in evaluation."""

from collections.abc import Callable
from functools import partial
from itertools import product
from typing import Any, cast

import numpy as np
import pytest
import sympy
import torch
from tests.modules.helpers import (
    FORWARD,
    WITHOUT_FORMULA,
    every_variant,
    inputs_for,
    randomized,
)
from tests.modules.variants import VARIANTS
from torch import Tensor

from nalm.modules import (
    NMRU,
    ArithmeticModule,
    PowerProduct,
    expression,
)


def evaluated(module: ArithmeticModule, x: Tensor) -> Tensor:
    """Compute the module's formulas with numpy."""
    symbols = sympy.symbols([f"x{index}" for index in range(module.in_features)], real=True)
    formulas = sympy.lambdify([symbols], module.to_sympy(symbols), modules="numpy")
    columns = np.broadcast_arrays(*formulas(x.T.numpy()), x[:, 0].numpy())[:-1]
    return torch.tensor(np.stack(columns, axis=-1))


@pytest.mark.parametrize("name", [name for name in FORWARD if name not in WITHOUT_FORMULA])
def test_formulas_compute_what_the_module_does_in_evaluation(name: str) -> None:
    module = randomized(VARIANTS[name](2, 2)).train()  # formulas are those of evaluation all the same
    x = inputs_for(name, 20)[:, :2]
    found = evaluated(module, x)
    expected = module.eval()(x).detach()
    assert expected.isfinite().all()
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "name",
    [
        *("NAC", "NMRU", "DMU"),
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("NALU-bias", "INALU", "NMU", "NPU", "NRU", "MulMCFC-real_npu")
        ),
    ],
)
def test_formulas_of_modules_with_many_weights_compute_the_same(name: str) -> None:
    # From 64 on, sums and products are not written out: other operations of torch compute them.
    module = randomized(VARIANTS[name](40, 2)).eval()
    x = inputs_for("NMU", 14, 3).flatten(1)[:, :9].repeat(1, 5)[:, :40]
    torch.testing.assert_close(evaluated(module, x), module(x).detach(), rtol=1e-9, atol=1e-12)


SHORT = {"mul": "a*b", "div": "a/b", "reciprocal": "1/a", "squared": "a**2", "sub": "a - b"}
WITH_SIGNS = ["NMRU", "NMRU-penalty", "NRU", "RealNPU", "NPU", "NaiveNPU", "INALU", "MulMCFC-real_npu", "DMU"]
WITH_SIGNS += ["PowerProduct", "MagnitudeNMRU"]


@pytest.mark.parametrize(
    ("name", "operation"),
    [(name, op) for name in WITH_SIGNS for op in VARIANTS[name](2, 1).operations if op in SHORT],
)
def test_discrete_weights_give_the_short_formula(name: str, operation: str) -> None:
    module = VARIANTS[name](2, 1).gold(operation).idealize()
    assert str(module.to_sympy(["a", "b"])[0]) == SHORT[operation]


def test_weights_between_discrete_ones_keep_their_cosine() -> None:
    module = NMRU(2, 1).gold("div")
    with torch.no_grad():
        module.weight[0, 0] = 0.9
    (formula,) = module.to_sympy(["a", "b"])
    assert formula.has(sympy.cos)


def test_weights_between_discrete_ones_keep_their_hard_sign() -> None:
    module = PowerProduct(2, 1).gold("div")
    with torch.no_grad():
        module.weight[0, 0] = 0.5
    (formula,) = module.to_sympy(["a", "b"])
    assert formula.has(sympy.sign, sympy.cos)
    values = {"a": 4.0, "b": -2.0}
    value = formula.subs({symbol: values[symbol.name] for symbol in formula.free_symbols})
    assert float(value) == pytest.approx(-1)


@pytest.mark.parametrize(("name", "operation"), WITHOUT_FORMULA.items())
def test_what_has_no_formula_is_named_in_one_sentence(name: str, operation: str) -> None:
    with pytest.raises(ValueError, match=f"operation {operation}, which has no formula") as caught:
        VARIANTS[name](2, 1).to_sympy(["a", "b"])
    assert "\n" not in str(caught.value)


@every_variant
def test_a_wrong_number_of_names_is_refused(name: str) -> None:
    module = VARIANTS[name](2, 1)
    for names, use in product((["a"], ["a", "b", "c"]), (module.to_sympy, partial(expression, module))):
        with pytest.raises(ValueError, match=f"found {len(names)} names, expected 2"):
            cast(Callable[[list[str]], Any], use)(names)
