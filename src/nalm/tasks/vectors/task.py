"""Tasks on sequences of vectors: operations on sums over slices of all vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, StrictFloat, StrictInt

from nalm.modules.names import CELLS
from nalm.remember import remembered
from nalm.spec.recipe import PARAMETER_NORMS, Recipe
from nalm.spec.thresholds import JUDGED_ROWS
from nalm.tasks.recurrent import RecurrentTask, check_noise
from nalm.tasks.subsets.task import SumsTask

if TYPE_CHECKING:
    import torch
    from torch import nn

    from nalm.training.recurrent import Data, RecurrentNetwork

__all__ = ["VectorTask"]


class VectorTask(SumsTask, RecurrentTask):
    """An operation on sums over slices of all vectors of a sequence.

    A cell with ``hidden_size`` states reads one vector per step; a second layer is applied to its last states. Networks
    train on sequences of ``steps`` vectors and are tested on sequences of ``test_steps`` vectors.

    References:
        Neural Arithmetic Logic Units (Trask et al., 2018), https://arxiv.org/abs/1808.00508, as implemented in the code
        of Neural Arithmetic Units (Madsen & Johansen, ICLR 2020), https://arxiv.org/abs/2001.05016
    """

    learnt_from: ClassVar[str] = "sequences of vectors"

    steps: StrictInt = Field(ge=1)
    test_steps: StrictInt = Field(ge=1)
    threshold: Annotated[StrictFloat, Field(gt=0)] | Literal["perturbed"] = "perturbed"
    """The test error must be below this number, or below the error of a network whose weights are slightly off."""

    @classmethod
    def claims(cls, fields: dict[str, Any]) -> bool:
        """Tell whether fields have a number of steps."""
        return "steps" in fields

    @property
    def label(self) -> str:
        """Return the test length, which distinguishes the tasks of one network."""
        return f"{self.test_steps} steps"

    @property
    def trained_on(self) -> str:
        """Describe the training data: the number of vectors and their range."""
        return f"{self.steps} × {self.train.label}"

    @property
    def tested_on(self) -> str:
        """Describe the test data: the number of vectors and their range."""
        return f"{self.test_steps} × {self.test.label}"

    @property
    def training(self) -> Self:
        """Return the task with its training data as its test data, and default thresholds."""
        tested = {"test": self.train, "test_steps": self.steps}
        return self.model_copy(update=tested | {"threshold": "perturbed", "judged_rows": JUDGED_ROWS})

    @property
    def limit(self) -> float:
        """Return the threshold.

        Raises:
            ValueError: the error of a network whose weights are slightly off is not finite.
        """

        def simulated() -> float:
            from nalm.tasks.vectors.thresholds import perturbed_sequence_error

            return perturbed_sequence_error(self)

        if isinstance(self.threshold, str):
            return remembered("threshold", self.model_dump_json(), simulated)
        return self.threshold

    @property
    def module_inputs(self) -> int:
        """Return how many numbers a vector and the cell's states have."""
        return self.input_size + self.hidden_size

    @property
    def steps_per_sequence(self) -> int:
        """Return the number of vectors in a training sequence."""
        return self.steps

    @property
    def numbers_per_step(self) -> int:
        """Return how many numbers a vector and the cell's states have."""
        return self.module_inputs

    def build(self, recipe: Recipe) -> nn.Module:
        """Build the cell and the layer on its last states."""
        return recipe.build(self.module_inputs, self.hidden_size)

    def network(self, recipe: Recipe) -> RecurrentNetwork:
        """Build the recurrent network of the cell and the second layer."""
        from nalm.tasks.vectors.network import VectorNetwork

        return VectorNetwork(self, recipe)

    def data(self, tasks: Sequence[VectorTask], seed: int, recipe: Recipe, device: torch.device) -> Data:
        """Prepare sequences of vectors."""
        from nalm.tasks.vectors.data import VectorData

        return VectorData(self, tasks, seed, recipe, device)

    def check_network(self, recipe: Recipe) -> None:
        """Check that the recipe has a cell and a second layer, and that they fit together.

        Raises:
            ValueError: one of them is missing or does not fit.
        """
        from nalm.modules.two_layers import TwoLayers

        if recipe.second is None:
            raise ValueError(
                f"found no second module with {self.learnt_from}, expected one for the last states of the first"
            )
        if recipe.second.name in CELLS:
            raise ValueError(f"found second {recipe.second.name}, expected a module without states")
        module = self.probe(recipe)
        assert isinstance(module, TwoLayers)
        check_noise(recipe.architecture, module, self)
        recipe.check_terms({*PARAMETER_NORMS, *module.regularizers()})
        recipe.check_starts(module)
        if recipe.module.name not in CELLS:
            recipe.check(self.module_inputs, self.hidden_size)
