"""The arithmetic expression that a module has learnt."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import nn

from nalm.modules.base import ArithmeticModule

if TYPE_CHECKING:
    import sympy

__all__ = ["expression"]


def expression(model: nn.Module, names: Sequence[str] | None = None) -> list[sympy.Expr]:
    """The expression that the nearest discrete weights compute, one per output; names default to x1, x2, …

    Gates that depend on the inputs are taken as they are for positive ones.

    Arguments:
        model: an arithmetic module, or an ``nn.Sequential`` of them.
        names: of the inputs.

    Raises:
        ValueError: the model is or holds something else, or there are not as many names as inputs.

    >>> from nalm.modules import NAU, NMRU, NMU
    >>> expression(NMRU(10, 1).gold("div", 2, 6))
    [x3/x7]
    >>> expression(nn.Sequential(NAU(3, 2).gold("sub"), NMU(2, 1).gold("mul")), ["a", "b", "c"])
    [(a - b)**2]
    """
    import sympy

    layers = _layers(model)
    names = names or [f"x{index + 1}" for index in range(layers[0].in_features)]
    values: list[sympy.Expr] = [sympy.Symbol(name) for name in names]
    for layer in layers:
        values = _expression(layer, values)
    return values


def _layers(model: nn.Module) -> list[ArithmeticModule]:
    if isinstance(model, ArithmeticModule):
        return [model]
    if isinstance(model, nn.Sequential) and len(model):
        return [layer for child in model for layer in _layers(child)]
    raise ValueError(
        f"found a {type(model).__name__}, which has no expression, "
        "expected an arithmetic module or an nn.Sequential of them"
    )


def _expression(module: ArithmeticModule, inputs: Sequence[sympy.Expr]) -> list[sympy.Expr]:
    import sympy

    if len(inputs) != module.in_features:
        raise ValueError(f"{type(module).__name__}: found {len(inputs)} names, expected {module.in_features}")
    discrete = copy.deepcopy(module).discretize().idealize()
    # With integer weights every sign rule of these modules is sgn(x)^w, so what holds for positive inputs is the
    # expression everywhere, and sympy can cancel it. (Other powers, of Real NPUs, are for positive inputs anyway.)
    positive = [sympy.Symbol(f"x{index}", positive=True) for index in range(len(inputs))]
    formulas = [sympy.nsimplify(sympy.simplify(_steps(formula))) for formula in discrete.to_sympy(positive)]
    return [sympy.simplify(formula.subs(dict(zip(positive, inputs, strict=True)))) for formula in formulas]


def _steps(formula: sympy.Expr) -> sympy.Expr:
    """The formula with gates that are steps as 0 or 1, where the sign of their logit is known."""
    import sympy

    def limit(exponential: sympy.Expr) -> sympy.Expr:
        logit = exponential.args[0]
        steep = [abs(value) for value in logit.as_coefficients_dict().values()]
        if not steep or min(steep) < 1e4 or logit.is_zero:
            return exponential
        return sympy.oo if logit.is_positive else sympy.Integer(0) if logit.is_negative else exponential

    return formula.replace(lambda part: isinstance(part, sympy.exp), limit)
