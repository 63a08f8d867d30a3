"""The data that an ensemble trains on and is evaluated on."""

from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple, Protocol

from torch import Tensor

__all__ = ["Batch", "HeldOut", "MakeSampler", "RunLayout", "Sampler"]

RunLayout = Any
"""Nested tuples of tensors: how shared draws become the batch of each run; only the sampler knows more."""

Batch = Callable[[Tensor, RunLayout], tuple[Tensor, Tensor]]
"""Maps the draws of one iteration to inputs ``(runs, columns, rows)`` and targets ``(runs, rows)``."""


class HeldOut(NamedTuple):
    """Fixed evaluation data; runs with the same range share their inputs.

    Shapes: ``inputs (distinct ranges, columns, rows)``, ``targets (distinct targets, rows)``; ``input_index`` and
    ``target_index`` tell which is each run's.
    """

    inputs: Tensor
    targets: Tensor
    input_index: Tensor
    target_index: Tensor


class Sampler(Protocol):
    """Training batches and evaluation data for the runs of an ensemble."""

    columns: int
    """Inputs of a row."""
    batch: Batch
    layout: RunLayout
    validation: HeldOut
    test: HeldOut

    @property
    def structure(self) -> Hashable:
        """Everything about the data that a compiled step depends on: shapes and operations, not numbers."""

    @property
    def numbers_per_batch(self) -> int:
        """Random numbers that one iteration takes, over all streams."""

    def draw(self, batches: int) -> Tensor:
        """Draw the numbers of the next batches, batches first."""

    def draw_only_for(self, runs: Sequence[int]) -> None:
        """Stop drawing from streams that none of these runs uses."""

    def take_over(self, other: Any) -> None:
        """Continue the streams of a sampler of more runs."""

    def state(self) -> dict[str, Tensor]:
        """Return where the streams are."""

    def restore(self, state: dict[str, Tensor]) -> None:
        """Put the streams where they were.

        Raises:
            ValueError: the state is of other streams.
        """


MakeSampler = Callable[[Sequence[int]], Sampler]
"""Makes the sampler of some of an ensemble's runs, given by position."""
