"""Tasks on sequences of images: running sums, products and quotients of the digits that they show."""

import math
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
import numpy.typing as npt
from pydantic import BeforeValidator, Field, StrictBool, StrictFloat, StrictInt, model_validator

from nalm.errors import NalmError
from nalm.spec.ranges import Interval, Range
from nalm.tasks.digits.images import DigitImages, Digits, Split, load_digits
from nalm.tasks.recurrent import OF_INPUTS, RecurrentTask

__all__ = [
    "TESTED_IMAGES",
    "TEST_SEED",
    "VALIDATED_IMAGES",
    "VALIDATION_SEED",
    "SequenceTask",
    "Sequences",
    "sequences",
    "training_seed",
]

VALIDATION_SEED = 47430696
TEST_SEED = 88253339
VALIDATED_IMAGES, TESTED_IMAGES = 4_500, 9_000
"""On sequences of so many images, at least, errors are measured: MNIST has them without its digit 0, too."""
PIXELS = 784


def _digits(value: Any) -> Any:
    """A list of digits, which may be written as ``0-9``."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = [value]
    if isinstance(value, str):
        first, _, last = value.partition("-")
        if not (first.isdigit() and (last or first).isdigit()) or not int(first) <= int(last or first) <= 9:
            raise ValueError("expected digits such as 0-9, or a list")
        value = range(int(first), int(last or first) + 1)
    return tuple(value) if isinstance(value, range | list) else value


class SequenceTask(RecurrentTask):
    """What is to be learnt from sequences of images: after each, the result for all digits so far.

    ``add`` and ``mul`` are running sums and products. ``div`` is the first digit, divided by all that follow; with
    sequences of two it divides a pair. Networks train on one ``length`` and are tested on another. Tasks that differ in
    nothing but the test length and in how they are judged are learnt by one and the same network.

    A module with two inputs learns the operation: what an encoder says of an image, and the state.

    References:
        Neural Arithmetic Units (Madsen & Johansen, ICLR 2020), https://arxiv.org/abs/2001.05016
    """

    learnt_from: ClassVar[str] = "sequences of images"

    operation: Literal["add", "mul", "div"]
    train: Range = Interval(intervals=((0, 9),))
    test: Range = Interval(intervals=((0, 9),))
    length: StrictInt = Field(ge=1)
    test_length: StrictInt = Field(ge=1)
    digits: Annotated[tuple[Annotated[int, Field(ge=0, le=9)], ...], BeforeValidator(_digits)] = tuple(range(10))
    every_step: StrictBool = True
    """Whether the result after each image counts, or only the one at the end."""
    images: DigitImages = DigitImages()
    encoder: Literal["cnn", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152"] = "cnn"
    outputs: StrictInt = Field(1, ge=1)
    """Of the encoder, for each image."""
    threshold: Annotated[StrictFloat, Field(gt=0)] | Literal["reference"] = "reference"  # type: ignore[assignment]
    """What a run's test error must be below, or that it is found from runs that only had to learn the digits."""

    judged_rows: StrictInt = Field(10, ge=1)
    """Among how many of a run's last evaluations the best is looked for: networks may read digits best before their
    weights are discrete.
    """

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if drawn := [name for name in OF_INPUTS if name in self.model_fields_set]:
            raise ValueError(f"found {drawn[0]} with sequences of images, expected none: their inputs are not drawn")
        if "input_size" in self.model_fields_set and self.input_size != self.outputs + 1:
            raise ValueError(f"found input_size {self.input_size}, expected outputs + 1, or none")
        object.__setattr__(self, "input_size", self.outputs + 1)
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

    @property
    def label(self) -> str:
        """The test length, by which tasks of one training are told apart."""
        return f"length {self.test_length}"

    @property
    def trained_on(self) -> str:
        """For people: sequences of which length."""
        return f"length {self.length}"

    @property
    def tested_on(self) -> str:
        """For people: sequences of which length."""
        return f"length {self.test_length}"

    def gold_operands(self) -> list[int]:
        """The inputs to which gold weights apply the operation: what is said of an image, and the state."""
        return [1, 0] if self.operation == "div" else [0, 1]

    @property
    def initial(self) -> float:
        """The state before the first image, with which the operation changes nothing."""
        return 0.0 if self.operation == "add" else 1.0

    @property
    def training(self) -> "SequenceTask":
        """What tasks have in common that one network learns."""
        return self.model_copy(update={"test_length": self.length, "threshold": "reference", "judged_rows": 10})

    @property
    def limit(self) -> float:
        """The threshold; NaN for one that is found from other runs."""
        return math.nan if self.threshold == "reference" else self.threshold

    @property
    def training_steps(self) -> int:
        """Images of a sequence."""
        return self.length

    @property
    def numbers_per_step(self) -> int:
        """Pixels of an image."""
        return PIXELS

    def targets(self, digits: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Results after every image ``(*, length)``, of which ``div`` has none after the first: its are one fewer."""
        values = digits.astype(np.float64)
        if self.operation == "div":
            return values[..., :1] / np.cumprod(values[..., 1:], axis=-1)
        running = np.cumsum if self.operation == "add" else np.cumprod
        return np.asarray(running(values, axis=-1), dtype=np.float64)

    def load(self) -> Digits:
        """The images.

        Raises:
            NalmError: they cannot be read.
        """
        return load_digits(self.images)


class Sequences(NamedTuple):
    """Sequences of images: which they are ``(n, length)``, and the results ``(n, results)``."""

    images: npt.NDArray[np.int64]
    targets: npt.NDArray[np.float64]


def training_seed(seed: int) -> int:
    """The seed with which a run's training images are put into order."""
    return int(np.random.RandomState(seed).randint(0, 2**32 - 1, dtype=np.int64))


def sequences(task: SequenceTask, split: Split, length: int, seed: int, images: int = 0) -> Sequences:
    """Sequences of one length of the images that show the task's digits.

    The images are put into a random order, of which each sequence takes the next, as in the original. Where they do
    not suffice for sequences of so many images, more orders of the same images follow.

    Arguments:
        task: it has the digits.
        split: the images.
        length: of the sequences.
        seed: of the order.
        images: how many there are to be in all sequences together, but for those that are too few for one more.

    Raises:
        NalmError: no image shows one of the digits.
    """
    allowed = np.flatnonzero(np.isin(split.labels, task.digits))
    if not len(allowed):
        raise NalmError(f"found no images of the digits {_listed(task.digits)}, expected some")
    rng = np.random.RandomState(seed)
    orders = max(1, -(-max(images, length if images else 0) // len(allowed)))
    order = np.concatenate([rng.permutation(allowed) for _ in range(orders)])
    count = len(order) // length
    index = order[: count * length].reshape(count, length)
    return Sequences(index, task.targets(split.labels[index]))


def _listed(digits: Sequence[int]) -> str:
    return ", ".join(map(str, digits))
