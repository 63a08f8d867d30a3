"""The interface of an ensemble's training batches and evaluation data."""

from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple, Protocol

from torch import Tensor

__all__ = ["Batch", "HeldOut", "MakeSampler", "RunLayout", "Sampler"]

RunLayout = Any
"""Nested tuples of tensors that map shared draws to each run's batch. Only the sampler knows their meaning."""

Batch = Callable[[Tensor, RunLayout], tuple[Tensor, Tensor]]
"""Maps the draws of one iteration to inputs ``(runs, columns, rows)`` and targets ``(runs, rows)``."""


class HeldOut(NamedTuple):
    """Fixed evaluation data. Runs with the same range share their inputs.

    Shapes: ``inputs (distinct ranges, columns, rows)``, ``targets (distinct targets, rows)``, and the position of each
    run's inputs and targets, ``input_index (runs)`` and ``target_index (runs)``.
    """

    inputs: Tensor
    targets: Tensor
    input_index: Tensor
    target_index: Tensor


class Sampler(Protocol):
    """Training batches and evaluation data for the runs of an ensemble."""

    columns: int
    """Number of inputs in a row."""
    batch: Batch
    layout: RunLayout
    validation: HeldOut
    test: HeldOut

    @property
    def structure(self) -> Hashable:
        """Return everything about the data that a compiled step depends on: shapes and operations, not numbers."""

    @property
    def numbers_per_batch(self) -> int:
        """Return how many random numbers one iteration takes, over all streams."""

    def draw(self, batches: int) -> Tensor:
        """Draw the random numbers of the next batches; the first dimension counts the batches."""

    def draw_only_for(self, runs: Sequence[int]) -> None:
        """Stop drawing from streams that none of these runs uses."""

    def take_over(self, other: Any) -> None:
        """Continue the streams of a sampler that has these runs and more."""

    def state(self) -> dict[str, Tensor]:
        """Return the state of the random streams."""

    def restore(self, state: dict[str, Tensor]) -> None:
        """Restore the state of the random streams.

        Raises:
            ValueError: the state belongs to other streams.
        """


MakeSampler = Callable[[Sequence[int]], Sampler]
"""Makes a sampler for some of an ensemble's runs, given by position."""
