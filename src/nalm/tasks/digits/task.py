"""Tasks on sequences of images: running sums, products and quotients of the digits that they show."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import BeforeValidator, Field, StrictBool, StrictFloat, StrictInt, model_validator

from nalm.spec.recipe import MOST_UNITS, Recipe
from nalm.spec.task import Judged
from nalm.spec.thresholds import Threshold
from nalm.tasks.digits.images import DigitImages, Digits, load_digits
from nalm.tasks.recurrent import RecurrentTask, check_cell

if TYPE_CHECKING:
    import torch

    from nalm.training.recurrent import Data, RecurrentNetwork

__all__ = ["DigitTask"]

PIXELS = 784
SECONDS_PER_IMAGE = 0.25e-3
"""Typical time to train on one image, on one core of 2026."""


def _digits(value: Any) -> Any:
    """Read a list of digits, which may be written as ``0-9``."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = [value]
    if isinstance(value, str):
        first, _, last = value.partition("-")
        if not (first.isdigit() and (last or first).isdigit()) or not int(first) <= int(last or first) <= 9:
            raise ValueError("expected digits such as 0-9, or a list")
        value = range(int(first), int(last or first) + 1)
    return tuple(value) if isinstance(value, range | list) else value


class DigitTask(RecurrentTask):
    """An operation on the digits that a sequence of images shows, with a result after each image.

    ``add`` and ``mul`` are running sums and products. ``div`` is the first digit divided by all following ones; with
    sequences of two images it divides a pair. Networks train on sequences of one ``length`` and are tested on another.
    An encoder turns each image into ``outputs`` numbers, and a module learns the operation on these and the state.

    References:
        Neural Arithmetic Units (Madsen & Johansen, ICLR 2020), https://arxiv.org/abs/2001.05016
    """

    learnt_from: ClassVar[str] = "sequences of images"
    axis: ClassVar[str] = "Sequences"
    scales_schedules: ClassVar[bool] = True  # the number of updates in an epoch depends on the images

    operation: Literal["add", "mul", "div"]
    input_size: StrictInt = Field(2, ge=1, le=MOST_UNITS)
    """Number of inputs of the module: the encoder's outputs and the state."""
    length: StrictInt = Field(ge=1)
    test_length: StrictInt = Field(ge=1)
    digits: Annotated[tuple[Annotated[int, Field(ge=0, le=9)], ...], BeforeValidator(_digits)] = tuple(range(10))
    every_step: StrictBool = True
    """Whether the result after each image counts, or only the last result."""
    images: DigitImages = DigitImages()
    encoder: Literal["cnn", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152"] = "cnn"
    outputs: StrictInt = Field(1, ge=1)
    """Number of the encoder's outputs for each image."""
    threshold: Annotated[StrictFloat, Field(gt=0)] | Literal["reference"] = "reference"
    """The test error must be below this number, or below one from reference runs, which only learn to read digits."""
    judged_rows: StrictInt = Field(10, ge=1)
    """How many of a run's last evaluations are searched for the best. They are few, because networks may read digits
    best before their weights are discrete.
    """

    @model_validator(mode="before")
    @classmethod
    def _sized(cls, value: Any) -> Any:
        if isinstance(value, dict) and isinstance(outputs := value.get("outputs", 1), int):
            return {"input_size": outputs + 1, **value}
        return value

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.input_size != self.outputs + 1:
            raise ValueError(f"found input_size {self.input_size}, expected outputs + 1, or none")
        if not self.digits or len(set(self.digits)) != len(self.digits):
            raise ValueError(f"found digits {list(self.digits)}, expected each once")
        if self.operation == "div":
            if 0 in self.digits:
                raise ValueError("found the digit 0 with div, expected digits from 1 to 9")
            if min(self.length, self.test_length) < 2:
                raise ValueError("found sequences of 1 digit with div, expected at least 2")
            if self.outputs != 1:
                raise ValueError(f"found {self.outputs} outputs with div, expected 1: the first is the state")
        if (self.images.kind == "svhn") != (self.encoder != "cnn"):
            raise ValueError(f"found encoder {self.encoder} for {self.images.kind}, expected cnn for digits in grey")
        return self

    @classmethod
    def claims(cls, fields: dict[str, Any]) -> bool:
        """Tell whether fields have a length."""
        return "length" in fields

    @property
    def label(self) -> str:
        """Return the test length, which distinguishes the tasks of one network."""
        return f"length {self.test_length}"

    @property
    def trained_on(self) -> str:
        """Describe the training length."""
        return f"length {self.length}"

    @property
    def tested_on(self) -> str:
        """Describe the test length."""
        return f"length {self.test_length}"

    @property
    def identity(self) -> dict[str, Any]:
        """Return the fields that affect training; images are identified by their content, not by their path."""
        fields = super().identity
        return fields | {"images": self.images.identity} if "images" in fields else fields

    @property
    def lengths(self) -> tuple[int, int]:
        """Return the training and the test length."""
        return self.length, self.test_length

    @property
    def training(self) -> Self:
        """Return the task with the training length as its test length, and default thresholds."""
        return self.model_copy(update={"test_length": self.length, "threshold": "reference", "judged_rows": 10})

    @property
    def limit(self) -> float:
        """Return the threshold, or NaN if it depends on reference runs."""
        return math.nan if self.threshold == "reference" else self.threshold

    @property
    def columns(self) -> int:
        """Return the number of the encoder's outputs and the state."""
        return self.input_size

    @property
    def module_inputs(self) -> int:
        """Return the number of the encoder's outputs and the state."""
        return self.input_size

    @property
    def steps_per_sequence(self) -> int:
        """Return the number of images in a training sequence."""
        return self.length

    @property
    def numbers_per_step(self) -> int:
        """Return the number of pixels in an image."""
        return PIXELS

    @property
    def initial(self) -> float:
        """Return the initial state, the neutral element of the operation."""
        return 0.0 if self.operation == "add" else 1.0

    def gold_operands(self, seed: int | None = None) -> list[int]:
        """Return the inputs to which gold weights apply the operation: the encoder's output and the state."""
        return [1, 0] if self.operation == "div" else [0, 1]

    @classmethod
    def reference_thresholds(cls, runs: Iterable[Judged]) -> dict[str, Threshold]:
        """Return the thresholds of tasks with ``threshold: reference``, from runs with the ``Accumulator``."""
        from nalm.tasks.digits.reference import reference_thresholds

        return reference_thresholds(runs)

    def network(self, recipe: Recipe) -> RecurrentNetwork:
        """Build the encoder and the module."""
        from nalm.tasks.digits.network import DigitNetwork

        return DigitNetwork(self, recipe)

    def data(self, tasks: Sequence[DigitTask], seed: int, recipe: Recipe, device: torch.device) -> Data:
        """Prepare sequences of images.

        Raises:
            NalmError: the images cannot be read, or are too few.
        """
        from nalm.tasks.digits.data import DigitData

        return DigitData(self, tasks, seed, recipe, device)

    def check_network(self, recipe: Recipe) -> None:
        """Check that the module can be used as a cell with one state, and that the encoder can be built.

        Raises:
            ValueError: it cannot, or torchvision, which has the encoder, is not installed.
        """
        from nalm.tasks.digits.encoders import residual_encoder

        if self.encoder != "cnn":
            try:
                residual_encoder(self.encoder, self.outputs)
            except ImportError as error:
                raise ValueError(str(error)) from None
        check_cell(recipe, self)

    def typical_seconds(self, recipe: Recipe, runs: int) -> float:
        """Return the typical time of one run's share of an iteration, in seconds; the encoder dominates it."""
        return SECONDS_PER_IMAGE * recipe.batch_size * self.length / runs

    def targets(self, digits: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Return the results after every image, ``(*, length)``; ``div`` has none after the first image."""
        values = digits.astype(np.float64)
        if self.operation == "div":
            return values[..., :1] / np.cumprod(values[..., 1:], axis=-1)
        running = np.cumsum if self.operation == "add" else np.cumprod
        return np.asarray(running(values, axis=-1), dtype=np.float64)

    def load(self) -> Digits:
        """Load the images.

        Raises:
            NalmError: they cannot be read.
        """
        return load_digits(self.images)
