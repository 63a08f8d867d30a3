"""Tasks on rows of numbers, as in most experiments: operations on sums over subsets of the inputs."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import AfterValidator, Field, StrictBool, StrictFloat, StrictInt, ValidationInfo, model_validator

from nalm.modules.operations import OPERATIONS
from nalm.remember import remembered
from nalm.spec.names import STORED, known
from nalm.spec.ranges import Range
from nalm.spec.recipe import HIDDEN_SIZE, MOST_INPUTS, MOST_UNITS, Recipe
from nalm.spec.task import Task
from nalm.spec.thresholds import JUDGED_ROWS, Threshold

if TYPE_CHECKING:
    import torch
    from torch import nn

    from nalm.training.ensemble.data import HeldOut
    from nalm.training.ensemble.loop import Ensemble

__all__ = ["SubsetTask", "SumsTask"]

TYPICAL_SECONDS_PER_INPUT = 0.5e-6
"""Typical time of one compiled iteration of one run, per input, on one core of 2026. `nalm bench` measures it."""


def _operation(name: str, info: ValidationInfo) -> str:
    """Check the name of an operation; import paths are not looked up, since results store tasks."""
    if ":" in name:
        raise ValueError(f"found operation {name!r}, an import path, expected one of: {', '.join(OPERATIONS)}")
    return known(OPERATIONS)(name, info)


class SumsTask(Task):
    """An operation whose operands are sums over slices of an input vector.

    Slices have ``floor(subset_ratio · input_size)`` elements, follow one another with an overlap of
    ``floor(overlap_ratio · length)``, and are shifted together by an offset that each seed draws. The ``simple`` layout
    has 4 inputs and the slices [0, 4) and [0, 2). ``hidden_size`` is the number of units between two layers.
    """

    operation: Annotated[str, AfterValidator(_operation)]
    train: Range
    test: Range
    input_size: StrictInt = Field(2, ge=1, le=MOST_INPUTS)
    subset_ratio: StrictFloat = Field(0.5, gt=0, le=1)
    overlap_ratio: StrictFloat = Field(0.0, ge=0, le=1)
    subsets: StrictInt = Field(2, ge=1)
    simple: StrictBool = False
    hidden_size: StrictInt = Field(HIDDEN_SIZE, ge=1, le=MOST_UNITS)
    judged_rows: StrictInt = Field(JUDGED_ROWS, ge=1)
    """How many of a run's last evaluations are searched for the best."""

    @model_validator(mode="before")
    @classmethod
    def _simple_size(cls, value: Any) -> Any:
        if isinstance(value, dict) and value.get("simple") is True:
            return {**value, "input_size": value.get("input_size", 4)}
        return value

    @model_validator(mode="after")
    def _fits(self, info: ValidationInfo) -> Self:
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
        if info.context != STORED and len(slices) < (needed := OPERATIONS[self.operation].operands):
            raise ValueError(f"{self.operation} needs {needed} subsets, found {len(slices)}")
        return self

    @property
    def columns(self) -> int:
        """Return the number of inputs in a row or a vector."""
        return self.input_size

    def slices(self, offset: int) -> list[tuple[int, int]]:
        """Return start and end of every operand's slice of the inputs."""
        if self.simple:
            return [(0, 4), (0, 2)]
        length = int(self.subset_ratio * self.input_size)
        overlap = int(self.overlap_ratio * length)
        starts = [offset + k * (length - overlap) for k in range(self.subsets)]
        return [(start, start + length) for start in starts]

    def offset(self, rng: np.random.RandomState) -> int:
        """Draw the offset of the slices, as the original does; the simple layout draws nothing."""
        if self.simple:
            return 0
        return int(rng.randint(0, self.input_size - self.slices(0)[-1][1] + 1))


class SubsetTask(SumsTask):
    """An operation on sums over subsets of the inputs of a row.

    References:
        Neural Arithmetic Units (Madsen & Johansen, ICLR 2020), https://arxiv.org/abs/2001.05016
    """

    tasks_per_shard: ClassVar[int] = 9
    seeds_per_shard: ClassVar[int] = 25
    on_rows: ClassVar[bool] = True

    threshold: Annotated[StrictFloat, Field(gt=0)] | Literal["gold", "perturbed"] = 1e-5
    """The test error must be below this number, or meet a threshold that is computed (see thresholds.py)."""

    @model_validator(mode="after")
    def _has_gold_weights(self, info: ValidationInfo) -> Self:
        if info.context != STORED and self.threshold == "gold":
            self.gold_operands()
        return self

    @classmethod
    def claims(cls, fields: dict[str, Any]) -> bool:
        """Claim every task: this is the default family."""
        return True

    @property
    def label(self) -> str:
        """Return the paper's name of the task: its training range."""
        return self.train.label

    @property
    def trained_on(self) -> str:
        """Describe the training range."""
        return self.train.label

    @property
    def tested_on(self) -> str:
        """Describe the test range."""
        return self.test.label

    @property
    def group(self) -> Hashable:
        """Return the layout of the inputs, the hidden size, and the kind of random stream."""
        lengths = tuple(end - start for start, end in self.slices(0))
        return (self.input_size, self.hidden_size, lengths, self.train.stream)

    def build(self, recipe: Recipe) -> nn.Module:
        """Build the module, or the network of two layers, that a recipe trains on rows of inputs."""
        return recipe.build(self.input_size, self.hidden_size)

    def gold_operands(self, seed: int | None = None) -> list[int]:
        """Return the inputs to which gold weights apply the operation.

        Arguments:
            seed: the run's seed, which decides the offset of the slices; without it the offset is 0.

        Raises:
            ValueError: an operand is a sum of several inputs; a single layer cannot multiply sums.
        """
        slices = self.slices(0 if seed is None else self.offset(np.random.RandomState(seed)))
        longest = max(end - start for start, end in slices)
        if longest > 1:
            raise ValueError(f"threshold gold needs subsets of 1 input, found subsets of {longest} inputs")
        operation = OPERATIONS[self.operation]
        return [start for start, _ in (slices if operation.any_number else slices[: operation.operands])]

    def check(self, recipe: Recipe) -> None:
        """Check that a recipe's network can be built for the inputs, and has gold weights if the threshold needs them.

        Raises:
            ValueError: the network cannot be built, or the hidden size needs a second layer.
            NalmError: the module has no gold weights for the operation.
        """
        if recipe.second is None and self.hidden_size != HIDDEN_SIZE:
            raise ValueError(f"found hidden_size {self.hidden_size}, expected it with a second layer only")
        recipe.check(self.input_size, self.hidden_size)
        if self.threshold == "gold":
            self.success_threshold(recipe)

    def trainer(
        self, recipe: Recipe, runs: Sequence[tuple[Self, int]], device: torch.device | str, compiled: bool
    ) -> Ensemble:
        """Prepare an ensemble that trains all runs in lockstep."""
        from nalm.tasks.subsets.trainer import make_ensemble

        return make_ensemble(recipe, runs, device, compiled)

    def validation_rows(self, recipe: Recipe, runs: Sequence[tuple[Self, int]]) -> HeldOut:
        """Return the fixed validation rows of runs."""
        import torch

        from nalm.tasks.subsets.streams import Sampler

        return Sampler(runs, 1, recipe.dtype, torch.device("cpu")).validation

    def success_threshold(self, recipe: Recipe) -> Threshold:
        """Return the threshold. One that is computed (see thresholds.py) is remembered."""
        if not isinstance(self.threshold, str):
            return Threshold(self.threshold, inclusive=False, rows=self.judged_rows)
        network = recipe.model_dump_json(include={"module", "second", "precision"})
        about = self.model_dump_json() if self.threshold == "perturbed" else f"{self.model_dump_json()} by {network}"
        return Threshold(**remembered("threshold", about, lambda: self._computed_threshold(recipe)))

    def _computed_threshold(self, recipe: Recipe) -> dict[str, Any]:
        from nalm.tasks.subsets.thresholds import run_threshold

        return asdict(run_threshold(recipe, self))

    def work(self, recipe: Recipe, runs: int) -> int:
        """Return the number of updates times the number of inputs, summed over all runs."""
        return runs * (recipe.iterations + 1) * self.input_size

    def typical_seconds(self, recipe: Recipe, runs: int) -> float:
        """Return the typical time of one compiled iteration of one run on one core, in seconds."""
        return TYPICAL_SECONDS_PER_INPUT * self.input_size
