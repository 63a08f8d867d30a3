"""Flatten nested fields."""

from collections.abc import Mapping
from typing import Any

__all__ = ["leaves"]


def leaves(fields: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """Return the values of nested mappings by their dotted paths.

    >>> leaves({"a": 1, "b": {"c": [2, 3]}})
    {'a': 1, 'b.c': [2, 3]}
    """
    found: dict[str, Any] = {}
    for name, value in fields.items():
        if isinstance(value, Mapping):
            found |= leaves(value, f"{path}{name}.")
        else:
            found[path + name] = value
    return found
