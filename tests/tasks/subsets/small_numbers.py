"""Division by small numbers, and modules that are born with the weights that solve it."""

from typing import Any

SMALL_NUMBERS: dict[str, dict[str, Any]] = {
    "easy": {"operation": "reciprocal", "input_size": 1, "subset_ratio": 1, "subsets": 1},
    "medium": {"operation": "reciprocal"},
    "hard": {},
}
"""Fields of the paper's three tasks, by name; those of the hard one are a task's defaults."""

BORN_GOLD = """
from nalm.modules import {module}

class Born({module}):
    def reset_parameters(self):
        super().reset_parameters()
        self.gold("{operation}")
"""
"""Source of a module's class whose initial weights are its gold weights."""
