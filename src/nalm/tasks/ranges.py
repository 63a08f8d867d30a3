"""Ranges that inputs are sampled from, and how uniform draws become inputs."""

from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import torch
from pydantic import BaseModel, ConfigDict, model_serializer, model_validator
from torch import Tensor

__all__ = ["Range", "place"]

Floats = npt.NDArray[np.float64]


class Range(BaseModel):
    """Where every input is sampled: one interval, a union of two (a coin decides), or one for each half of the input.

    Written as ``[1, 2]``, ``{union: [[-6, -2], [2, 6]]}`` or ``{halves: [[-2, -0.1], [0.1, 2]]}``; intervals are
    half-open, [low, high).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["interval", "union", "halves"]
    intervals: tuple[tuple[float, float], ...]

    @model_validator(mode="before")
    @classmethod
    def _parse(cls, value: Any) -> Any:
        if isinstance(value, dict) and "kind" in value:
            return value
        if isinstance(value, dict) and len(value) == 1 and next(iter(value)) in ("union", "halves"):
            ((kind, pair),) = value.items()
            if isinstance(pair, list | tuple) and len(pair) == 2 and all(map(_is_pair, pair)):
                return {"kind": kind, "intervals": tuple(tuple(interval) for interval in pair)}
        elif _is_pair(value):
            return {"kind": "interval", "intervals": (tuple(value),)}
        raise ValueError("expected [low, high], {union: [[low, high], [low, high]]} or {halves: [[…], […]]}")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(self.intervals) != (1 if self.kind == "interval" else 2):
            raise ValueError(f"found {len(self.intervals)} intervals, expected {1 if self.kind == 'interval' else 2}")
        for low, high in self.intervals:
            if not (np.isfinite(low) and np.isfinite(high) and low < high):
                raise ValueError(f"the range [{low:g}, {high:g}] is empty, expected low < high, both finite")
        return self

    @model_serializer
    def _dump(self) -> Any:
        intervals = [list(interval) for interval in self.intervals]
        return intervals[0] if self.kind == "interval" else {self.kind: intervals}

    @property
    def label(self) -> str:
        """The paper's name of the range, such as ``U[-6,-2) & U[2,6)``."""
        return " & ".join(f"U[{low:g},{high:g})" for low, high in self.intervals)

    @property
    def layers(self) -> int:
        """How many numbers are drawn for an input: 1, or 3 for a union (both candidates and the coin)."""
        return 3 if self.kind == "union" else 1

    def draw(self, rng: np.random.RandomState, batches: int, rows: int, columns: int) -> Floats:
        """Draws the numbers of successive batches in the original's order, ``(batches, layers, columns, rows)``."""
        if self.kind == "interval":
            return rng.random_sample((batches, 1, rows, columns)).swapaxes(2, 3)
        drawn = np.empty((batches, self.layers, rows, columns))
        for batch in drawn:
            first, second = rng.random_sample((2, rows, columns))
            if self.kind == "halves":
                half = columns // 2
                batch[0] = np.concatenate([first[:, :half], second[:, half:]], axis=1)
            else:
                batch[:] = first, second, rng.randint(2, size=(rows, columns))
        return drawn.swapaxes(2, 3)

    def corners(self, columns: int) -> tuple[Tensor, Tensor]:
        """Low end and width of the intervals for every input, each ``(1 or 2, columns, 1)``, float64."""
        low, high = torch.tensor(self.intervals, dtype=torch.float64).T
        if self.kind == "halves":
            column_half = (torch.arange(columns) >= columns // 2).long()
            low, high = low[column_half][None], high[column_half][None]
        else:
            low, high = low[:, None].expand(-1, columns), high[:, None].expand(-1, columns)
        return low.unsqueeze(-1).contiguous(), (high - low).unsqueeze(-1).contiguous()


def _is_pair(value: Any) -> bool:
    return (
        isinstance(value, list | tuple)
        and len(value) == 2
        and all(isinstance(end, int | float) and not isinstance(end, bool) for end in value)
    )


def place(drawn: Tensor, low: Tensor, width: Tensor) -> Tensor:
    """Maps draws to inputs: :math:`low + width · u`, in float64 and in this order, as the original does.

    Shapes: ``drawn (*, layers, columns, rows)``, corners ``(*, 1 or 2, columns, 1)``, to ``(*, columns, rows)``.
    """
    first = low[..., 0, :, :] + width[..., 0, :, :] * drawn[..., 0, :, :]
    if drawn.shape[-3] == 1:
        return first
    second = low[..., 1, :, :] + width[..., 1, :, :] * drawn[..., 1, :, :]
    return torch.where(drawn[..., 2, :, :] != 0, first, second)
