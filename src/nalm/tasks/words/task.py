"""The task of translating number words, such as ``one hundred and five``, to numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, StrictFloat, StrictInt

from nalm.spec.recipe import HIDDEN_SIZE, MOST_UNITS, Recipe
from nalm.spec.thresholds import JUDGED_ROWS
from nalm.tasks.recurrent import RecurrentTask, check_cell
from nalm.tasks.words.words import LARGEST, TESTED, TOKENS, VALIDATED

if TYPE_CHECKING:
    import torch

    from nalm.training.recurrent import Data, RecurrentNetwork

__all__ = ["WordTask"]


class WordTask(RecurrentTask):
    """Translation of the English words of a number from 1 to 999 to the number.

    A network reads one word per step, with embeddings and an LSTM of ``hidden_size``; its state after the last word is
    the result. ``operation: translate`` selects this task.

    The default threshold is 0.25: the root of the mean squared error is below one half, so a typical result rounds to
    the right number. It is a choice of this library; the original has none.

    References:
        Neural Arithmetic Logic Units (Trask et al., 2018), https://arxiv.org/abs/1808.00508, as implemented in the code
        of Neural Arithmetic Units (Madsen & Johansen, ICLR 2020), https://arxiv.org/abs/2001.05016
    """

    learnt_from: ClassVar[str] = "number words"

    operation: Literal["translate"]
    hidden_size: StrictInt = Field(HIDDEN_SIZE, ge=1, le=MOST_UNITS)
    threshold: Annotated[StrictFloat, Field(gt=0)] = 0.25
    judged_rows: StrictInt = Field(JUDGED_ROWS, ge=1)
    """How many of a run's last evaluations are searched for the best."""

    @classmethod
    def claims(cls, fields: dict[str, Any]) -> bool:
        """Tell whether fields ask for a translation."""
        return fields.get("operation") == "translate"

    @property
    def label(self) -> str:
        """Return the range of the numbers."""
        return f"1 to {LARGEST}"

    @property
    def trained_on(self) -> str:
        """Describe the training data: how many numbers there are."""
        return f"{LARGEST - TESTED - VALIDATED} numbers"

    @property
    def tested_on(self) -> str:
        """Describe the test data: how many numbers there are."""
        return f"{TESTED} others"

    @property
    def training(self) -> Self:
        """Return the task with default thresholds."""
        return self.model_copy(update={"threshold": 0.25, "judged_rows": JUDGED_ROWS})

    @property
    def limit(self) -> float:
        """Return the threshold."""
        return self.threshold

    @property
    def columns(self) -> int:
        """Return how many numbers the LSTM's output and the last result have."""
        return self.module_inputs

    @property
    def module_inputs(self) -> int:
        """Return how many numbers the LSTM's output and the last result have."""
        return self.hidden_size + 1

    @property
    def steps_per_sequence(self) -> int:
        """Return the number of words of the longest number; all others are padded to it."""
        return TOKENS

    @property
    def numbers_per_step(self) -> int:
        """Return how many numbers the LSTM's output and the last result have."""
        return self.module_inputs

    def network(self, recipe: Recipe) -> RecurrentNetwork:
        """Build the embedding, the LSTM and the module."""
        from nalm.tasks.words.network import WordNetwork

        return WordNetwork(self, recipe)

    def data(self, tasks: Sequence[WordTask], seed: int, recipe: Recipe, device: torch.device) -> Data:
        """Prepare numbers and their words."""
        from nalm.tasks.words.data import WordData

        return WordData(self, tasks, seed, recipe, device)

    def check_network(self, recipe: Recipe) -> None:
        """Check that the module can be used as a cell with one state.

        Raises:
            ValueError: it cannot.
        """
        check_cell(recipe, self)
