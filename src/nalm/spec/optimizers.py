"""Optimizers by name."""

from typing import Any

from nalm.registry import Registry

__all__ = ["OPTIMIZERS"]

OPTIMIZERS: Registry[Any] = Registry(
    "optimizer",
    "optimizers",
    {"adam": "nalm.training.optimizers:Adam", "sgd": "nalm.training.optimizers:SGD"},
    example="mypackage.optimizers:Lion",
)
"""Classes with the methods of :class:`nalm.training.optimizers.Optimizer`, by name."""
