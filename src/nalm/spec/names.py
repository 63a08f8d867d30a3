"""Names in experiment files, and when they are checked."""

from collections.abc import Callable
from typing import Any

from pydantic import ValidationInfo

from nalm.registry import Registry

__all__ = ["STORED", "known"]

STORED = "stored"
"""Validation context for stored specifications. They were checked before, so their modules are not imported."""


def known(registry: Registry[Any]) -> Callable[[str, ValidationInfo], str]:
    """Make a validator of names; those in stored experiments were checked before they were stored."""
    return lambda name, info: name if info.context == STORED else registry.check_name(name)
