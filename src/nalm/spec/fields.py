"""Nested fields by their dotted paths."""

from collections.abc import Mapping
from typing import Any

__all__ = ["leaves"]


def leaves(fields: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """Flatten nested mappings: return their values by dotted path.

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
