"""The arithmetic operations: the one table that tasks, gold weights and other packages use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add, mul
from typing import TYPE_CHECKING, Any, Literal

from nalm.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["OPERATIONS", "Operation"]


@dataclass(frozen=True)
class Operation:
    r"""An operation on operands :math:`a_i`, which is a sum or a product with constants :math:`c_i`.

    .. math:: \sum_i c_i a_i \quad (\text{sum}), \qquad \prod_i a_i^{c_i} \quad (\text{product})

    Arguments:
        kind: ``sum`` or ``product``.
        coefficients: the constants :math:`c_i`, one per operand: coefficients of a sum, exponents of a product.
        apply: computes the operation on operands of one shape. Operands after the last one needed are ignored.
        any_number: whether it takes all operands there are, with the constant 1 each.
    """

    kind: Literal["sum", "product"]
    coefficients: tuple[float, ...]
    apply: Callable[[Sequence[Tensor]], Tensor]
    any_number: bool = False

    @property
    def operands(self) -> int:
        """Return the smallest number of operands."""
        return 1 if self.any_number else len(self.coefficients)


def _check(path: str, found: Any) -> None:
    if not isinstance(found, Operation):
        raise ValueError(f"{path!r} is a {type(found).__name__}, expected an Operation of nalm.modules.operations")


OPERATIONS: Registry[Operation] = Registry(
    "operation",
    "operations",
    {
        "add": Operation("sum", (1, 1), lambda operands: reduce(add, operands), any_number=True),
        "sub": Operation("sum", (1, -1), lambda operands: operands[0] - operands[1]),
        "mul": Operation("product", (1, 1), lambda operands: reduce(mul, operands), any_number=True),
        "div": Operation("product", (1, -1), lambda operands: operands[0] / operands[1]),
        "squared": Operation("product", (2,), lambda operands: operands[0] * operands[0]),
        "root": Operation("product", (0.5,), lambda operands: operands[0].sqrt()),
        "reciprocal": Operation("product", (-1,), lambda operands: 1 / operands[0]),
    },
    _check,
    "mypackage.operations:MY_OPERATION",
)
"""Every operation by name."""
