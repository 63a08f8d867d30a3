"""The random streams of many runs at once, exactly as the original draws them."""

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
"""Up to so many columns, those of an operand are looked up; the sum of more is one of all, with weights of 0 and 1."""
WORDS = 624
"""Of a Mersenne twister's state."""


class RunLayout(NamedTuple):
    """How the draws of shared streams become each run's batch.

    Shapes: ``stream_index (runs)``; corners of the ranges, each ``(runs, n, columns or 1, 1)``, float64; for each
    operand, the columns of the input that it sums, ``(runs, length)``, or if there are many, 1 for those and 0 for
    others, ``(runs, columns)``, float64; if there are several operations, whether it is a run's, for each but the
    first, ``(runs, 1)``.
    """

    stream_index: Tensor
    corners: tuple[Tensor, ...]
    operands: tuple[Tensor, ...]
    operations: tuple[Tensor, ...]


Ends = tuple[int, int]
"""The first column of a slice, and the one after its last."""


def _batch(
    drawn: Tensor, layout: RunLayout, place: PlaceDraws, operations: Sequence[str], dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Inputs ``(runs, columns, rows)`` and targets ``(runs, rows)`` of one iteration from its draws.

    Everything is computed in float64 and rounded at the end, so targets belong to the inputs before rounding.
    """
    inputs = place(drawn[layout.stream_index], *layout.corners)
    sums = [_sum(inputs, operand) for operand in layout.operands]
    rounded = inputs.to(dtype)
    targets = OPERATIONS[operations[0]].apply(sums)
    for operation, has_it in zip(operations[1:], layout.operations, strict=True):
        targets = torch.where(has_it, OPERATIONS[operation].apply(sums), targets)
    return rounded, targets.to(dtype)


def _sum(inputs: Tensor, operand: Tensor) -> Tensor:
    """The sum of some columns of every run, ``(runs, columns, rows)`` to ``(runs, rows)``."""
    if operand.is_floating_point():
        return (inputs * operand.unsqueeze(-1)).sum(1)
    return inputs.gather(1, operand.unsqueeze(-1).expand(-1, -1, inputs.shape[-1])).sum(1)


class Sampler:
    """Training batches and evaluation data for the runs of a shard.

    Every run's stream is numpy's ``RandomState`` with the seed that its own seed yields. Runs of one seed, whose
    ranges consume the stream in the same way, share one: the draws are mapped to each run's range afterwards, in
    float64 inside the compiled step, and rounded only after the target is computed.

    Arguments:
        runs: task and seed of each run; the tasks must be alike in all but their intervals, operations and overlaps.
        batch_size: rows of a training batch.
        dtype: precision of inputs and targets.
        device: where batches are needed.
        faster: makes a stream from a seed whose ``fill`` draws what ``RandomState.random_sample`` does, and which
            otherwise is like it.

    Raises:
        ValueError: the tasks differ in more than that.
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
        self._resting: set[int] = set()
        corners = zip(*(task.train.corners(self.columns) for task, _ in runs), strict=True)
        slices = [task.slices(offset) for (task, _), offset in zip(runs, offsets, strict=True)]
        self.layout = RunLayout(
            stream_index=torch.tensor([distinct.index(seed) for seed in stream_seeds], device=device),
            corners=tuple(torch.stack(of_runs).to(device) for of_runs in corners),
            operands=tuple(self._operand(list(of_runs)) for of_runs in zip(*slices, strict=True)),
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
        """Everything about the data that a compiled step depends on: shapes and operations, not numbers."""
        tensors = (*self.layout.operands, *self.validation, *self.test)
        return self._group, tuple(self.operations), tuple(tuple(tensor.shape) for tensor in tensors)

    @property
    def numbers_per_batch(self) -> int:
        """Random numbers that one iteration takes, over all streams."""
        return len(self._streams) * self._range.layers * self.columns * self.batch_size

    def draw(self, batches: int) -> Tensor:
        """Draws the numbers of the next batches, ``(batches, streams, layers, columns, rows)``, float64."""
        drawn = np.empty((batches, len(self._streams), self._range.layers, self.columns, self.batch_size))
        for index, stream in enumerate(self._streams):
            if index in self._resting:
                drawn[:, index] = 0
            elif self._fills:
                stream.fill(drawn[:, index, 0])
            else:
                drawn[:, index] = self._range.draw(stream, batches, self.batch_size, self.columns)
        return torch.from_numpy(drawn).to(self.device)

    def draw_only_for(self, runs: Sequence[int]) -> None:
        """Lets streams rest that none of these runs has: 0 takes the place of their numbers."""
        awake = set(self.layout.stream_index[list(runs)].tolist())
        self._resting = set(range(len(self._streams))) - awake

    def take_over(self, other: Sampler) -> None:
        """Takes over the streams of a sampler of more runs, where they are."""
        known = dict(zip(other._seeds, other._streams, strict=True))
        self._streams = [known[seed] for seed in self._seeds]

    def state(self) -> dict[str, Tensor]:
        """Where the streams are: ``words (streams, 625)``, the last of which is a position, and ``gauss (streams, 2)``,
        whether a stream has kept a normal number, and which.
        """
        _, words, positions, has_gauss, gauss = zip(*(stream.get_state() for stream in self._streams), strict=True)
        numbers = np.column_stack([np.stack(words).astype(np.int64), positions])
        return {"words": torch.from_numpy(numbers), "gauss": torch.tensor([has_gauss, gauss], dtype=torch.float64).T}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Puts the streams to where they were.

        Raises:
            ValueError: it is not a state of so many streams.
        """
        words, gauss = state["words"].numpy(), state["gauss"].numpy()
        positions = words[:, -1]
        if words.shape != (len(self._streams), WORDS + 1) or not ((positions >= 0) & (positions <= WORDS)).all():
            raise ValueError(f"found no state of {len(self._streams)} random streams")
        for stream, of_stream, (has_gauss, kept) in zip(self._streams, words, gauss.tolist(), strict=True):
            *numbers, position = of_stream.tolist()
            stream.set_state(("MT19937", np.array(numbers, dtype=np.uint32), position, int(has_gauss), kept))

    def _operand(self, slices: Sequence[Ends]) -> Tensor:
        """The columns that an operand sums, of every run (see ``RunLayout``)."""
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
    """Offset of the slices, and seed of the training stream, as the original's parent generator yields them."""
    parent = np.random.RandomState(seed)
    offset = task.offset(parent)
    return offset, int(parent.randint(0, 2**32 - 1, dtype=np.int64))


def fixed_test_rows(task: SubsetTask, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Inputs ``(rows, columns)`` and targets ``(rows, 1)`` of the test error, with the slices at offset 0."""
    inputs = _held_out_inputs(task.test, task.input_size, TEST_SEED)
    targets = _targets(inputs, task.slices(0), task.operation)
    return inputs.T.to(dtype).contiguous(), targets.to(dtype).unsqueeze(-1)


@lru_cache(maxsize=64)
def _held_out_inputs(drawn_from: Range, columns: int, seed: int) -> Tensor:
    return sample(drawn_from, np.random.RandomState(seed), HELD_OUT_ROWS, columns)


def sample(drawn_from: Range, rng: np.random.RandomState, rows: int, columns: int) -> Tensor:
    """Draws inputs, ``(columns, rows)``, float64."""
    drawn = drawn_from.draw(rng, 1, rows, columns)
    return drawn_from.place(torch.from_numpy(drawn[0]), *drawn_from.corners(columns))


def _targets(inputs: Tensor, slices: Sequence[Ends], operation: str) -> Tensor:
    """The operation on sums of columns: ``(columns, rows)`` to ``(rows)``."""
    return OPERATIONS[operation].apply([inputs[start:end].sum(0) for start, end in slices])
