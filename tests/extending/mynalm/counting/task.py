"""The task: what is learnt, and when it counts as solved."""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

import torch
from pydantic import Field, StrictFloat, StrictInt

from nalm.spec.recipe import Recipe
from nalm.tasks.recurrent import RecurrentTask, check_cell

from .network import Numbers, SumNetwork


class CountingTask(RecurrentTask):
    """Learns the sum of ``count`` numbers from U[0, 1)."""

    learnt_from: ClassVar[str] = "sequences of numbers"

    operation: Literal["add"]
    count: StrictInt = Field(ge=1)
    threshold: Annotated[StrictFloat, Field(gt=0)] = 1e-3
    judged_rows: StrictInt = Field(10, ge=1)

    @classmethod
    def claims(cls, fields: dict[str, Any]) -> bool:
        return "count" in fields

    @property
    def label(self) -> str:
        return f"{self.count} numbers"

    @property
    def trained_on(self) -> str:
        return self.label

    @property
    def tested_on(self) -> str:
        return f"{10 * self.count} numbers"

    @property
    def training(self) -> Self:
        return self.model_copy(update={"threshold": 1e-3, "judged_rows": 10})

    @property
    def limit(self) -> float:
        return self.threshold

    @property
    def columns(self) -> int:
        return 1

    @property
    def module_inputs(self) -> int:
        return 2

    @property
    def steps_per_sequence(self) -> int:
        return self.count

    @property
    def numbers_per_step(self) -> int:
        return 1

    def network(self, recipe: Recipe) -> SumNetwork:
        return SumNetwork(self.build(recipe))

    def data(self, tasks: Sequence[Any], seed: int, recipe: Recipe, device: torch.device) -> Numbers:
        return Numbers(self.count, len(tasks), seed, recipe.batch_size)

    def check_network(self, recipe: Recipe) -> None:
        check_cell(recipe, self)
