"""Gold weights compute their operation, on the ranges of the paper and on any operands."""

import math
from itertools import permutations

import pytest
import torch
from tests.modules.helpers import (
    COMPUTED,
    EXACT,
    OPERANDS,
    POWER_UNITS,
    TAKES_ALL_INPUTS,
    drawn,
    mostly_slow,
    off_by,
    width,
)
from tests.modules.variants import VARIANTS

from nalm.modules import (
    MCFC,
    MulMCFC,
)


def operand_choices(name: str, operation: str, in_features: int) -> list[tuple[int, ...]]:
    """Return operands to which the variant can apply the operation: all, or some of many."""
    if name in TAKES_ALL_INPUTS:
        return [tuple(range(in_features))]
    if in_features > 3:
        return [(7, 2)[: OPERANDS[operation]], (0, 1)[: OPERANDS[operation]]]
    return list(permutations(range(in_features), OPERANDS[operation]))


@pytest.mark.parametrize(("name", "operation"), mostly_slow(COMPUTED))
def test_gold_weights_compute_the_operation_on_the_nine_ranges(name: str, operation: str) -> None:
    for in_features, out_features in ((2, 1), (3, 2), (10, 1)):
        module = VARIANTS[name](width(name, in_features), out_features).double().eval()
        if out_features > 1 and isinstance(module, MCFC | MulMCFC):
            assert module.operations == {}, "an input goes to one output only"
            continue
        x = drawn(module.operations[operation], module.in_features)
        for operands in operand_choices(name, operation, module.in_features):
            selected = x[:, list(operands)]
            exact = EXACT[operation](selected)
            largest = torch.cat([selected, exact.unsqueeze(-1)], -1).abs().amax(-1)
            for output in module.gold(operation, *operands)(x).unbind(-1):
                error = (output - exact).abs() / (off_by(module, operation, selected) * largest)
                worst = error.nan_to_num(nan=math.inf).argmax()
                assert error[worst] <= 1, (operands, x[worst], output[worst], exact[worst])


@pytest.mark.parametrize(("name", "operation"), mostly_slow(COMPUTED))
def test_operands_are_the_first_inputs_unless_they_are_named(name: str, operation: str) -> None:
    # Those that cannot ignore an input have no others here.
    module = VARIANTS[name](2 if name in TAKES_ALL_INPUTS else 3, 1).double().eval()
    x = drawn(module.operations[operation], module.in_features)
    by_default = module.gold(operation)(x).detach()
    assert torch.equal(by_default, module.gold(operation, *range(OPERANDS[operation]))(x))


@pytest.mark.parametrize("name", mostly_slow(name for name, operation in COMPUTED if operation == "mul"))
def test_a_product_takes_any_number_of_operands(name: str) -> None:
    in_features = 4
    operands = (0, 1, 2, 3) if name in TAKES_ALL_INPUTS else (3, 0, 2)
    module = VARIANTS[name](in_features, 1).double().eval().gold("mul", *operands)
    x = drawn(module.operations["mul"], in_features)
    selected = x[:, list(operands)]
    error = (module(x)[:, 0] - selected.prod(-1)).abs()
    scale = torch.maximum(selected.abs().amax(-1), selected.prod(-1).abs())
    assert (error <= off_by(module, "mul", selected) * scale).all()


@pytest.mark.parametrize(
    ("name", "operation"),
    mostly_slow(
        (name, operation)
        for name, operation in COMPUTED
        # Other modules have no weight of 1/2 or 2 that is discrete.
        if operation not in ("root", "squared") or "weight" not in VARIANTS[name](2, 1).bounds()
        if operation != "root" or isinstance(VARIANTS[name](2, 1), POWER_UNITS)
    ),
)
def test_discretizing_leaves_gold_weights_what_they_are(name: str, operation: str) -> None:
    module = VARIANTS[name](2, 1).double().eval().gold(operation)
    x = drawn(module.operations[operation], 2)
    before = module(x).detach()
    torch.testing.assert_close(module.discretize()(x), before, rtol=1e-12, atol=1e-12)
