"""The promises about gold weights."""

import copy
import math
from collections.abc import Sequence
from functools import partial
from itertools import permutations

import torch

from nalm.modules import ArithmeticModule
from nalm.modules.operations import OPERATIONS
from nalm.testing.subject import Subject, drawn, same_parameters

__all__ = ["check_gold"]

GOLD_ERROR = 1e-3
"""Allowed error with the module's small constants, relative to the largest operand or result."""
IDEAL_ERROR = 1e-9
"""Allowed error without them, and of the sparsity error, in float64."""


def _operands(name: str, in_features: int) -> list[tuple[int, ...]]:
    """Return choices of operands for an operation."""
    operation = OPERATIONS[name]
    chosen = list(permutations(range(in_features), len(operation.coefficients)))
    every = tuple(range(in_features))
    return [*chosen, every] if operation.any_number and every not in chosen else chosen


def _computes(subject: Subject, module: ArithmeticModule, name: str, operands: Sequence[int]) -> None:
    """Expect that gold weights compute an operation on some operands."""
    x = drawn(module.operations[name], 20, module.in_features)
    selected = x[:, list(operands)]
    exact = OPERATIONS[name].apply(selected.unbind(-1))
    largest = torch.maximum(selected.abs().amax(-1), exact.abs())
    for tolerance, used in ((GOLD_ERROR, module), (IDEAL_ERROR, copy.deepcopy(module).idealize())):
        for output in used(x).unbind(-1):
            error = ((output - exact).abs() / largest).nan_to_num(nan=math.inf)
            row = int(error.argmax())
            expected = (
                f"gold weights for {name} of inputs {tuple(operands)} to compute {exact[row]:g} of {x[row].tolist()}"
            )
            subject.expect(bool(error[row] <= tolerance), expected, f"{output[row]:g}")


def check_gold(subject: Subject) -> None:
    """Check that gold weights compute each operation for the inputs it states."""
    for outputs in {1, subject.out_features}:
        module = subject.made(outputs).eval()
        subject.refuses("gold weights for no_such_operation", partial(module.gold, "no_such_operation"))
        for name in module.operations:
            subject.expect(name in OPERATIONS, f"known operations: {', '.join(OPERATIONS)}", repr(name))
            subject.refuses(f"gold weights for {name} of input -1", partial(module.gold, name, -1))
            chosen = _operands(name, subject.in_features)
            computed = [operands for operands in chosen if _has_gold(subject, module, name, operands)]
            subject.expect(bool(computed), f"operands for which gold({name!r}) sets weights", "a ValueError for all")
            if chosen[0] in computed:
                equal = same_parameters(copy.deepcopy(module).gold(name), module.gold(name, *chosen[0]))
                subject.expect(equal, f"gold({name!r}) to apply to the first inputs by default", "other weights")


def _has_gold(subject: Subject, module: ArithmeticModule, name: str, operands: tuple[int, ...]) -> bool:
    """Check the gold weights for some operands. Return False if there are none, since other inputs would count."""
    try:
        found = module.gold(name, *operands)
    except ValueError:
        return False
    subject.expect(found is module, f"the module from gold({name!r})", "something else")
    _computes(subject, module, name, operands)
    projected = copy.deepcopy(module).project_()
    subject.expect(same_parameters(module, projected), f"gold weights for {name} within bounds", "some outside")
    if {abs(constant) for constant in OPERATIONS[name].coefficients} == {1}:  # a discrete weight of every module
        discrete = copy.deepcopy(module).discretize()
        _computes(subject, discrete, name, operands)
        error = discrete.sparsity_error().item()
        subject.expect(error < IDEAL_ERROR, f"a sparsity error of 0 with discretized gold weights for {name}", error)
    return True
