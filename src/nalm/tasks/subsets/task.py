"""A task: what is to be learnt, on which inputs, and when it counts as solved."""

from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, model_validator

from nalm.modules.operations import OPERATIONS
from nalm.spec.ranges import Range
from nalm.spec.task import HIDDEN_SIZE
from nalm.spec.thresholds import JUDGED_ROWS

__all__ = ["Task"]


def _known_operation(name: str) -> str:
    if name not in OPERATIONS:
        raise ValueError(f"found unknown operation {name!r}, expected one of: {', '.join(OPERATIONS)}")
    return name


class Task(BaseModel):
    """What is to be learnt.

    The operands are sums over slices of the input. Slices have ``floor(subset_ratio · input_size)`` elements, follow
    one another with an overlap of ``floor(overlap_ratio · length)``, and are shifted together by an offset that each
    seed draws. The ``simple`` layout has 4 inputs and the slices [0, 4) and [0, 2). ``hidden_size`` is what networks of
    two layers have between them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    operation: Annotated[str, AfterValidator(_known_operation)]
    train: Range
    test: Range
    input_size: StrictInt = Field(2, ge=1)
    subset_ratio: StrictFloat = Field(0.5, gt=0, le=1)
    overlap_ratio: StrictFloat = Field(0.0, ge=0, le=1)
    subsets: StrictInt = Field(2, ge=1)
    simple: StrictBool = False
    hidden_size: StrictInt = Field(HIDDEN_SIZE, ge=1)
    threshold: Annotated[StrictFloat, Field(gt=0)] | Literal["gold", "perturbed"] = 1e-5
    """What a run's test error must be below for the task to be solved, or how that is found (see thresholds.py)."""

    judged_rows: StrictInt = Field(JUDGED_ROWS, ge=1)
    """Among how many of a run's last evaluations the best is looked for."""

    @model_validator(mode="before")
    @classmethod
    def _simple_size(cls, value: Any) -> Any:
        if isinstance(value, dict) and value.get("simple") is True:
            return {**value, "input_size": value.get("input_size", 4)}
        return value

    @model_validator(mode="after")
    def _fits(self) -> Self:
        self._check_sizes()
        return self

    def _check_sizes(self) -> None:
        """Checks that fields fit to each other; kinds of tasks whose inputs are not drawn have others to check."""
        slices = self.slices(0)
        if self.simple and self.input_size != 4:
            raise ValueError(f"the simple layout has 4 inputs, found input_size {self.input_size}")
        length, end = slices[0][1] - slices[0][0], slices[-1][1]
        if length < 1:
            raise ValueError(
                f"found subsets of 0 inputs (subset_ratio {self.subset_ratio:g} of input_size {self.input_size}), "
                "expected at least 1"
            )
        if end > self.input_size:
            raise ValueError(
                f"{self.subsets} subsets of {length} inputs (subset_ratio {self.subset_ratio:g}, overlap_ratio "
                f"{self.overlap_ratio:g}) need {end} inputs, expected at most input_size "
                f"{self.input_size}"
            )
        needed = OPERATIONS[self.operation].operands
        if len(slices) < needed:
            raise ValueError(f"{self.operation} needs {needed} subsets, found {len(slices)}")
        if self.threshold == "gold":
            self.gold_operands()

    @property
    def label(self) -> str:
        """The paper's name of the task: its training range."""
        return self.train.label

    @property
    def trained_on(self) -> str:
        """For people: where training inputs are drawn from."""
        return self.train.label

    @property
    def tested_on(self) -> str:
        """For people: where test inputs are drawn from."""
        return self.test.label

    @property
    def module_inputs(self) -> int:
        """Inputs of what learns: more than the task's where some of them are a state."""
        return self.input_size

    def slices(self, offset: int) -> list[tuple[int, int]]:
        """Start and end of every operand's slice of the input."""
        if self.simple:
            return [(0, 4), (0, 2)]
        length = int(self.subset_ratio * self.input_size)
        overlap = int(self.overlap_ratio * length)
        starts = [offset + k * (length - overlap) for k in range(self.subsets)]
        return [(start, start + length) for start in starts]

    def gold_operands(self) -> list[int]:
        """The inputs to which gold weights apply the operation, with the slices at offset 0.

        Raises:
            ValueError: an operand is a sum, which no single layer can put into a product.
        """
        slices = self.slices(0)
        longest = max(end - start for start, end in slices)
        if longest > 1:
            raise ValueError(f"threshold gold needs subsets of 1 input, found subsets of {longest} inputs")
        operation = OPERATIONS[self.operation]
        return [start for start, _ in (slices if operation.any_number else slices[: operation.operands])]

    def offset(self, rng: np.random.RandomState) -> int:
        """Draws the offset of the slices, as the original does (nothing is drawn for the simple layout)."""
        if self.simple:
            return 0
        return int(rng.randint(0, self.input_size - self.slices(0)[-1][1] + 1))
