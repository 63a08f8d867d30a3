"""Coefficients of regularizers, and schedules that change them over the iterations of a run.

A new schedule is one class with ``read`` and ``values``, and one line in ``SCHEDULES``. It is then named by a term's
field ``schedule``.
"""

from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple, Protocol, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, StrictFloat, StrictInt, ValidationInfo, model_validator

from nalm.registry import Registry
from nalm.spec.names import STORED

__all__ = ["SCHEDULES", "Exponential", "Growth", "Ramp", "Schedule", "Term"]

Values = npt.NDArray[np.float64]


class Schedule(Protocol):
    """A factor that changes over the iterations."""

    @classmethod
    def read(cls, written: Any) -> "Schedule":
        """Read a schedule from its value in an experiment file.

        Raises:
            ValueError: the value is wrong.
        """

    def values(self, iterations: npt.NDArray[np.int64]) -> Values:
        """Return the factor at each iteration."""


class Ramp(NamedTuple):
    """A factor that rises linearly from 0 to 1 between two iterations: ``ramp: [start, end]``."""

    start: int
    end: int

    @classmethod
    def read(cls, written: Any) -> Self:
        """Read the first and the last iteration of the ramp."""
        start, end = written
        return cls(start, end)

    def values(self, iterations: npt.NDArray[np.int64]) -> Values:
        """Return the factor at each iteration."""
        return np.asarray(np.clip((iterations - self.start) / (self.end - self.start), 0, 1))


class Exponential(NamedTuple):
    r"""A factor that rises to 1 over the iterations i as :math:`1 - e^{-rate · i}`: ``exponential: rate``."""

    rate: float

    @classmethod
    def read(cls, written: Any) -> Self:
        """Read the rate."""
        return cls(written)

    def values(self, iterations: npt.NDArray[np.int64]) -> Values:
        """Return the factor at each iteration."""
        return np.asarray(1 - np.exp(-self.rate * iterations))


class Growth(BaseModel):
    """A value that begins at ``start`` and is multiplied by ``factor`` after every ``every`` iterations, up to ``end``.

    If ``start`` is above ``end``, it is divided by ``factor`` instead. The steps use decimal arithmetic, so 1e-9 grows
    to exactly 1e-7.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    start: StrictFloat = Field(gt=0)
    end: StrictFloat = Field(gt=0)
    factor: StrictFloat = Field(10.0, gt=1)
    every: StrictInt = Field(10_000, ge=1)

    @classmethod
    def read(cls, written: Any) -> Self:
        """Read the fields."""
        return cls.model_validate(written)

    def values(self, iterations: npt.NDArray[np.int64]) -> Values:
        """Return the value at each iteration."""
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


def _check(path: str, found: Any) -> None:
    if not (callable(getattr(found, "read", None)) and callable(getattr(found, "values", None))):
        raise ValueError(f"found {type(found).__name__} at {path}, expected a class with read and values")


SCHEDULES: Registry[type[Schedule]] = Registry(
    "schedule",
    "schedules",
    {"ramp": Ramp, "exponential": Exponential, "growth": Growth},
    _check,
    example="mypackage.schedules:Cosine",
)
"""Schedules by name. Those in ``FIELDS`` are fields of a term; others are named in the term's field ``schedule``."""
FIELDS = ("ramp", "exponential", "growth")


class Term(BaseModel):
    """The coefficient of a regularizer: a constant, multiplied by a schedule if there is one.

    The schedule is ``ramp``, ``exponential``, ``growth``, or ``schedule: {name: its fields}`` for a schedule from
    another package. The coefficient is 0 until the iteration ``after`` has passed, and 0 for runs whose latest
    validation error is not below ``below``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    coefficient: StrictFloat = 1.0
    ramp: tuple[StrictInt, StrictInt] | None = None
    exponential: StrictFloat | None = Field(None, gt=0)
    growth: Growth | None = None
    schedule: dict[str, Any] | None = Field(None, min_length=1, max_length=1)
    after: StrictInt | None = Field(None, ge=0)
    below: StrictFloat | None = Field(None, gt=0)

    @model_validator(mode="after")
    def _check(self, info: ValidationInfo) -> Self:
        given = [name for name in (*FIELDS, "schedule") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"found the schedules {' and '.join(given)}, expected at most one")
        if self.ramp is not None and not 0 <= self.ramp[0] < self.ramp[1]:
            raise ValueError(f"found ramp {list(self.ramp)}, expected [start, end] with 0 <= start < end")
        if self.schedule is not None and info.context != STORED:
            self._schedule()
        return self

    def rescaled(self, scale: float) -> "Term":
        """Return the term with both ends of its ramp multiplied by ``scale``."""
        if self.ramp is None:
            return self
        start, end = (round(scale * when) for when in self.ramp)
        return self.model_copy(update={"ramp": (start, max(end, start + 1))})

    def values(self, iterations: npt.NDArray[np.int64]) -> Values:
        """Return the coefficient at each iteration, for runs that meet the condition ``below``."""
        schedule = self._schedule()
        factor = np.ones(len(iterations)) if schedule is None else schedule.values(iterations)
        if self.after is not None:
            factor = factor * (iterations > self.after)
        return self.coefficient * factor

    def _schedule(self) -> Schedule | None:
        if self.schedule is not None:
            ((name, written),) = self.schedule.items()
            return SCHEDULES[name].read(written)
        for name in FIELDS:
            if (written := getattr(self, name)) is not None:
                return SCHEDULES[name].read(written)
        return None
