"""Networks that learn from sequences by themselves, and the data that they are trained and tested on."""

from abc import ABC, abstractmethod
from typing import Any, Protocol

from torch import Tensor, nn

from nalm.modules.base import ArithmeticModule

__all__ = ["Data", "RecurrentNetwork"]


class RecurrentNetwork(nn.Module, ABC):
    """A network around a module that calculates: only the module is projected, regularized and stored."""

    module: nn.Module

    @abstractmethod
    def reset_parameters(self) -> None:
        """Draw new initial parameters."""

    @abstractmethod
    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Map sequences ``(n, steps, …)`` to results ``(n, results)`` and all inputs of the module on the way."""

    def regularizers(self, inputs: Tensor) -> dict[str, Tensor]:
        """Return the module's regularizer terms by name."""
        return self.module.regularizers(inputs) if isinstance(self.module, ArithmeticModule) else {}


class Data(Protocol):
    """What a network is trained on, and where errors are measured."""

    def batch(self, iteration: int) -> tuple[Tensor, Tensor]:
        """Return the network's inputs and results ``(n, results)`` of one iteration, whichever came before."""

    def errors(self, network: Any) -> tuple[float, list[float]]:
        """Return the validation error, and the test error of every run, of a network in evaluation mode."""
