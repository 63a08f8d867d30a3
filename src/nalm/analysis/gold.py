"""Test errors of gold weights when dividing by small numbers, beside the published ones."""

import csv
from importlib import resources
from typing import Any

import pandas as pd

from nalm.modules import NMRU, NRU, ArithmeticModule, RealNPU
from nalm.tasks.subsets.task import SubsetTask
from nalm.tasks.subsets.thresholds import gold_error

__all__ = ["gold_errors"]

TASKS: dict[str, dict[str, Any]] = {
    "easy": {"operation": "reciprocal", "input_size": 1, "subset_ratio": 1, "subsets": 1},
    "medium": {"operation": "reciprocal"},
    "hard": {"operation": "div"},
}
"""1/a of one input, 1/a of two, a/b."""
EXPONENTS = range(-8, 1)
"""Inputs are from U[0, 10^exponent)."""


def gold_errors() -> pd.DataFrame:
    """Test errors of the division modules with gold weights, in float32: the numbers behind the paper's Figure 5.

    They are the least that training can reach. Inputs are rounded to float32 after the targets are computed, so no
    error is 0; that of the Real NPU is as large as it is because of the constant that it adds to every magnitude.

    References:
        Learning Division with Neural Arithmetic Logic Modules (Mistry, Farrahi & Hare, 2021),
        https://arxiv.org/abs/2110.05177

    Returns:
        A row per ``module``, ``task`` (``easy``: 1/a of one input, ``medium``: 1/a of two, ``hard``: a/b) and ``range``
        of the inputs, with the ``error``, the ``published`` one, and the ``relative_difference`` of the two.
    """
    published = _published()
    rows = []
    for module in ("RealNPU", "RealNPU (eps=0)", "NRU", "NMRU"):
        for task, fields in TASKS.items():
            for exponent in EXPONENTS:
                high = float(f"1e{exponent}")
                learnt = SubsetTask.model_validate(fields | {"train": [0, high], "test": [0, high]})
                rows.append(
                    {
                        "module": module,
                        "task": task,
                        "range": f"U[0,1e{exponent:+d})",
                        "error": gold_error(learnt, _module(module, learnt.input_size)),
                        "published": published[module, task, high],
                    }
                )
    frame = pd.DataFrame(rows)
    return frame.assign(relative_difference=frame["error"] / frame["published"] - 1)


def _module(name: str, in_features: int) -> ArithmeticModule:
    match name:
        case "NRU":
            return NRU(in_features, 1)
        case "NMRU":
            return NMRU(in_features, 1)
        case "RealNPU":
            return RealNPU(in_features, 1)
        case _:
            return RealNPU(in_features, 1, eps=0.0)


def _published() -> dict[tuple[str, str, float], float]:
    """Errors by module, task and the upper end of the range."""
    file = resources.files("nalm.analysis") / "reference" / "gold-errors.csv"
    with file.open(encoding="utf-8") as text:
        rows = csv.DictReader(line for line in text if not line.startswith("#"))
        return {(row["module"], row["task"], float(row["high"])): float(row["error"]) for row in rows}
