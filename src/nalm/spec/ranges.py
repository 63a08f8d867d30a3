"""Where inputs are sampled: ranges and distributions, and how random numbers become inputs.

A kind of range is one class here, with a line in ``KINDS``.
"""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import torch
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    StrictFloat,
    ValidationError,
    model_serializer,
    model_validator,
)
from torch import Tensor

__all__ = ["Benford", "Exponential", "Halves", "Interval", "Place", "Range", "TruncatedNormal", "Union"]

Floats = npt.NDArray[np.float64]
Ends = tuple[float, float]
Place = Callable[..., Tensor]
"""Maps draws ``(*, layers, columns, rows)``, and corners ``(*, n, columns or 1, 1)``, to ``(*, columns, rows)``."""


class Range(BaseModel):
    """Where every input is sampled; intervals are half-open, [low, high).

    Written as ``[1, 2]``, or as ``{kind: its fields}`` (see the classes below): a mapping is read as the kind it names.
    Random numbers are drawn as the original draws them; runs whose ranges draw alike share a stream, and ``place`` maps
    it to the inputs of each.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: ClassVar[str]
    form: ClassVar[str]
    """How it is written in an experiment's file."""
    layers: ClassVar[int] = 1
    """How many numbers are drawn for an input."""

    @model_validator(mode="wrap")
    @classmethod
    def _parse(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Any:
        if cls is not Range or isinstance(value, Range):
            return handler(value)
        if _is_pair(value):
            return Interval(intervals=(tuple(value),))
        if isinstance(value, dict) and len(value) == 1 and next(iter(value)) in KINDS:
            ((name, written),) = value.items()
            return KINDS[name].read(written)
        *forms, last = [Interval.form, *(kind.form for kind in KINDS.values())]
        raise ValueError(f"expected {', '.join(forms)} or {last}")

    @classmethod
    def read(cls, written: Any) -> "Range":
        """The range of this kind from what an experiment's file says of it."""
        try:
            return cls.model_validate(written)
        except ValidationError as error:
            details = error.errors()[0]
            place = ".".join(map(str, (cls.kind, *details["loc"])))
            raise ValueError(f"expected {cls.form}, but {place}: {details['msg']}") from None

    @model_serializer
    def _dump(self) -> Any:
        return self.written()

    def written(self) -> Any:
        """As in an experiment's file."""
        return {self.kind: {name: _plain(getattr(self, name)) for name in type(self).model_fields}}

    @property
    @abstractmethod
    def label(self) -> str:
        """The paper's name of the range, such as ``U[-6,-2) & U[2,6)``."""

    @property
    def stream(self) -> tuple[object, ...]:
        """How random numbers are drawn: ranges of which this is the same can share theirs."""
        return (self.kind,)

    def draw(self, rng: np.random.RandomState, batches: int, rows: int, columns: int) -> Floats:
        """Draws the numbers of successive batches in the original's order, ``(batches, layers, columns, rows)``."""
        return rng.random_sample((batches, 1, rows, columns)).swapaxes(2, 3)

    @abstractmethod
    def corners(self, columns: int) -> tuple[Tensor, ...]:
        """Numbers of this range that ``place`` needs, each ``(n, columns or 1, 1)``, float64."""

    @staticmethod
    @abstractmethod
    def place(drawn: Tensor, *corners: Tensor) -> Tensor:
        """Maps draws to inputs, in float64 and in the original's order of operations (see ``Place``)."""


class _Uniform(Range):
    """Uniform on one interval or two."""

    intervals: tuple[Ends, ...]

    @classmethod
    def read(cls, written: Any) -> Range:
        if not (isinstance(written, list | tuple) and len(written) == 2 and all(map(_is_pair, written))):
            raise ValueError(f"expected {cls.form}")
        return cls(intervals=tuple((low, high) for low, high in written))

    def written(self) -> Any:
        return {self.kind: [list(interval) for interval in self.intervals]}

    @model_validator(mode="after")
    def _check(self) -> Self:
        for interval in self.intervals:
            _check_ends(interval)
        return self

    @property
    def label(self) -> str:
        return " & ".join(f"U{_half_open(interval)}" for interval in self.intervals)

    def corners(self, columns: int) -> tuple[Tensor, ...]:
        """Low end and width of the intervals for every input."""
        low, high = torch.tensor(self.intervals, dtype=torch.float64).T
        low, high = low[:, None].expand(-1, columns), high[:, None].expand(-1, columns)
        return low.unsqueeze(-1).contiguous(), (high - low).unsqueeze(-1).contiguous()

    @staticmethod
    def place(drawn: Tensor, *corners: Tensor) -> Tensor:
        r""":math:`low + width · u`; of two intervals a coin chooses, if one was drawn."""
        low, width = corners
        first = low[..., 0, :, :] + width[..., 0, :, :] * drawn[..., 0, :, :]
        if drawn.shape[-3] == 1:
            return first
        second = low[..., 1, :, :] + width[..., 1, :, :] * drawn[..., 1, :, :]
        return torch.where(drawn[..., 2, :, :] != 0, first, second)


class Interval(_Uniform):
    """Uniform on an interval: ``[1, 2]``."""

    kind = "interval"
    form = "[low, high]"

    def written(self) -> Any:
        """As in an experiment's file."""
        return list(self.intervals[0])


class Union(_Uniform):
    """Uniform on one of two intervals, for which a coin is tossed each time: ``{union: [[-6, -2], [2, 6]]}``."""

    kind = "union"
    form = "{union: [[low, high], [low, high]]}"
    layers = 3

    def draw(self, rng: np.random.RandomState, batches: int, rows: int, columns: int) -> Floats:
        """Candidates from both intervals, then the coins."""
        drawn = np.empty((batches, 3, rows, columns))
        for batch in drawn:
            batch[:2] = rng.random_sample((2, rows, columns))
            batch[2] = rng.randint(2, size=(rows, columns))
        return drawn.swapaxes(2, 3)


class Halves(_Uniform):
    """Uniform on an interval for each half of the inputs: ``{halves: [[-2, -0.1], [0.1, 2]]}``."""

    kind = "halves"
    form = "{halves: [[low, high], [low, high]]}"

    def draw(self, rng: np.random.RandomState, batches: int, rows: int, columns: int) -> Floats:
        """All inputs are drawn for both intervals, and half of each is used."""
        first, second = np.moveaxis(rng.random_sample((batches, 2, rows, columns)), 1, 0)
        half = columns // 2
        return np.concatenate([first[..., :half], second[..., half:]], axis=-1)[:, None].swapaxes(2, 3)

    def corners(self, columns: int) -> tuple[Tensor, ...]:
        """Low end and width of the interval of every input."""
        of_column = (torch.arange(columns) >= columns // 2).long()
        low, width = super().corners(columns)
        every = torch.arange(columns)
        return low[of_column, every][None], width[of_column, every][None]


class TruncatedNormal(Range):
    r"""Normal within an interval: ``{truncated_normal: {mean: -1, deviation: 3, within: [-5, 10]}}``.

    .. math:: x = \mu + \sigma \Phi^{-1}\big(\Phi(a) + u (\Phi(b) - \Phi(a))\big), \qquad
        a, b = (low - \mu) / \sigma, (high - \mu) / \sigma
    """

    kind = "truncated_normal"
    form = "{truncated_normal: {mean: …, deviation: …, within: [low, high]}}"

    mean: StrictFloat = Field(allow_inf_nan=False)
    deviation: StrictFloat = Field(gt=0, allow_inf_nan=False)
    within: Ends

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_ends(self.within)
        _, probability, *_ = self.corners(1)
        if not probability.item() > 1e-9:  # so little that the inverse has no digits left
            raise ValueError(f"found almost nothing of the normal distribution within {list(self.within)}")
        return self

    @property
    def label(self) -> str:
        """The paper's name of the range, such as ``TN(-1,3):[-5,10)``."""
        return f"TN({self.mean:g},{self.deviation:g}):{_half_open(self.within)}"

    def corners(self, columns: int) -> tuple[Tensor, ...]:
        """Probability below the interval and in it, mean, deviation."""
        low, high = torch.special.ndtr((_number(*self.within) - self.mean) / self.deviation).flatten()
        return _number(low.item()), _number((high - low).item()), _number(self.mean), _number(self.deviation)

    @staticmethod
    def place(drawn: Tensor, *corners: Tensor) -> Tensor:
        """Inverse of the distribution function."""
        below, within, mean, deviation = (corner[..., 0, :, :] for corner in corners)
        quantile: Tensor = torch.special.ndtri(below + drawn[..., 0, :, :] * within)
        return mean + deviation * quantile


class Exponential(Range):
    r"""Exponential, :math:`p(x) = e^{-x / s} / s`: ``{exponential: {scale: 1}}``."""

    kind = "exponential"
    form = "{exponential: {scale: …}}"

    scale: StrictFloat = Field(gt=0, allow_inf_nan=False)

    @property
    def label(self) -> str:
        """Such as ``E(1)``."""
        return f"E({self.scale:g})"

    def draw(self, rng: np.random.RandomState, batches: int, rows: int, columns: int) -> Floats:
        """With scale 1."""
        return rng.standard_exponential((batches, 1, rows, columns)).swapaxes(2, 3)

    def corners(self, columns: int) -> tuple[Tensor, ...]:
        """Scale."""
        return (_number(self.scale),)

    @staticmethod
    def place(drawn: Tensor, *corners: Tensor) -> Tensor:
        """Draws times the scale."""
        return corners[0][..., 0, :, :] * drawn[..., 0, :, :]


class Benford(Range):
    r"""Integers whose leading digit d has a probability of :math:`\log_{10}(1 + 1/d)`: ``{benford: [10, 100]}``.

    The digit stands before a remainder that is uniform on the integers of [low / 10, high / 10), as the original has
    it, which leaves out some numbers: none of [10, 100) ends in 0.
    """

    kind = "benford"
    form = "{benford: [low, high]}"
    PROBABILITIES: ClassVar = (0, 0.301, 0.176, 0.125, 0.097, 0.079, 0.067, 0.058, 0.051, 0.046)

    within: Ends

    @classmethod
    def read(cls, written: Any) -> Range:
        """The range from its ends."""
        if not _is_pair(written):
            raise ValueError(f"expected {cls.form}")
        return cls(within=tuple(written))

    def written(self) -> Any:
        """As in an experiment's file."""
        return {self.kind: list(self.within)}

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_ends(self.within)
        if any(end % 10 != 0 or end < 10 for end in self.within):
            raise ValueError(f"found the range {list(self.within)}, expected positive multiples of 10")
        return self

    @property
    def label(self) -> str:
        """The paper's name of the range, such as ``B:[10,100)``."""
        return f"B:{_half_open(self.within)}"

    @property
    def stream(self) -> tuple[object, ...]:
        """Numbers that are drawn for one range are not those of another."""
        return (self.kind, self.within)

    def draw(self, rng: np.random.RandomState, batches: int, rows: int, columns: int) -> Floats:
        """The inputs themselves: for each batch leading digits, as `RandomState.choice` draws them, then remainders."""
        low, high = (int(end) // 10 for end in self.within)
        uniforms = np.empty((batches, rows, columns))
        remainders = np.empty((batches, rows, columns), dtype=np.int64)
        for uniform, remainder in zip(uniforms, remainders, strict=True):
            uniform[:] = rng.random_sample((rows, columns))
            remainder[:] = rng.randint(low, high, (rows, columns))
        cumulative = np.cumsum(self.PROBABILITIES)
        digits = (cumulative / cumulative[-1]).searchsorted(uniforms, side="right")
        powers = np.array([0, *(10 ** len(str(remainder)) for remainder in range(1, high))])
        drawn: Floats = (digits * powers[remainders] + remainders).astype(np.float64)
        return drawn[:, None].swapaxes(2, 3)

    def corners(self, columns: int) -> tuple[Tensor, ...]:
        """None."""
        return ()

    @staticmethod
    def place(drawn: Tensor, *corners: Tensor) -> Tensor:
        """As drawn."""
        return drawn[..., 0, :, :]


KINDS: dict[str, type[Range]] = {kind.kind: kind for kind in (Union, Halves, TruncatedNormal, Exponential, Benford)}
"""Every kind of range that is written as ``{kind: …}``."""


def _is_pair(value: Any) -> bool:
    return (
        isinstance(value, list | tuple)
        and len(value) == 2
        and all(isinstance(end, int | float) and not isinstance(end, bool) for end in value)
    )


def _check_ends(interval: Ends) -> None:
    low, high = interval
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise ValueError(f"the range [{low:g}, {high:g}] is empty, expected low < high, both finite")


def _half_open(interval: Ends) -> str:
    return f"[{interval[0]:g},{interval[1]:g})"


def _number(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64).reshape(-1, 1, 1)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
