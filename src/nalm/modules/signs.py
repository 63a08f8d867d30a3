"""Short forms of formulas: signs that are computed apart from magnitudes join them again."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any

import sympy

__all__ = ["short_form"]

_ROUNDED = 1e-12
"""Allowed distance of a multiple of pi from the nearest integer: pi is a floating-point number in modules."""


_Flip = sympy.Function("flip")
"""-1 for negative arguments, else 1."""


def short_form(formula: sympy.Expr) -> sympy.Expr:
    r"""Write :math:`|x|^n \mathrm{sgn}(x)` and :math:`|x|^n \cos(\pi m [x < 0])` as powers of x, for integers n and m.

    Modules compute signs so. The result is equal for every x other than 0.

    >>> x = sympy.Symbol("x", real=True)
    >>> short_form(sympy.sign(x) / sympy.Abs(x))
    1/x
    """
    if not formula.has(sympy.cos, sympy.sign):
        return formula
    formula = formula.replace(lambda part: isinstance(part, sympy.cos), _sign_of_cosine)
    formula = formula.replace(lambda part: isinstance(part, sympy.sign), _sign_of_flips)
    formula = formula.replace(lambda part: isinstance(part, sympy.Mul), _joined)
    return formula.replace(_Flip, lambda x: sympy.Piecewise((-1, x < 0), (1, True)))


def _sign_of_cosine(cosine: sympy.Expr) -> sympy.Expr:
    """Return the cosine of a sum of multiples of pi that depend on signs as a product of flips, where it is one."""
    flips: dict[sympy.Expr, int] = defaultdict(int)
    for term in sympy.Add.make_args(cosine.args[0]):
        multiple, step = term.as_coeff_Mul()
        if not (step := _step(step)):
            return cosine
        x, height = step
        turns = float(multiple * height) / math.pi
        if abs(turns - round(turns)) > _ROUNDED * max(1, abs(turns)):
            return cosine
        flips[x] += round(turns)
    return sympy.Mul(*(_Flip(x) for x, turns in flips.items() if turns % 2))


def _sign_of_flips(sign: sympy.Expr) -> sympy.Expr:
    """Return a product of flips for its sign."""
    flips = sympy.Mul.make_args(sign.args[0])
    return sign.args[0] if all(isinstance(factor, _Flip) for factor in flips) else sign


def _step(term: sympy.Expr) -> tuple[sympy.Expr, sympy.Expr] | None:
    """Return x and c, if the term is c for negative x, else 0. The reciprocal of x has the same sign."""
    if not isinstance(term, sympy.Piecewise) or len(term.args) != 2:
        return None
    (height, condition), (rest, otherwise) = term.args
    if rest != 0 or otherwise is not sympy.true or not height.is_number:
        return None
    if not isinstance(condition, sympy.StrictLessThan) or condition.rhs != 0:
        return None
    x = condition.lhs
    return (1 / x if isinstance(x, sympy.Pow) and x.exp == -1 else x), height


def _joined(product: sympy.Mul) -> sympy.Expr:
    """Multiply each sign with the odd power of its magnitude, if the product has it."""
    signs = [factor for factor in product.args if isinstance(factor, (_Flip, sympy.sign))]
    powers: dict[Any, Any] = product.as_powers_dict()
    for sign in signs:
        x = sign.args[0]
        exponent = powers.get(sympy.Abs(x), sympy.Integer(0))
        if exponent.is_Integer and exponent % 2:
            product = product / sign / sympy.Abs(x) ** exponent * x**exponent
    return product
