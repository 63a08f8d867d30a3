"""The operations that are learnt."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["OPERATIONS", "Operation"]


@dataclass(frozen=True)
class Operation:
    """A function of operands; operands beyond those it uses are ignored.

    Arguments:
        operands: the fewest operands it needs.
        apply: operands of one shape to the result of that shape.
        any_number: whether it uses all operands there are.
    """

    operands: int
    apply: Callable[[Sequence[Tensor]], Tensor]
    any_number: bool = False


def _product(operands: Sequence[Tensor]) -> Tensor:
    first, *rest = operands
    for operand in rest:
        first = first * operand
    return first


def _sum(operands: Sequence[Tensor]) -> Tensor:
    first, *rest = operands
    for operand in rest:
        first = first + operand
    return first


OPERATIONS: dict[str, Operation] = {
    "add": Operation(1, _sum, any_number=True),
    "sub": Operation(2, lambda operands: operands[0] - operands[1]),
    "mul": Operation(1, _product, any_number=True),
    "div": Operation(2, lambda operands: operands[0] / operands[1]),
    "squared": Operation(1, lambda operands: operands[0] * operands[0]),
    "root": Operation(1, lambda operands: torch.sqrt(operands[0])),
    "reciprocal": Operation(1, lambda operands: 1 / operands[0]),
}
"""Every operation, by name."""
