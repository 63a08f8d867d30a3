"""Formulas of modules: the forward pass runs on symbols instead of numbers."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import sympy
import torch
from torch import nn
from torch.fx import GraphModule, Interpreter
from torch.fx.experimental.proxy_tensor import make_fx

from nalm.modules.signs import short_form

__all__ = ["formulas"]

Symbols = np.ndarray[Any, np.dtype[np.object_]]


def formulas(module: nn.Module, names: Sequence[str | sympy.Symbol]) -> list[sympy.Expr]:
    """Return the formula of each output of a module in evaluation mode, in its named inputs.

    The forward pass is recorded as a graph of torch's basic operations. The graph then runs on arrays of symbols, so
    that the code for numbers also gives the formula.

    Raises:
        ValueError: the forward pass uses an operation that has no formula here.
    """
    symbols = [sympy.Symbol(name, real=True) if isinstance(name, str) else name for name in names]
    copied = copy.deepcopy(module).eval().double().cpu().requires_grad_(False)
    graph = make_fx(copied)(torch.ones(len(symbols), dtype=torch.float64))
    inputs = np.empty(len(symbols), dtype=object)
    inputs[:] = symbols
    with np.errstate(all="ignore"):  # numpy mistakes overflows inside sympy for its own
        return [short_form(formula) for formula in _OnSymbols(graph).run(inputs).flat]


class _OnSymbols(Interpreter):
    """An interpreter that runs operations on numbers with torch, and operations on symbols with the table below."""

    def __init__(self, graph: GraphModule) -> None:
        super().__init__(graph)
        self.extra_traceback = False

    def call_function(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Compute one operation."""
        if not any(isinstance(value, np.ndarray) for value in _flat(args)):
            return super().call_function(target, args, kwargs)
        name = target.overloadpacket.__name__ if hasattr(target, "overloadpacket") else target.__name__
        if name not in _OPERATIONS:
            raise ValueError(f"found the operation {name}, which has no formula here")
        # Keyword arguments, such as dtypes and layouts, do not matter for symbols.
        return _OPERATIONS[name](*(_numbers(value) for value in args))


def _flat(values: Any) -> list[Any]:
    if isinstance(values, (list, tuple)):
        return [item for value in values for item in _flat(value)]
    return [values]


def _numbers(value: Any) -> Any:
    """Convert a tensor to an array of exact integers and of floating-point numbers."""
    if isinstance(value, (list, tuple)):
        return [_numbers(item) for item in value]
    if isinstance(value, torch.Tensor):
        result = np.empty(value.shape, dtype=object)
        for index in np.ndindex(result.shape):
            result[index] = _number(value[index].item())
        return result
    return _number(value) if isinstance(value, float) else value


def _number(value: float | int | bool) -> Any:
    if isinstance(value, float) and np.isfinite(value) and value == int(value):
        return sympy.Integer(int(value))
    return sympy.sympify(value)


def _each(function: Callable[..., Any]) -> Callable[..., Symbols]:
    """Vectorize a function of numbers."""
    vectorized = np.frompyfunc(lambda *values: function(*map(sympy.sympify, values)), function.__code__.co_argcount, 1)

    def apply(*arrays: Any) -> Symbols:
        return np.asarray(vectorized(*arrays[: vectorized.nin]), dtype=object)

    return apply


def _reduce_sum(x: Symbols, dims: Any = None, keepdim: bool = False) -> Symbols:
    axes = None if dims is None else tuple(dims) if isinstance(dims, list) else dims
    return np.asarray(np.sum(x, axis=axes, keepdims=keepdim), dtype=object)


def _clamp(x: Symbols, low: Any = None, high: Any = None) -> Symbols:
    def one(value: Any) -> Any:
        value = value if low is None else sympy.Max(value, low)
        return value if high is None or high == sympy.oo else sympy.Min(value, high)

    return _each(one)(x)


def _choose(condition: Any, yes: Any, no: Any) -> Symbols:
    return _each(lambda c, a, b: sympy.Piecewise((a, c), (b, True)))(condition, yes, no)


def _as_number(value: Any) -> Any:
    """Convert truth values to 0 and 1, as torch does."""
    is_truth = isinstance(value, sympy.logic.boolalg.Boolean) and not value.is_Symbol
    return sympy.Piecewise((1, value), (0, True)) if is_truth else value


def _squeeze(x: Symbols, dim: Any) -> Symbols:
    return np.squeeze(x, dim if isinstance(dim, int) else tuple(dim))


def _equal(a: Any, b: Any) -> Any:
    """Compare. A symbol stands for a general number, not for 0 or infinity, which modules treat separately."""
    if a.is_number and b.is_number:
        return sympy.Eq(a, b)
    if b in (0, sympy.oo):
        return sympy.false
    raise ValueError(f"found the comparison with {b}, which has no formula here")


def _softplus(x: Symbols, beta: Any = 1, threshold: Any = None) -> Symbols:
    # Above the threshold torch returns x, which is the same to the last digit but a few.
    return _each(lambda a: sympy.log(1 + sympy.exp(beta * a)) / beta)(x)


def _elu(x: Symbols, alpha: Any = 1, scale: Any = 1, input_scale: Any = 1) -> Symbols:
    def one(a: Any) -> Any:
        return scale * (sympy.Max(a, 0) + alpha * (sympy.exp(sympy.Min(a * input_scale, 0)) - 1))

    return _each(one)(x)


def _softmax(x: Symbols, dim: int, _: Any) -> Symbols:
    powers = _OPERATIONS["exp"](x)
    return np.asarray(powers / np.sum(powers, axis=dim, keepdims=True), dtype=object)


def _sigmoid(a: Any) -> Any:
    if a.is_number:  # numerically: the exponential of a saturated logit has hundreds of digits
        return _number(torch.sigmoid(torch.tensor(float(a), dtype=torch.float64)).item())
    return 1 / (1 + sympy.exp(-a))


_OPERATIONS: dict[str, Callable[..., Any]] = {
    "add": _each(lambda a, b: a + b),
    "sub": _each(lambda a, b: a - b),
    "rsub": _each(lambda a, b: b - a),
    "mul": _each(lambda a, b: _as_number(a) * _as_number(b)),
    "div": _each(lambda a, b: a / b),
    "reciprocal": _each(lambda a: 1 / a),
    "neg": _each(lambda a: -a),
    "pow": _each(lambda a, b: a**b),
    "abs": _each(lambda a: sympy.Abs(a)),
    "sign": _each(lambda a: sympy.sign(a)),
    "exp": _each(lambda a: sympy.exp(a)),
    "log": _each(lambda a: sympy.log(a)),
    "sqrt": _each(lambda a: sympy.sqrt(a)),
    "cos": _each(lambda a: sympy.cos(a)),
    "sin": _each(lambda a: sympy.sin(a)),
    "sinh": _each(lambda a: sympy.sinh(a)),
    "tanh": _each(lambda a: sympy.tanh(a)),
    "sigmoid": _each(_sigmoid),
    "softplus": _softplus,
    "relu": _each(lambda a: sympy.Max(a, 0)),
    "leaky_relu": lambda x, slope=0.01: _each(lambda a: sympy.Max(a, 0) + slope * sympy.Min(a, 0))(x),
    "_prelu_kernel": _each(lambda a, slope: sympy.Max(a, 0) + slope * sympy.Min(a, 0)),
    "elu": _elu,
    "celu": lambda x, alpha=1: _elu(x, alpha, 1, 1 / alpha),
    "gelu": _each(lambda a: a * (1 + sympy.erf(a / sympy.sqrt(2))) / 2),
    "silu": _each(lambda a: a * _sigmoid(a)),
    "hardtanh": lambda x, low=-1, high=1: _clamp(x, low, high),
    "mish": _each(lambda a: a * sympy.tanh(sympy.log(1 + sympy.exp(a)))),
    "hardswish": _each(lambda a: a * sympy.Min(sympy.Max(a + 3, 0), 6) / 6),
    "hardsigmoid": _each(lambda a: sympy.Min(sympy.Max(a + 3, 0), 6) / 6),
    "log_sigmoid_forward": lambda x: [_each(lambda a: sympy.log(_sigmoid(a)))(x), x],
    "_softmax": _softmax,
    "lt": _each(lambda a, b: sympy.Lt(a, b)),
    "gt": _each(lambda a, b: sympy.Gt(a, b)),
    "le": _each(lambda a, b: sympy.Le(a, b)),
    "ge": _each(lambda a, b: sympy.Ge(a, b)),
    "eq": _each(_equal),
    "bitwise_or": _each(lambda a, b: a | b),
    "where": _choose,
    "clamp": _clamp,
    "clamp_min": _clamp,
    "sum": _reduce_sum,
    "prod": lambda x, dim, keepdim=False: np.asarray(np.prod(x, axis=dim, keepdims=keepdim), dtype=object),
    "mm": lambda a, b: a @ b,
    "mv": lambda a, b: a @ b,
    "dot": lambda a, b: np.asarray(a @ b, dtype=object),
    "addmm": lambda c, a, b: c + a @ b,
    "addmv": lambda c, a, b: c + a @ b,
    "t": lambda x: x.T,
    "transpose": lambda x, first, second: np.swapaxes(x, first, second),
    "unsqueeze": lambda x, dim: np.expand_dims(x, dim),
    "squeeze_": _squeeze,
    "squeeze": _squeeze,
    "view": lambda x, shape: x.reshape(shape),
    "_unsafe_view": lambda x, shape: x.reshape(shape),
    "expand": lambda x, shape, *_: np.broadcast_to(
        x, [n if m == -1 else m for n, m in zip(x.shape, shape, strict=True)]
    ),
    "select": lambda x, dim, index: np.asarray(np.take(x, index, axis=dim), dtype=object),
    "slice": lambda x, dim=0, start=None, end=None, step=1: np.take(
        x, range(*slice(start, end, step).indices(x.shape[dim])), axis=dim
    ),
    "unbind": lambda x, dim=0: [np.asarray(part, dtype=object) for part in np.moveaxis(x, dim, 0)],
    "cat": lambda parts, dim=0: np.concatenate(parts, axis=dim),
    "getitem": lambda parts, index: parts[index],
    "_to_copy": _each(_as_number),
    "detach": lambda x: x,
    "alias": lambda x: x,
    "clone": lambda x: x,
}
"""Torch's basic operations on arrays of symbols."""
