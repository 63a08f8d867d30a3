"""The arithmetic expression that a module has learnt."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING

from nalm.modules.base import ArithmeticModule

if TYPE_CHECKING:
    import sympy

__all__ = ["expression"]


def expression(module: ArithmeticModule, names: Sequence[str] | None = None) -> list[sympy.Expr]:
    """The expression that the nearest discrete weights compute, one per output; names default to x1, x2, …

    >>> from nalm.modules import NMRU, RealNPU
    >>> expression(NMRU(10, 1).gold("div", 2, 6)), expression(RealNPU(1, 1).gold("root"))
    ([x3/x7], [sqrt(x1)])
    """
    import sympy

    names = names or [f"x{index + 1}" for index in range(module.in_features)]
    discrete = copy.deepcopy(module).discretize()
    if isinstance(getattr(discrete, "eps", None), float):
        setattr(discrete, "eps", 0.0)  # noqa: B010 (only some modules have it)
    # With integer weights every sign rule of these modules is sgn(x)^w, so what holds for positive inputs is the
    # expression everywhere, and sympy can cancel it. (Other powers, of Real NPUs, are for positive inputs anyway.)
    positive = [sympy.Symbol(name, positive=True) for name in names]
    plain = {symbol: sympy.Symbol(symbol.name) for symbol in positive}
    return [sympy.nsimplify(sympy.simplify(formula)).subs(plain) for formula in discrete.to_sympy(positive)]
