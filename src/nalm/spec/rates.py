"""Schedules of the learning rate: a factor of the recipe's rate that changes over the iterations of a run.

They are those of torch.optim.lr_scheduler with a step after every update, in closed form, so that a resumed run needs
no state of theirs. A new one is one class with ``read`` and ``factors``, and one line in ``RATE_SCHEDULES``.
"""

from typing import Annotated, Any, Literal, Protocol, Self

import numpy as np
import numpy.typing as npt
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictFloat,
    StrictInt,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from nalm.registry import Registry, did_you_mean
from nalm.spec.document import sentence
from nalm.spec.names import STORED

__all__ = ["RATE_SCHEDULES", "RateSchedule", "ScheduleField", "rate_factors"]

Factors = npt.NDArray[np.float64]
Iterations = npt.NDArray[np.int64]
Positive = Annotated[StrictFloat, Field(gt=0)]
NotNegative = Annotated[StrictFloat, Field(ge=0)]
Share = Annotated[StrictFloat, Field(gt=0, le=1)]
Count = Annotated[StrictInt, Field(ge=1)]


class RateSchedule(Protocol):
    """A factor of the learning rate."""

    @classmethod
    def read(cls, written: Any) -> "RateSchedule":
        """Read a schedule from its fields in an experiment file.

        Raises:
            ValueError: a field is wrong.
        """

    def factors(self, iterations: Iterations, last: int) -> Factors:
        """Return the factor at each iteration of a run whose last iteration is ``last``."""


class _Fields(BaseModel):
    """A schedule whose fields pydantic checks."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def read(cls, written: Any) -> Self:
        """Read the fields."""
        known = sorted(cls.model_fields)
        unknown = [field for field in written if field not in known] if isinstance(written, dict) else []
        if unknown:
            hint = did_you_mean(str(unknown[0]), known)
            raise ValueError(f"found unknown field {unknown[0]!r}{hint}, expected one of: {', '.join(known)}")
        return cls.model_validate({} if written is None else written)


class Cosine(_Fields):
    """Half a cosine from 1 to ``end`` over ``over`` iterations, or over the run; ``end`` from then on."""

    over: Count | None = None
    end: NotNegative = 0.0

    def factors(self, iterations: Iterations, last: int) -> Factors:
        """Return the factor at each iteration."""
        share = np.minimum(iterations / (self.over or max(last, 1)), 1.0)
        return self.end + (1 - self.end) * (1 + np.cos(np.pi * share)) / 2


class Step(_Fields):
    """Multiplied by ``factor`` after every ``every`` iterations."""

    every: Count
    factor: Positive = 0.1

    def factors(self, iterations: Iterations, last: int) -> Factors:
        """Return the factor at each iteration."""
        return np.power(self.factor, (iterations // self.every).astype(np.float64))


class Steps(_Fields):
    """Multiplied by ``factor`` at each iteration of ``at``."""

    at: list[Count] = Field(min_length=1)
    factor: Positive = 0.1

    def factors(self, iterations: Iterations, last: int) -> Factors:
        """Return the factor at each iteration."""
        passed = np.searchsorted(np.sort(np.array(self.at)), iterations, side="right")
        return np.power(self.factor, passed.astype(np.float64))


class Decay(_Fields):
    """Multiplied by ``factor`` after every iteration."""

    factor: Share

    def factors(self, iterations: Iterations, last: int) -> Factors:
        """Return the factor at each iteration."""
        return np.power(self.factor, iterations.astype(np.float64))


class Linear(_Fields):
    """A line from ``start`` to ``end`` over ``over`` iterations, or over the run; ``end`` from then on."""

    start: Positive = 1.0
    end: NotNegative = 0.0
    over: Count | None = None

    def factors(self, iterations: Iterations, last: int) -> Factors:
        """Return the factor at each iteration."""
        share = np.minimum(iterations / (self.over or max(last, 1)), 1.0)
        return self.start + (self.end - self.start) * share


class WarmUp(_Fields):
    """A line from ``start`` to 1 over ``over`` iterations, then 1, or the schedule ``then``, which begins there."""

    over: Count
    start: Positive = 0.01
    then: dict[str, Any] | str | None = None

    @field_validator("then", mode="before")
    @classmethod
    def _read_then(cls, written: Any) -> Any:
        read = None if written is None else _normal(written)
        if isinstance(read, dict) and "warm_up" in read:
            raise ValueError("found warm_up within warm_up, expected another schedule")
        return read

    def factors(self, iterations: Iterations, last: int) -> Factors:
        """Return the factor at each iteration."""
        rising = self.start + (1 - self.start) * np.minimum(iterations / self.over, 1.0)
        if self.then is None:
            return rising
        later = _schedule(self.then).factors(np.maximum(iterations - self.over, 0), max(last - self.over, 1))
        return np.where(iterations < self.over, rising, later)


class OneCycle(_Fields):
    """Up from 1 / ``first`` to 1 during the share ``rise`` of the run, then down to 1 / (``first`` · ``final``).

    It is ``OneCycleLR`` of torch with the recipe's learning rate as ``max_lr`` and the number of updates as
    ``total_steps``: ``rise`` is its ``pct_start``, ``first`` its ``div_factor`` and ``final`` its ``final_div_factor``.
    Momentum stays what it is.
    """

    rise: Annotated[StrictFloat, Field(gt=0, lt=1)] = 0.3
    first: Positive = 25.0
    final: Positive = 1e4
    anneal: Literal["cos", "linear"] = "cos"

    def factors(self, iterations: Iterations, last: int) -> Factors:
        """Return the factor at each iteration."""
        low, lowest = 1 / self.first, 1 / (self.first * self.final)
        top = self.rise * (last + 1) - 1
        up = np.clip(iterations / top, 0, 1) if top > 0 else np.ones(len(iterations))
        down = np.clip((iterations - top) / (last - top), 0, 1)
        if self.anneal == "cos":
            up, down = ((1 - np.cos(np.pi * share)) / 2 for share in (up, down))
        return np.where(iterations <= top, low + (1 - low) * up, 1 + (lowest - 1) * down)


def _check_class(path: str, found: Any) -> None:
    if not (callable(getattr(found, "read", None)) and callable(getattr(found, "factors", None))):
        raise ValueError(f"found {type(found).__name__} at {path}, expected a class with read and factors")


RATE_SCHEDULES: Registry[type[RateSchedule]] = Registry(
    "schedule of learning rates",
    "rate_schedules",
    {
        "cosine": Cosine,
        "step": Step,
        "steps": Steps,
        "decay": Decay,
        "linear": Linear,
        "warm_up": WarmUp,
        "one_cycle": OneCycle,
    },
    _check_class,
    example="mypackage.rates:Triangle",
)
"""Schedules of the learning rate by name."""


def _schedule(written: Any) -> RateSchedule:
    """Return a schedule as a recipe writes it: a name, or a name with fields.

    Raises:
        ValueError: it is wrong.
    """
    if isinstance(written, str):
        written = {written: {}}
    if not isinstance(written, dict) or len(written) != 1 or not all(isinstance(name, str) for name in written):
        raise ValueError(f"found {written!r}, expected a schedule's name, or one name with fields: {{cosine: {{…}}}}")
    ((name, fields),) = written.items()
    try:
        return RATE_SCHEDULES[name].read(fields)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, [name, *first["loc"]]))
        raise ValueError(f"{place}: {sentence(_Fields, first)}") from None
    except ValueError as error:
        raise ValueError(f"{name}: {error}" if name in RATE_SCHEDULES else str(error)) from None


def _read(written: Any, info: ValidationInfo) -> Any:
    """Check a recipe's schedule; a stored one was checked before."""
    return written if written is None or info.context == STORED else _normal(written)


def _normal(written: Any) -> dict[str, Any] | str:
    """Return a schedule as ``{name: its fields}`` without fields at their defaults, or as its name if none is left.

    Raises:
        ValueError: it is wrong.
    """
    schedule = _schedule(written)
    if isinstance(written, str):
        return written
    ((name, fields),) = written.items()
    if isinstance(schedule, BaseModel):
        fields = schedule.model_dump(mode="json", exclude_defaults=True)
    return {name: fields} if fields else str(name)


ScheduleField = Annotated[dict[str, Any] | str | None, BeforeValidator(_read)]
"""A recipe's field for the schedule of its learning rate."""


def rate_factors(written: Any, iterations: Iterations, last: int) -> Factors:
    """Return the factor of the learning rate at each iteration of a run whose last iteration is ``last``."""
    return np.asarray(_schedule(written).factors(iterations, last), dtype=np.float64)
