"""The interfaces of recurrent networks, which learn from sequences, and of their data."""

from abc import ABC, abstractmethod
from typing import Any, Protocol

from torch import Tensor, nn

from nalm.modules.base import ArithmeticModule

__all__ = ["Data", "RecurrentNetwork"]


class RecurrentNetwork(nn.Module, ABC):
    """A network around an arithmetic module. Only the module is projected, regularized and stored."""

    module: nn.Module

    @abstractmethod
    def reset_parameters(self) -> None:
        """Draw new initial parameters."""

    @abstractmethod
    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Map sequences ``(n, steps, …)`` to results ``(n, results)``; return these and all inputs of the module."""

    def regularizers(self, inputs: Tensor) -> dict[str, Tensor]:
        """Return the module's regularizer terms by name."""
        return self.module.regularizers(inputs) if isinstance(self.module, ArithmeticModule) else {}


class Data(Protocol):
    """Training batches, validation data and test data of a recurrent network."""

    def batch(self, iteration: int) -> tuple[Tensor, Tensor]:
        """Return inputs and targets ``(n, results)`` of one iteration; earlier calls don't matter."""

    def errors(self, network: Any) -> tuple[float, list[float]]:
        """Return the validation error and every run's test error of a network in evaluation mode."""
