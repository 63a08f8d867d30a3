"""What tasks on sequences have in common, whatever these are of."""

from abc import abstractmethod
from typing import ClassVar, Self

from nalm.tasks.subsets.task import Task

__all__ = ["OF_INPUTS", "RecurrentTask"]

OF_INPUTS = ("train", "test", "subset_ratio", "overlap_ratio", "subsets", "simple", "hidden_size")
"""Fields of tasks whose inputs are drawn."""


class RecurrentTask(Task):
    """What is to be learnt from sequences, by a recurrent network that trains by itself.

    Tasks that differ in nothing but what they are tested on, and in how they are judged, are learnt by one and the same
    network. A kind of task is one class of these, with a line in ``kinds.py``, and what trains it with one in the
    ``kinds.py`` of training.
    """

    learnt_from: ClassVar[str]
    """For people: sequences of what."""

    @property
    @abstractmethod
    def training(self) -> Self:
        """What tasks have in common that one network learns."""

    @property
    @abstractmethod
    def limit(self) -> float:
        """What a run's test error must be below; NaN where only other runs can tell: no error is good enough."""

    @property
    @abstractmethod
    def training_steps(self) -> int:
        """How many steps a sequence has in training."""

    @property
    @abstractmethod
    def numbers_per_step(self) -> int:
        """What a step takes, in proportion to that of others."""
