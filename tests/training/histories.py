"""Histories of trainings as arrays."""

import numpy as np
import numpy.typing as npt

from nalm.training.history import History

__all__ = ["errors"]


def errors(history: History) -> npt.NDArray[np.float64]:
    """All errors, ``(evaluations, 3, runs)``."""
    series = (history.validation_errors, history.test_errors, history.criteria)
    return np.stack([np.stack(values) for values in series], axis=1)
