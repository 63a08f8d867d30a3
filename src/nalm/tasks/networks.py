"""Which network learns a kind of task, from which data, and which recipes make sense with it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nalm.spec.recipe import Recipe
from nalm.tasks.digits.network import DigitData, DigitNetwork, check_digits
from nalm.tasks.digits.task import SequenceTask
from nalm.tasks.recurrent import RecurrentTask
from nalm.tasks.vectors.network import VectorData, VectorNetwork, check_vectors
from nalm.tasks.vectors.task import VectorTask
from nalm.tasks.words.network import WordData, WordNetwork
from nalm.tasks.words.task import WordTask
from nalm.training.recurrent import Data, RecurrentNetwork, check_cell

__all__ = ["Kind", "check_sequence", "kind_of"]

REFUSED = ("reinitialize", "stop_when_solved")
"""Fields of recipes that networks which train by themselves cannot have."""


@dataclass(frozen=True)
class Kind:
    """What is particular about learning a kind of task.

    Arguments:
        network: made from task and recipe.
        data: made from a task, all tasks that the network is tested on, the seed, the recipe and the device.
        check: raises a ValueError if the network of a recipe cannot be trained on a task.
    """

    network: Callable[..., RecurrentNetwork]
    data: Callable[..., Data]
    check: Callable[[Recipe, Any], None]


KINDS: dict[type[RecurrentTask], Kind] = {
    SequenceTask: Kind(DigitNetwork, DigitData, check_digits),
    VectorTask: Kind(VectorNetwork, VectorData, check_vectors),
    WordTask: Kind(WordNetwork, WordData, check_cell),
}


def kind_of(task: RecurrentTask) -> Kind:
    """What is particular about learning a task."""
    return KINDS[type(task)]


def check_sequence(recipe: Recipe, task: RecurrentTask) -> None:
    """Checks that a network with the recipe's module can be trained on a task.

    Raises:
        ValueError: it cannot.
    """
    for field in REFUSED:
        if getattr(recipe, field):
            raise ValueError(f"found {field} with {task.learnt_from}, expected none")
    kind_of(task).check(recipe, task)
