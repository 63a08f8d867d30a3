"""Ranges that inputs are sampled from, and the mapping from random numbers to inputs.

A distribution is one subclass of :class:`Range`, and one line in ``DISTRIBUTIONS``.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from pydantic import (
    BaseModel,
    ConfigDict,
    ModelWrapValidatorHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from nalm.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["DISTRIBUTIONS", "Halves", "Interval", "PlaceDraws", "Range", "Union", "check_ends", "half_open", "is_pair"]

Floats = npt.NDArray[np.float64]
Ends = tuple[float, float]
PlaceDraws = Callable[..., "Tensor"]
"""Maps draws ``(*, layers, columns, rows)``, and corners ``(*, n, columns or 1, 1)``, to ``(*, columns, rows)``."""


class Range(BaseModel):
    """A distribution that every input is sampled from. Intervals are half-open, [low, high).

    A range is written as ``[1, 2]``, or as ``{name: its fields}`` with a name of ``DISTRIBUTIONS``. Random numbers are
    drawn as the original draws them. Runs whose ranges draw in the same way share a stream; ``place`` maps the
    stream's numbers to the inputs of each run.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: ClassVar[str]
    form: ClassVar[str]
    """Syntax in an experiment file."""
    layers: ClassVar[int] = 1
    """How many random numbers are drawn for each input."""

    @model_validator(mode="wrap")
    @classmethod
    def _parse(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Any:
        if cls is not Range or isinstance(value, Range):
            return handler(value)
        if is_pair(value):
            return Interval(intervals=(tuple(value),))
        if isinstance(value, dict) and len(value) == 1:
            ((name, written),) = value.items()
            if name in DISTRIBUTIONS:
                found = DISTRIBUTIONS[name]
                if found.kind != name:  # it could not be read back
                    raise ValueError(f"found the distribution {name!r} of kind {found.kind!r}, expected the same name")
                return found.read(written)
        *forms, last = [Interval.form, *(DISTRIBUTIONS[name].form for name in DISTRIBUTIONS)]
        raise ValueError(f"expected {', '.join(forms)} or {last}")

    @classmethod
    def read(cls, written: Any) -> Range:
        """Read a range of this kind from its value in an experiment file.

        Raises:
            ValueError: a field is missing, unknown or wrong.
        """
        try:
            return cls.model_validate(written)
        except ValidationError as error:
            details = error.errors()[0]
            field = ".".join(map(str, (cls.kind, *details["loc"])))
            raise ValueError(f"expected {cls.form}, but {field}: {details['msg']}") from None

    @model_serializer
    def _dump(self) -> Any:
        return self.written()

    def written(self) -> Any:
        """Return the range as an experiment file writes it."""
        return {self.kind: {name: _plain(getattr(self, name)) for name in type(self).model_fields}}

    @property
    @abstractmethod
    def label(self) -> str:
        """Return the paper's name of the range, such as ``U[-6,-2) & U[2,6)``."""

    @property
    def stream(self) -> tuple[object, ...]:
        """Return a key of how random numbers are drawn: ranges with equal keys can share a stream."""
        return (self.kind,)

    def draw(self, rng: np.random.RandomState, batches: int, rows: int, columns: int) -> Floats:
        """Draw the numbers of successive batches in the original's order, ``(batches, layers, columns, rows)``."""
        return rng.random_sample((batches, 1, rows, columns)).swapaxes(2, 3)

    @abstractmethod
    def corners(self, columns: int) -> tuple[Tensor, ...]:
        """Return the parameters that ``place`` needs, each ``(n, columns or 1, 1)``, float64."""

    @staticmethod
    @abstractmethod
    def place(drawn: Tensor, *corners: Tensor) -> Tensor:
        """Map draws to inputs, in float64 and in the original's order of operations (see ``PlaceDraws``)."""


class _Uniform(Range):
    """A uniform distribution on one or two intervals."""

    intervals: tuple[Ends, ...]

    @classmethod
    def read(cls, written: Any) -> Range:
        if not (isinstance(written, list | tuple) and len(written) == 2 and all(map(is_pair, written))):
            raise ValueError(f"expected {cls.form}")
        return cls(intervals=tuple((low, high) for low, high in written))

    def written(self) -> Any:
        return {self.kind: [list(interval) for interval in self.intervals]}

    @model_validator(mode="after")
    def _check(self) -> Self:
        for interval in self.intervals:
            check_ends(interval)
        return self

    @property
    def label(self) -> str:
        return " & ".join(f"U{half_open(interval)}" for interval in self.intervals)

    def corners(self, columns: int) -> tuple[Tensor, ...]:
        """Return the low end and the width of each interval, for every input."""
        import torch

        low, high = torch.tensor(self.intervals, dtype=torch.float64).T
        low, high = low[:, None].expand(-1, columns), high[:, None].expand(-1, columns)
        return low.unsqueeze(-1).contiguous(), (high - low).unsqueeze(-1).contiguous()

    @staticmethod
    def place(drawn: Tensor, *corners: Tensor) -> Tensor:
        r"""Return :math:`low + width · u`; if there are two candidates, a drawn coin chooses between them."""
        import torch

        low, width = corners
        first = low[..., 0, :, :] + width[..., 0, :, :] * drawn[..., 0, :, :]
        if drawn.shape[-3] == 1:
            return first
        second = low[..., 1, :, :] + width[..., 1, :, :] * drawn[..., 1, :, :]
        return torch.where(drawn[..., 2, :, :] != 0, first, second)


class Interval(_Uniform):
    """A uniform distribution on an interval: ``[1, 2]``."""

    kind = "interval"
    form = "[low, high]"

    def written(self) -> Any:
        """Return the range as an experiment file writes it."""
        return list(self.intervals[0])


class Union(_Uniform):
    """A uniform distribution on two intervals; each input tosses a coin for one: ``{union: [[-6, -2], [2, 6]]}``."""

    kind = "union"
    form = "{union: [[low, high], [low, high]]}"
    layers = 3

    def draw(self, rng: np.random.RandomState, batches: int, rows: int, columns: int) -> Floats:
        """Draw a candidate from each interval, then the coins."""
        drawn = np.empty((batches, 3, rows, columns))
        for batch in drawn:
            batch[:2] = rng.random_sample((2, rows, columns))
            batch[2] = rng.randint(2, size=(rows, columns))
        return drawn.swapaxes(2, 3)


class Halves(_Uniform):
    """A uniform distribution with one interval for each half of the inputs: ``{halves: [[-2, -0.1], [0.1, 2]]}``."""

    kind = "halves"
    form = "{halves: [[low, high], [low, high]]}"

    def draw(self, rng: np.random.RandomState, batches: int, rows: int, columns: int) -> Floats:
        """Draw all inputs twice, once for each interval, and keep half of each."""
        first, second = np.moveaxis(rng.random_sample((batches, 2, rows, columns)), 1, 0)
        half = columns // 2
        return np.concatenate([first[..., :half], second[..., half:]], axis=-1)[:, None].swapaxes(2, 3)

    def corners(self, columns: int) -> tuple[Tensor, ...]:
        """Return the low end and the width of every input's interval."""
        import torch

        half = (torch.arange(columns) >= columns // 2).long()
        low, width = super().corners(columns)
        column = torch.arange(columns)
        return low[half, column][None], width[half, column][None]


def is_pair(value: Any) -> bool:
    """Tell whether a value is two numbers."""
    return (
        isinstance(value, list | tuple)
        and len(value) == 2
        and all(isinstance(end, int | float) and not isinstance(end, bool) for end in value)
    )


def check_ends(interval: Ends) -> None:
    """Check that an interval is not empty and has finite ends.

    Raises:
        ValueError: the interval is empty, or an end is not finite.
    """
    low, high = interval
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise ValueError(f"the range [{low:g}, {high:g}] is empty, expected low < high, both finite")


def half_open(interval: Ends) -> str:
    """Return the papers' notation of an interval, such as ``[1,2)``."""
    return f"[{interval[0]:g},{interval[1]:g})"


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _check(path: str, found: Any) -> None:
    if not (isinstance(found, type) and issubclass(found, Range)):
        raise ValueError(f"found {type(found).__name__} at {path}, expected a subclass of nalm.spec.ranges.Range")


DISTRIBUTIONS: Registry[type[Range]] = Registry(
    "distribution",
    "distributions",
    {
        "union": Union,
        "halves": Halves,
        "truncated_normal": "nalm.spec.distributions:TruncatedNormal",
        "exponential": "nalm.spec.distributions:Exponential",
        "benford": "nalm.spec.distributions:Benford",
    },
    check=_check,
)
"""Ranges that are written as ``{name: its fields}``; import paths are not looked up, since results store them."""
