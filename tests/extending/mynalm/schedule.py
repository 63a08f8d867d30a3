"""A schedule of one's own."""

from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt


class Pulse(NamedTuple):
    """Is 1 every so many iterations, and 0 between."""

    every: int

    @classmethod
    def read(cls, written: Any) -> Self:
        return cls(**written)

    def values(self, iterations: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        return np.asarray(iterations % self.every == 0, dtype=np.float64)
