"""The arithmetic expression that a model has learnt."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import nn

from nalm.modules.base import ArithmeticModule
from nalm.modules.two_layers import TwoLayers

if TYPE_CHECKING:
    import sympy

__all__ = ["expression"]


def expression(model: nn.Module, names: Sequence[str] | None = None) -> list[sympy.Expr]:
    """Return the expression that the nearest discrete weights compute, one per output.

    It holds for positive inputs, and for all inputs that the module's ``operations`` name. Gates that depend on inputs
    become steps; where the sign of their logit is unknown, they stay in the expression.

    Arguments:
        model: an arithmetic module, or an ``nn.Sequential`` or ``TwoLayers`` of them.
        names: names of the inputs; by default x1, x2, …

    Raises:
        ValueError: the model is or contains something else, or the number of names is not the number of inputs.

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
    if len(names) != layers[0].in_features:
        raise ValueError(f"{type(layers[0]).__name__}: found {len(names)} names, expected {layers[0].in_features}")
    if len(set(names)) < len(names):
        raise ValueError(f"found the names {', '.join(names)}, expected a different one for each input")
    for depth, layer in enumerate(layers):
        values = _expression(layer, values, inner=depth > 0)
    return values


def _layers(model: nn.Module) -> list[ArithmeticModule]:
    if isinstance(model, ArithmeticModule) and not isinstance(model, TwoLayers):
        return [model]
    if isinstance(model, nn.Sequential | TwoLayers) and list(model.children()):
        return [layer for child in model.children() for layer in _layers(child)]
    raise ValueError(
        f"found a {type(model).__name__}, which has no expression, "
        "expected an arithmetic module or an nn.Sequential of them"
    )


def _expression(module: ArithmeticModule, inputs: Sequence[sympy.Expr], inner: bool) -> list[sympy.Expr]:
    import sympy

    if len(inputs) != module.in_features:
        raise ValueError(f"{type(module).__name__}: found {len(inputs)} inputs, expected {module.in_features}")
    discrete = copy.deepcopy(module).discretize().idealize()
    # With integer weights, modules that keep signs compute sgn(x)^w |x|^w. The expression for positive inputs is then
    # right for all inputs, and sympy can simplify it. Other modules, between layers, get inputs of both signs.
    assumption = {"positive": True} if not inner or _keeps_signs(module) else {"real": True}
    symbols = [sympy.Symbol(f"x{index}", **assumption) for index in range(len(inputs))]
    formulas = [sympy.nsimplify(_simplified(_steps(formula))) for formula in discrete.to_sympy(symbols)]
    return [_simplified(formula.subs(dict(zip(symbols, inputs, strict=True)))) for formula in formulas]


def _keeps_signs(module: ArithmeticModule) -> bool:
    valid = [inputs for operation, inputs in module.operations.items() if operation != "root"]
    return bool(valid) and all(inputs in ("real", "nonzero") for inputs in valid)


def _simplified(formula: sympy.Expr) -> sympy.Expr:
    """Simplify the formula, except hyperbolic sines of logarithms, which take sympy hours."""
    import sympy

    return formula if formula.has(sympy.sinh) else sympy.simplify(formula)


def _steps(formula: sympy.Expr) -> sympy.Expr:
    """Replace gates that are steps by 0 or 1, where the sign of their logit is known."""
    import sympy

    def limit(exponential: sympy.Expr) -> sympy.Expr:
        logit = exponential.args[0]
        steep = [abs(value) for value in logit.as_coefficients_dict().values()]
        if not steep or max(steep) < 1e4 or logit.is_zero:
            return exponential
        return sympy.oo if logit.is_positive else sympy.Integer(0) if logit.is_negative else exponential

    return formula.replace(lambda part: isinstance(part, sympy.exp), limit)
