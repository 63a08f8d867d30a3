"""What trains the runs of a shard, whatever is learnt."""

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import nn

from nalm.training.history import History

__all__ = ["Hook", "Trainer"]

Hook = Callable[[Any], None]
"""Called with the trainer itself."""


class Trainer(Protocol):
    """Trains the runs of a shard: an ensemble of modules, or one network that several runs share."""

    iteration: int
    """The next iteration to train."""
    history: History
    device: torch.device

    @property
    def compiled(self) -> bool:
        """Whether training steps are compiled."""

    def train(self, on_evaluation: Hook = ..., on_pause: Hook = ...) -> History:
        """Train to the end with one thread and return what happened.

        Arguments:
            on_evaluation: called after every evaluation.
            on_pause: called every few iterations, when :meth:`state_dict` has everything.
        """

    def module(self, run: int) -> nn.Module:
        """Return the module of one run as it is now, in evaluation mode."""

    def state_dict(self) -> dict[str, Any]:
        """Return everything that training needs to resume, bit by bit, as tensors and numbers."""

    def load_state_dict(self, state: Any) -> None:
        """Restore a state into a trainer that has not trained yet.

        Raises:
            ValueError: the state belongs to other runs; the trainer is of no use from then on.
        """
