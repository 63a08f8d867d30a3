"""Training criteria by name."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from nalm.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["CRITERIA", "Criterion"]

Criterion = Callable[["Tensor", "Tensor", "Tensor"], "Tensor"]
"""A loss: maps predictions and targets ``(rows, 1)`` and the weight of PCC (1, later 0) to a scalar."""


def _check(path: str, found: object) -> None:
    if not callable(found):
        raise ValueError(f"found {type(found).__name__} at {path}, expected a function")


CRITERIA: Registry[Criterion] = Registry(
    "criterion",
    "criteria",
    {
        name: f"nalm.training.loss:{name}"
        for name in ("mse", "pcc", "pcc_then_mse", "mape", "log_magnitude", "symlog", "huber")
    },
    _check,
    "mypackage.criteria:my_criterion",
)
"""Criteria by name."""
