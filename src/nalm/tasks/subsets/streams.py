"""The random streams of many runs, drawn exactly as the original draws them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from nalm.modules.operations import OPERATIONS
from nalm.spec.ranges import PlaceDraws, Range
from nalm.training.ensemble.data import Batch, HeldOut

if TYPE_CHECKING:
    from nalm.tasks.subsets.task import SubsetTask, SumsTask

__all__ = ["RunLayout", "Sampler", "fixed_test_rows", "parent_draws", "sample"]

VALIDATION_SEED = 43953907
TEST_SEED = 8689336
HELD_OUT_ROWS = 10_000
FEW_COLUMNS = 16
"""Up to this number of inputs, an operand's columns are gathered and summed; with more, all columns are summed with
weights of 0 and 1.
"""
WORDS = 624
"""Number of words in the state of a Mersenne Twister."""


class RunLayout(NamedTuple):
    """Tensors that map the draws of shared streams to the batch of each run.

    Arguments:
        stream_index: position of each run's stream, ``(runs)``.
        corners: parameters of the ranges, each ``(runs, n, columns or 1, 1)``, float64.
        operands: for each operand, the columns that it sums, ``(runs, length)``; with many inputs, weights of 1 for
            those columns and 0 for all others, ``(runs, columns)``, float64.
        operations: for each operation except the first, whether a run has it, ``(runs, 1)``.
    """

    stream_index: Tensor
    corners: tuple[Tensor, ...]
    operands: tuple[Tensor, ...]
    operations: tuple[Tensor, ...]


Ends = tuple[int, int]
"""The first column of a slice, and the column after its last."""


def _batch(
    drawn: Tensor, layout: RunLayout, place: PlaceDraws, operations: Sequence[str], dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Return inputs ``(runs, columns, rows)`` and targets ``(runs, rows)`` of one iteration from its draws.

    Everything is computed in float64 and rounded at the end: targets are those of the inputs before rounding.
    """
    inputs = place(drawn[layout.stream_index], *layout.corners)
    sums = [_sum(inputs, operand) for operand in layout.operands]
    rounded = inputs.to(dtype)
    targets = OPERATIONS[operations[0]].apply(sums)
    for operation, has_it in zip(operations[1:], layout.operations, strict=True):
        targets = torch.where(has_it, OPERATIONS[operation].apply(sums), targets)
    return rounded, targets.to(dtype)


def _sum(inputs: Tensor, operand: Tensor) -> Tensor:
    """Sum an operand's columns of every run, ``(runs, columns, rows)`` to ``(runs, rows)``."""
    if operand.is_floating_point():
        return (inputs * operand.unsqueeze(-1)).sum(1)
    return inputs.gather(1, operand.unsqueeze(-1).expand(-1, -1, inputs.shape[-1])).sum(1)


class Sampler:
    """Training batches and evaluation data for the runs of a shard.

    The stream of a run is numpy's ``RandomState``; its seed is drawn from the run's seed. Runs of one seed share a
    stream, because their ranges draw from it in the same way. The compiled step maps the draws to each run's range, in
    float64, and rounds inputs only after targets are computed.

    Arguments:
        runs: task and seed of each run. The tasks may differ in their intervals, operations and overlaps only.
        batch_size: number of rows in a training batch.
        dtype: precision of inputs and targets.
        device: device of the batches.
        faster: makes a faster stream from a seed. It has the interface of ``RandomState``, but draws with ``fill`` the
            numbers of ``random_sample``.

    Raises:
        ValueError: the tasks differ in more.
    """

    def __init__(
        self,
        runs: Sequence[tuple[SubsetTask, int]],
        batch_size: int,
        dtype: torch.dtype,
        device: torch.device,
        faster: Callable[[int], Any] | None = None,
    ):
        first = runs[0][0]
        if len({task.group for task, _ in runs}) > 1:
            raise ValueError("runs that train together must have the same input layout, hidden size and kind of range")
        self.batch_size = batch_size
        self.dtype = dtype
        self.device = device
        self.columns = first.input_size
        self.operations = list(dict.fromkeys(task.operation for task, _ in runs))
        self._group = first.group
        self._range = first.train
        self.batch: Batch = partial(_batch, place=first.train.place, operations=self.operations, dtype=dtype)

        offsets, stream_seeds = zip(*(parent_draws(task, seed) for task, seed in runs), strict=True)
        self._seeds = distinct = sorted(set(stream_seeds))
        self._fills = faster is not None and type(first.train).draw is Range.draw
        make_stream = faster if faster is not None and self._fills else np.random.RandomState
        self._streams: list[Any] = [make_stream(seed) for seed in distinct]
        self._idle: set[int] = set()
        corners = zip(*(task.train.corners(self.columns) for task, _ in runs), strict=True)
        slices = [task.slices(offset) for (task, _), offset in zip(runs, offsets, strict=True)]
        self.layout = RunLayout(
            stream_index=torch.tensor([distinct.index(seed) for seed in stream_seeds], device=device),
            corners=tuple(torch.stack(values).to(device) for values in corners),
            operands=tuple(self._operand(list(ends)) for ends in zip(*slices, strict=True)),
            operations=tuple(
                torch.tensor([[task.operation == operation] for task, _ in runs], device=device)
                for operation in self.operations[1:]
            ),
        )
        tasks, operations = [task for task, _ in runs], [task.operation for task, _ in runs]
        self.validation = self._held_out([task.train for task in tasks], slices, operations, VALIDATION_SEED)
        self.test = self._held_out([task.test for task in tasks], slices, operations, TEST_SEED)

    @property
    def structure(self) -> Hashable:
        """Return everything about the data that a compiled step depends on: shapes and operations, not numbers."""
        tensors = (*self.layout.operands, *self.validation, *self.test)
        return self._group, tuple(self.operations), tuple(tuple(tensor.shape) for tensor in tensors)

    @property
    def numbers_per_batch(self) -> int:
        """Return how many random numbers one iteration takes, over all streams."""
        return len(self._streams) * self._range.layers * self.columns * self.batch_size

    def draw(self, batches: int) -> Tensor:
        """Draw the numbers of the next batches, ``(batches, streams, layers, columns, rows)``, float64."""
        drawn = np.empty((batches, len(self._streams), self._range.layers, self.columns, self.batch_size))
        for index, stream in enumerate(self._streams):
            if index in self._idle:
                drawn[:, index] = 0
            elif self._fills:
                stream.fill(drawn[:, index, 0])
            else:
                drawn[:, index] = self._range.draw(stream, batches, self.batch_size, self.columns)
        return torch.from_numpy(drawn).to(self.device)

    def draw_only_for(self, runs: Sequence[int]) -> None:
        """Stop drawing from streams that none of these runs uses; their numbers are replaced by 0."""
        used = set(self.layout.stream_index[list(runs)].tolist())
        self._idle = set(range(len(self._streams))) - used

    def take_over(self, other: Sampler) -> None:
        """Continue the streams of a sampler that has these runs and more."""
        known = dict(zip(other._seeds, other._streams, strict=True))
        self._streams = [known[seed] for seed in self._seeds]

    def state(self) -> dict[str, Tensor]:
        """Return the state of the streams: ``words (streams, 625)`` and ``gauss (streams, 2)``.

        The last of the words is the position. ``gauss`` is whether a stream has cached a normal number, and the number.
        """
        _, words, positions, has_gauss, gauss = zip(*(stream.get_state() for stream in self._streams), strict=True)
        numbers = np.column_stack([np.stack(words).astype(np.int64), positions])
        return {"words": torch.from_numpy(numbers), "gauss": torch.tensor([has_gauss, gauss], dtype=torch.float64).T}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Restore the state of the streams.

        Raises:
            ValueError: the state belongs to another number of streams, or is damaged.
        """
        words, gauss = state["words"].numpy(), state["gauss"].numpy()
        positions = words[:, -1]
        if words.shape != (len(self._streams), WORDS + 1) or not ((positions >= 0) & (positions <= WORDS)).all():
            raise ValueError(f"found no state of {len(self._streams)} random streams")
        for stream, row, (has_gauss, cached) in zip(self._streams, words, gauss.tolist(), strict=True):
            *numbers, position = row.tolist()
            stream.set_state(("MT19937", np.array(numbers, dtype=np.uint32), position, int(has_gauss), cached))

    def _operand(self, slices: Sequence[Ends]) -> Tensor:
        """Return the columns that an operand sums, for every run (see ``RunLayout``)."""
        if self.columns <= FEW_COLUMNS:
            return torch.tensor([range(*ends) for ends in slices], device=self.device)
        chosen = torch.zeros(len(slices), self.columns, dtype=torch.float64)
        for run, (start, end) in enumerate(slices):
            chosen[run, start:end] = 1
        return chosen.to(self.device)

    def _held_out(
        self, ranges: Sequence[Range], slices: Sequence[Sequence[Ends]], operations: Sequence[str], seed: int
    ) -> HeldOut:
        distinct_ranges = list(dict.fromkeys(ranges))
        cases = list(zip(ranges, map(tuple, slices), operations, strict=True))
        distinct_cases = list(dict.fromkeys(cases))
        inputs = {drawn_from: _held_out_inputs(drawn_from, self.columns, seed) for drawn_from in distinct_ranges}
        targets = [
            _targets(inputs[drawn_from], operands, operation) for drawn_from, operands, operation in distinct_cases
        ]
        return HeldOut(
            inputs=torch.stack(list(inputs.values())).to(self.device, self.dtype),
            targets=torch.stack(targets).to(self.device, self.dtype),
            input_index=torch.tensor([distinct_ranges.index(drawn_from) for drawn_from in ranges], device=self.device),
            target_index=torch.tensor([distinct_cases.index(case) for case in cases], device=self.device),
        )


def parent_draws(task: SumsTask, seed: int) -> tuple[int, int]:
    """Return the offset of the slices and the seed of the training stream, as the original draws them."""
    parent = np.random.RandomState(seed)
    offset = task.offset(parent)
    return offset, int(parent.randint(0, 2**32 - 1, dtype=np.int64))


def fixed_test_rows(task: SubsetTask, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return the test data with the slices at offset 0: inputs ``(rows, columns)`` and targets ``(rows, 1)``."""
    inputs = _held_out_inputs(task.test, task.input_size, TEST_SEED)
    targets = _targets(inputs, task.slices(0), task.operation)
    return inputs.T.to(dtype).contiguous(), targets.to(dtype).unsqueeze(-1)


@lru_cache(maxsize=64)
def _held_out_inputs(drawn_from: Range, columns: int, seed: int) -> Tensor:
    return sample(drawn_from, np.random.RandomState(seed), HELD_OUT_ROWS, columns)


def sample(drawn_from: Range, rng: np.random.RandomState, rows: int, columns: int) -> Tensor:
    """Draw inputs, ``(columns, rows)``, float64."""
    drawn = drawn_from.draw(rng, 1, rows, columns)
    return drawn_from.place(torch.from_numpy(drawn[0]), *drawn_from.corners(columns))


def _targets(inputs: Tensor, slices: Sequence[Ends], operation: str) -> Tensor:
    """Apply the operation to sums of columns: ``(columns, rows)`` to ``(rows)``."""
    return OPERATIONS[operation].apply([inputs[start:end].sum(0) for start, end in slices])
