"""The task of translating numbers from words, such as ``one hundred and five``."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

import torch
from pydantic import Field, StrictFloat, StrictInt

from nalm.spec.recipe import HIDDEN_SIZE, Recipe
from nalm.spec.thresholds import JUDGED_ROWS
from nalm.tasks.recurrent import RecurrentTask, check_cell
from nalm.tasks.words.words import LARGEST, TESTED, TOKENS, VALIDATED

if TYPE_CHECKING:
    from nalm.training.recurrent import Data, RecurrentNetwork

__all__ = ["WordTask"]


class WordTask(RecurrentTask):
    """Learns the number from the words of a number from 1 to 999.

    A network reads one word after the other, with embeddings and a cell of ``hidden_size``; its state after the last
    word is the result. ``operation: translate`` tells this task from others.

    The default threshold of 0.25 is that of a typical error (the root of their mean square) below one half, with which
    a number is rounded to the right one. It is a choice of this library: the original has none.

    References:
        Neural Arithmetic Logic Units (Trask et al., 2018), https://arxiv.org/abs/1808.00508, of which this is the task
        as the code of Neural Arithmetic Units (Madsen & Johansen, ICLR 2020), https://arxiv.org/abs/2001.05016, has it
    """

    learnt_from: ClassVar[str] = "number words"

    operation: Literal["translate"]
    hidden_size: StrictInt = Field(HIDDEN_SIZE, ge=1)
    threshold: Annotated[StrictFloat, Field(gt=0)] = 0.25
    judged_rows: StrictInt = Field(JUDGED_ROWS, ge=1)
    """Among how many of a run's last evaluations the best is looked for."""

    @classmethod
    def claims(cls, fields: dict[str, Any]) -> bool:
        """Tell whether fields ask for a translation."""
        return fields.get("operation") == "translate"

    @property
    def label(self) -> str:
        """The range of the numbers."""
        return f"1 to {LARGEST}"

    @property
    def trained_on(self) -> str:
        """How many numbers."""
        return f"{LARGEST - TESTED - VALIDATED} numbers"

    @property
    def tested_on(self) -> str:
        """How many numbers."""
        return f"{TESTED} others"

    @property
    def training(self) -> Self:
        """The task with default thresholds."""
        return self.model_copy(update={"threshold": 0.25, "judged_rows": JUDGED_ROWS})

    @property
    def limit(self) -> float:
        """The threshold."""
        return self.threshold

    @property
    def columns(self) -> int:
        """What the reader says of a word, and the last result."""
        return self.module_inputs

    @property
    def module_inputs(self) -> int:
        """What the reader says of a word, and the last result."""
        return self.hidden_size + 1

    @property
    def steps_per_sequence(self) -> int:
        """Words of the longest number, to which others are padded."""
        return TOKENS

    @property
    def numbers_per_step(self) -> int:
        """What the reader says of a word, and the last result."""
        return self.module_inputs

    def network(self, recipe: Recipe) -> "RecurrentNetwork":
        """Build the embedding, the reader and the module."""
        from nalm.tasks.words.network import WordNetwork

        return WordNetwork(self, recipe)

    def data(self, tasks: Sequence["WordTask"], seed: int, recipe: Recipe, device: torch.device) -> "Data":
        """Prepare numbers and their words."""
        from nalm.tasks.words.data import WordData

        return WordData(self, tasks, seed, recipe, device)

    def check_network(self, recipe: Recipe) -> None:
        """Check that the module is a cell with one state.

        Raises:
            ValueError: it is not.
        """
        check_cell(recipe, self)
