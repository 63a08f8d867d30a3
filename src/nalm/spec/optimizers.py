"""Optimizers by name."""

from typing import Any

from nalm.registry import Registry

__all__ = ["OPTIMIZERS"]


def _check(path: str, found: object) -> None:
    if not all(callable(getattr(found, name, None)) for name in ("from_recipe", "stateful", "state", "update")):
        raise ValueError(f"found {type(found).__name__} at {path}, expected a class like nalm.training.optimizers.Adam")


OPTIMIZERS: Registry[Any] = Registry(
    "optimizer",
    "optimizers",
    {"adam": "nalm.training.optimizers:Adam", "sgd": "nalm.training.optimizers:SGD"},
    _check,
    "mypackage.optimizers:Lion",
)
"""Classes with the methods of :class:`nalm.training.optimizers.Optimizer`, by name."""
