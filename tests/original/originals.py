"""Results as the original writes them."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nalm.experiments.catalog import load_experiment
from nalm.original.files import ORIGINAL_COLUMNS
from nalm.original.write_names import name_form

__all__ = ["RUN", "name", "write_rows"]


def write_rows(path: Path, rows: Sequence[Sequence[Any]], header: Sequence[str] = ORIGINAL_COLUMNS) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def name(experiment: str, variant: str, task: str, seed: int = 0) -> str:
    known = load_experiment(experiment)
    return name_form(known.variants[variant], known.tasks[task]).replace("{seed}", str(seed))


RUN = name("figure-3", "NRU", "U[1,2)")
