"""A distribution of one's own."""

from typing import ClassVar

import numpy as np
import torch
from pydantic import StrictFloat
from torch import Tensor

from nalm.spec.ranges import Floats, Range


class Triangular(Range):
    """The mean of two numbers that are uniform on an interval: ``{triangular: {low: 0, high: 2}}``."""

    kind = "triangular"
    form = "{triangular: {low: …, high: …}}"
    layers: ClassVar[int] = 2

    low: StrictFloat
    high: StrictFloat

    @property
    def label(self) -> str:
        return f"T[{self.low:g},{self.high:g})"

    def draw(self, rng: np.random.RandomState, batches: int, rows: int, columns: int) -> Floats:
        return rng.random_sample((batches, 2, rows, columns)).swapaxes(2, 3)

    def corners(self, columns: int) -> tuple[Tensor, ...]:
        ends = torch.tensor([self.low, self.high - self.low], dtype=torch.float64).reshape(2, 1, 1)
        return (ends,)

    @staticmethod
    def place(drawn: Tensor, *corners: Tensor) -> Tensor:
        (ends,) = corners
        return ends[..., 0, :, :] + ends[..., 1, :, :] * drawn.mean(-3)
