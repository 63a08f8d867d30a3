"""A schedule of the learning rate of one's own."""

from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt


class Triangle(NamedTuple):
    """Rises to 1 at an iteration, and falls to 0 at the last."""

    top: int

    @classmethod
    def read(cls, written: Any) -> Self:
        return cls(**written)

    def factors(self, iterations: npt.NDArray[np.int64], last: int) -> npt.NDArray[np.float64]:
        return np.interp(iterations, [0, self.top, last], [0.1, 1.0, 0.0])
