"""Tasks on sequences of vectors: an operation on sums over slices of all vectors together."""

import math
from functools import lru_cache
from typing import Annotated, ClassVar, Literal, NamedTuple, Self

import numpy as np
import torch
from pydantic import Field, StrictFloat, StrictInt
from torch import Tensor

from nalm.modules.operations import OPERATIONS
from nalm.spec.ranges import Range
from nalm.spec.thresholds import JUDGED_ROWS
from nalm.tasks.recurrent import RecurrentTask
from nalm.tasks.subsets.streams import sample
from nalm.tasks.subsets.thresholds import PERTURBATION, SIMULATION_SEED
from nalm.threads import one_thread

__all__ = ["VectorSequences", "VectorTask", "perturbed_sequence_error", "vector_sequences"]

SIMULATED_SEQUENCES = 2_048
AT_ONCE = 64
"""Sequences that are drawn at a time: a thousand vectors of each are large; with unions, another number is another
stream.
"""


class VectorTask(RecurrentTask):
    """What is to be learnt from sequences of vectors: the operands are sums over slices of all vectors of a sequence.

    A cell takes one vector after the other and has ``hidden_size`` states; a second layer takes the last ones. Networks
    train on sequences of ``steps`` vectors and are tested on those of ``test_steps``.

    References:
        Neural Arithmetic Logic Units (Trask et al., 2018), https://arxiv.org/abs/1808.00508, of which this is the task
        as the code of Neural Arithmetic Units (Madsen & Johansen, ICLR 2020), https://arxiv.org/abs/2001.05016, has it
    """

    learnt_from: ClassVar[str] = "sequences of vectors"

    steps: StrictInt = Field(ge=1)
    test_steps: StrictInt = Field(ge=1)
    threshold: Annotated[StrictFloat, Field(gt=0)] | Literal["perturbed"] = "perturbed"
    """What a run's test error must be below, or that it is the error of a network that is slightly off."""

    @property
    def label(self) -> str:
        """The test length, by which tasks of one training are told apart."""
        return f"{self.test_steps} steps"

    @property
    def trained_on(self) -> str:
        """For people: how many vectors, and where they are drawn from."""
        return f"{self.steps} × {self.train.label}"

    @property
    def tested_on(self) -> str:
        """For people: how many vectors, and where they are drawn from."""
        return f"{self.test_steps} × {self.test.label}"

    @property
    def module_inputs(self) -> int:
        """Inputs of the cell: a vector, and its own states."""
        return self.input_size + self.hidden_size

    def gold_operands(self) -> list[int]:
        """None: gold weights are known of modules, not of cells.

        Raises:
            ValueError: always.
        """
        raise ValueError("found sequences of vectors, expected a task on single ones for gold weights")

    @property
    def training(self) -> Self:
        """What tasks have in common that one network learns."""
        tested = {"test": self.train, "test_steps": self.steps}
        return self.model_copy(update=tested | {"threshold": "perturbed", "judged_rows": JUDGED_ROWS})

    @property
    def limit(self) -> float:
        """The threshold.

        Raises:
            ValueError: errors of a network that is slightly off are not finite.
        """
        return perturbed_sequence_error(self) if self.threshold == "perturbed" else self.threshold

    @property
    def training_steps(self) -> int:
        """Vectors of a sequence."""
        return self.steps

    @property
    def numbers_per_step(self) -> int:
        """Numbers of a vector, and states."""
        return self.module_inputs


class VectorSequences(NamedTuple):
    """Sequences of vectors ``(n, steps, columns)``, float64, and the sums of their vectors ``(n, columns)``."""

    vectors: Tensor
    sums: Tensor

    def targets(self, task: VectorTask, offset: int) -> Tensor:
        """Results ``(n)`` of a task's operation, where the slices are at an offset."""
        operands = [self.sums[:, start:end].sum(1) for start, end in task.slices(offset)]
        return OPERATIONS[task.operation].apply(operands)


def vector_sequences(
    drawn_from: Range, rng: np.random.RandomState, count: int, steps: int, columns: int
) -> VectorSequences:
    """Draws sequences, one vector after the other."""
    vectors = sample(drawn_from, rng, count * steps, columns).T.reshape(count, steps, columns)
    return VectorSequences(vectors, vectors.sum(1))


@lru_cache(maxsize=64)
@one_thread()
def perturbed_sequence_error(task: VectorTask) -> float:
    r"""Error of a network that solves a task, but for the weights of its cell, which are slightly off.

    .. math:: h_t = \tilde W x_t + \tilde R h_{t-1}, \qquad
        \tilde W = W + \varepsilon (1 - 2 W), \quad \tilde R = R + \varepsilon (1 - 2 R)

    with :math:`\varepsilon = 10^{-5}`, where :math:`W` selects each operand's slice of a vector and :math:`R` keeps the
    state: as the thresholds of two layers are made (see ``perturbed_errors``), with sequences in place of rows. It is
    simulated on 2,048 sequences of the test range and length with a fixed seed. Where slices have all of a vector, the
    errors of a sum cancel: such a task needs a number.

    Arguments:
        task: any; its own threshold plays no part.

    Raises:
        ValueError: the error is not finite.
    """
    slices = task.slices(0)
    selection = torch.zeros(len(slices), task.input_size, dtype=torch.float64)
    for operand, (start, end) in enumerate(slices):
        selection[operand, start:end] = 1
    of_last = _off(selection)
    kept = _off(torch.eye(len(slices), dtype=torch.float64))
    shares = [of_last]
    for _ in range(task.test_steps - 1):
        shares.append(kept @ shares[-1])
    of_vectors = torch.stack(shares[::-1])
    apply = OPERATIONS[task.operation].apply
    rng = np.random.RandomState(SIMULATION_SEED)
    squares = []
    for _ in range(0, SIMULATED_SEQUENCES, AT_ONCE):
        drawn = vector_sequences(task.test, rng, AT_ONCE, task.test_steps, task.input_size)
        states = torch.einsum("tsi,nti->sn", of_vectors, drawn.vectors)
        squares.append((apply(list(states)) - drawn.targets(task, 0)) ** 2)
    mean = torch.cat(squares).mean().item()
    if not math.isfinite(mean):
        raise ValueError(f"threshold perturbed needs finite errors, found {mean} for {task.tested_on}")
    return mean


def _off(weight: Tensor) -> Tensor:
    return weight + PERTURBATION * (1 - 2 * weight)
