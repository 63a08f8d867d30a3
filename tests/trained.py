"""Trained runs with other values than those that training gave them."""

from dataclasses import replace
from typing import Any

import numpy as np

from nalm.analysis.results import TrainedRun
from nalm.store.columns import EVALUATION_COLUMNS


def changed(run: TrainedRun, evaluations: int | None = None, **fields: Any) -> TrainedRun:
    """Return a run with only its first evaluations, and with some fields replaced; lists become arrays."""
    kept = {column.field: getattr(run, column.field)[:evaluations] for column in EVALUATION_COLUMNS}
    given = {name: np.array(value, np.float64) if isinstance(value, list) else value for name, value in fields.items()}
    return replace(run, **kept | given)


def without_parameters(run: TrainedRun) -> TrainedRun:
    """Return a run whose parameters were not kept."""
    return replace(run, flat_parameters={})
