"""Distributions of inputs other than the uniform one."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from pydantic import Field, StrictFloat, model_validator

from nalm.spec.ranges import Ends, Floats, Range, check_ends, half_open, is_pair

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Benford", "Exponential", "TruncatedNormal"]


class TruncatedNormal(Range):
    r"""A truncated normal distribution: ``{truncated_normal: {mean: -1, deviation: 3, within: [-5, 10]}}``.

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
        check_ends(self.within)
        below, above = (_normal((end - self.mean) / self.deviation) for end in self.within)
        if not above - below > 1e-9:  # the inverse would have no significant digits left
            raise ValueError(f"found almost nothing of the normal distribution within {list(self.within)}")
        return self

    @property
    def label(self) -> str:
        """Return the paper's name of the range, such as ``TN(-1,3):[-5,10)``."""
        return f"TN({self.mean:g},{self.deviation:g}):{half_open(self.within)}"

    def corners(self, columns: int) -> tuple[Tensor, ...]:
        """Return the probability below the interval, the probability inside it, the mean and the deviation."""
        import torch

        low, high = torch.special.ndtr((_number(*self.within) - self.mean) / self.deviation).flatten()
        return _number(low.item()), _number((high - low).item()), _number(self.mean), _number(self.deviation)

    @staticmethod
    def place(drawn: Tensor, *corners: Tensor) -> Tensor:
        """Map uniform draws to inputs by the inverse of the distribution function."""
        import torch

        below, within, mean, deviation = (corner[..., 0, :, :] for corner in corners)
        quantile: Tensor = torch.special.ndtri(below + drawn[..., 0, :, :] * within)
        return mean + deviation * quantile


class Exponential(Range):
    r"""An exponential distribution, :math:`p(x) = e^{-x / s} / s`: ``{exponential: {scale: 1}}``."""

    kind = "exponential"
    form = "{exponential: {scale: …}}"

    scale: StrictFloat = Field(gt=0, allow_inf_nan=False)

    @property
    def label(self) -> str:
        """Return the paper's name of the range, such as ``E(1)``."""
        return f"E({self.scale:g})"

    def draw(self, rng: np.random.RandomState, batches: int, rows: int, columns: int) -> Floats:
        """Draw from the exponential distribution with scale 1."""
        return rng.standard_exponential((batches, 1, rows, columns)).swapaxes(2, 3)

    def corners(self, columns: int) -> tuple[Tensor, ...]:
        """Return the scale."""
        return (_number(self.scale),)

    @staticmethod
    def place(drawn: Tensor, *corners: Tensor) -> Tensor:
        """Multiply the draws by the scale."""
        return corners[0][..., 0, :, :] * drawn[..., 0, :, :]


class Benford(Range):
    r"""Benford's law: integers whose leading digit d has the probability :math:`\log_{10}(1 + 1/d)`.

    Written as ``{benford: [10, 100]}``. As in the original, the other digits are a remainder that is uniform on the
    integers of [low / 10, high / 10). Some integers never occur: those of [10, 100) that end in 0.
    """

    kind = "benford"
    form = "{benford: [low, high]}"
    PROBABILITIES: ClassVar = (0, 0.301, 0.176, 0.125, 0.097, 0.079, 0.067, 0.058, 0.051, 0.046)

    within: Ends

    @classmethod
    def read(cls, written: Any) -> Range:
        """Read the range from its two ends.

        Raises:
            ValueError: the value is not a pair of numbers.
        """
        if not is_pair(written):
            raise ValueError(f"expected {cls.form}")
        return cls(within=tuple(written))

    def written(self) -> Any:
        """Return the range as an experiment file writes it."""
        return {self.kind: list(self.within)}

    @model_validator(mode="after")
    def _check(self) -> Self:
        check_ends(self.within)
        if any(end % 10 != 0 or end < 10 for end in self.within):
            raise ValueError(f"found the range {list(self.within)}, expected positive multiples of 10")
        return self

    @property
    def label(self) -> str:
        """Return the paper's name of the range, such as ``B:[10,100)``."""
        return f"B:{half_open(self.within)}"

    @property
    def stream(self) -> tuple[object, ...]:
        """Return the kind and the interval: every Benford range has a stream of its own."""
        return (self.kind, self.within)

    def draw(self, rng: np.random.RandomState, batches: int, rows: int, columns: int) -> Floats:
        """Draw the inputs themselves: per batch the leading digits (as ``RandomState.choice``), then remainders."""
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
        """Return no parameters: the draws are the inputs."""
        return ()

    @staticmethod
    def place(drawn: Tensor, *corners: Tensor) -> Tensor:
        """Return the draws unchanged."""
        return drawn[..., 0, :, :]


def _normal(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2))


def _number(*values: float) -> Tensor:
    import torch

    return torch.tensor(values, dtype=torch.float64).reshape(-1, 1, 1)
