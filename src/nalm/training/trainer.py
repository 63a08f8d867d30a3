"""The interface of everything that trains the runs of a shard."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from nalm.training.history import History

if TYPE_CHECKING:
    import torch
    from torch import nn

__all__ = ["Hook", "Trainer"]

Hook = Callable[[Any], None]
"""A function that a trainer calls with itself."""


class Trainer(Protocol):
    """A trainer of the runs of a shard: an ensemble of modules, or one network that several runs share."""

    iteration: int
    """The next iteration to train."""
    history: History
    device: torch.device

    @property
    def compiled(self) -> bool:
        """Tell whether training steps are compiled."""

    def train(self, on_evaluation: Hook = ..., on_pause: Hook = ...) -> History:
        """Train to the end with one thread and return the history.

        Arguments:
            on_evaluation: called after every evaluation.
            on_pause: called every few iterations, when :meth:`state_dict` is complete.
        """

    def module(self, run: int) -> nn.Module:
        """Return the module of one run with its current parameters, in evaluation mode."""

    def state_dict(self) -> dict[str, Any]:
        """Return everything that training needs to resume bit by bit, as tensors and numbers."""

    def load_state_dict(self, state: Any) -> None:
        """Restore a state into a trainer that has not trained yet.

        Raises:
            ValueError: the state belongs to other runs; the trainer must not be used afterwards.
        """
