"""The arithmetic expression that a model has learnt."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from torch import nn

from nalm.modules.base import ArithmeticModule, check_names
from nalm.modules.two_layers import TwoLayers

if TYPE_CHECKING:
    import sympy

__all__ = ["expression"]


def expression(model: nn.Module, names: Sequence[str] | None = None) -> list[sympy.Expr]:
    """Return the expression that the nearest discrete weights compute, one per output.

    Layers of torch, such as ``nn.Linear`` and ``nn.ReLU``, have no discrete weights: theirs are used as they are.

    It holds for positive inputs, and for all inputs that the module's ``operations`` name. Gates that depend on inputs
    become steps; where the sign of their logit is unknown, they stay in the expression. An output that divides by 0,
    because an operand has no weight left, is nan, and a warning says so.

    Arguments:
        model: an arithmetic module, a layer of torch, or an ``nn.Sequential`` or ``TwoLayers`` of them.
        names: names of the inputs; by default x1, x2, …

    Raises:
        ValueError: a layer has no formula, or there is not one name for each input, or a name is empty or repeated.

    >>> from nalm.modules import NAU, NMRU, NMU
    >>> expression(NMRU(10, 1).gold("div", 2, 6))
    [x3/x7]
    >>> expression(nn.Sequential(NAU(3, 2).gold("sub"), nn.ReLU(), NMU(2, 1).gold("mul")), ["a", "b", "c"])
    [Max(0, a - b)**2]
    """
    import sympy

    layers = list(_layers(model))
    inputs = _inputs(model, layers, names)
    names = [f"x{index + 1}" for index in range(inputs)] if names is None else names
    check_names(type(layers[0] if layers else model).__name__, names, inputs)
    values: list[sympy.Expr] = [sympy.Symbol(name) for name in names]
    for depth, layer in enumerate(layers):
        if isinstance(layer, ArithmeticModule):
            values = _expression(layer, values, inner=depth > 0)
        else:
            values = _as_it_is(layer, values)
    if undefined := [str(output + 1) for output, value in enumerate(values) if value is sympy.nan]:
        warnings.warn(f"expression: found a division by 0 in output {', '.join(undefined)}, which is nan", stacklevel=2)
    return values


def _layers(model: nn.Module) -> Iterator[nn.Module]:
    if isinstance(model, nn.Sequential | TwoLayers):
        for child in model.children():
            yield from _layers(child)
    else:
        yield model


def _inputs(model: nn.Module, layers: Sequence[nn.Module], names: Sequence[str] | None) -> int:
    """Return the number of inputs: that of the first layer that knows it, if those before keep their number."""
    for layer in layers:
        if isinstance(inputs := getattr(layer, "in_features", None), int):
            return inputs
        if names is None and any(True for _ in layer.parameters()):
            break
    if names is None:
        raise ValueError(f"found a {type(model).__name__}, whose number of inputs is unknown, expected their names")
    return len(names)


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
    return [_composed(formula, symbols, inputs) for formula in formulas]


def _as_it_is(layer: nn.Module, inputs: Sequence[sympy.Expr]) -> list[sympy.Expr]:
    """Return the formulas of a layer without discrete weights, except those of arithmetic modules inside."""
    import sympy

    from nalm.modules.symbolic import formulas

    layer = copy.deepcopy(layer)
    for part in layer.modules():
        if isinstance(part, ArithmeticModule):
            part.discretize().idealize()
    symbols = [sympy.Symbol(f"x{index}", real=True) for index in range(len(inputs))]
    try:
        return [_composed(formula, symbols, inputs) for formula in formulas(layer, symbols)]
    except Exception as error:  # whatever the layer raises for these inputs
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise ValueError(f"found a {type(layer).__name__}, which has no expression: {reason}") from error


def _composed(formula: sympy.Expr, symbols: Sequence[sympy.Symbol], inputs: Sequence[sympy.Expr]) -> sympy.Expr:
    """Replace the symbols by the inputs, all at once, and a division by 0 by nan."""
    import sympy

    free = formula.free_symbols
    used = {symbol: value for symbol, value in zip(symbols, inputs, strict=True) if symbol in free}
    if sympy.nan in used.values():
        return sympy.nan
    result = formula.xreplace(used)
    if result.has(sympy.zoo, sympy.oo, -sympy.oo, sympy.nan):
        return sympy.nan
    # Trained weights that are not discrete have nothing to simplify, and it would take sympy hours.
    return result if result.has(sympy.Float) else _simplified(result)


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
