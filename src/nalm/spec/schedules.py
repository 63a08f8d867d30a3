"""How coefficients change over the iterations of a run."""

from decimal import Decimal
from functools import lru_cache
from typing import Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, StrictFloat, StrictInt, model_validator

__all__ = ["Growth", "Term"]

Values = npt.NDArray[np.float64]


class Growth(BaseModel):
    """Stepwise growth: ``start``, multiplied by ``factor`` every so many iterations until ``end`` is reached.

    If ``start`` is above ``end`` it is divided instead. The steps are taken in decimal arithmetic, so 1e-9 grows to
    exactly 1e-7.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    start: StrictFloat = Field(gt=0)
    end: StrictFloat = Field(gt=0)
    factor: StrictFloat = Field(10.0, gt=1)
    every: StrictInt = Field(10_000, ge=1)

    def values(self, iterations: npt.NDArray[np.int64]) -> Values:
        """Value at each iteration."""
        steps = iterations // self.every
        return np.array(_growth_steps(self, int(steps.max(initial=0))))[steps]


@lru_cache
def _growth_steps(growth: Growth, steps: int) -> list[float]:
    value, end, factor = (Decimal(repr(number)) for number in (growth.start, growth.end, growth.factor))
    values = [float(value)]
    for _ in range(steps):
        if value < end:
            value *= factor
        elif value > end:
            value /= factor
        values.append(float(value))
    return values


class Term(BaseModel):
    r"""A regularizer's coefficient: constant, or times a schedule.

    ``ramp: [start, end]`` rises linearly from 0 to 1; ``exponential: rate`` is :math:`1 - e^{-rate · i}`;
    ``growth`` is stepwise. It is 0 up to the iteration ``after``, and for a run whose validation error, when it was
    last measured, was not below ``below``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    coefficient: StrictFloat = 1.0
    ramp: tuple[StrictInt, StrictInt] | None = None
    exponential: StrictFloat | None = Field(None, gt=0)
    growth: Growth | None = None
    after: StrictInt | None = Field(None, ge=0)
    below: StrictFloat | None = Field(None, gt=0)

    @model_validator(mode="after")
    def _check(self) -> Self:
        given = [name for name in ("ramp", "exponential", "growth") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"found the schedules {' and '.join(given)}, expected at most one")
        if self.ramp is not None and not 0 <= self.ramp[0] < self.ramp[1]:
            raise ValueError(f"found ramp {list(self.ramp)}, expected [start, end] with 0 <= start < end")
        return self

    def rescaled(self, scale: float) -> "Term":
        """Return the term with a ramp that takes so many times as long."""
        if self.ramp is None:
            return self
        start, end = (round(scale * when) for when in self.ramp)
        return self.model_copy(update={"ramp": (start, max(end, start + 1))})

    def values(self, iterations: npt.NDArray[np.int64]) -> Values:
        """Coefficient at each iteration, of runs whose validation error is below ``below``."""
        if self.ramp is not None:
            start, end = self.ramp
            schedule = np.clip((iterations - start) / (end - start), 0, 1)
        elif self.exponential is not None:
            schedule = 1 - np.exp(-self.exponential * iterations)
        elif self.growth is not None:
            schedule = self.growth.values(iterations)
        else:
            schedule = np.ones(len(iterations))
        if self.after is not None:
            schedule = schedule * (iterations > self.after)
        return self.coefficient * schedule
