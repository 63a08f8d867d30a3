"""What trains the runs of a shard, whatever their tasks are: an ensemble, or one network for sequences."""

from collections.abc import Sequence

import torch

from nalm.spec.recipe import Recipe
from nalm.tasks.recurrent import RecurrentTask
from nalm.tasks.subsets.task import Task
from nalm.training.ensemble import state
from nalm.training.ensemble.loop import Ensemble
from nalm.training.single import SequenceTraining
from nalm.training.single_state import capture_sequences, restore_sequences

__all__ = ["Training", "capture", "restore", "start"]

Training = Ensemble | SequenceTraining


def start(recipe: Recipe, runs: Sequence[tuple[Task, int]], device: torch.device | str, compiled: bool) -> Training:
    """Prepares the training of runs; see :class:`Ensemble` and :class:`SequenceTraining`.

    Raises:
        ValueError: they cannot train together.
    """
    on_sequences = [(task, seed) for task, seed in runs if isinstance(task, RecurrentTask)]
    if not on_sequences:
        return Ensemble(recipe, runs, device, compiled)
    if len(on_sequences) < len(runs):
        raise ValueError("runs that train together must all have sequences, or none")
    return SequenceTraining(recipe, on_sequences, device)


def capture(training: Training) -> state.State:
    """All that a half-trained shard is, before an iteration: what goes on from there is the same to the bit."""
    return capture_sequences(training) if isinstance(training, SequenceTraining) else state.capture(training)


def restore(training: Training, saved: state.State) -> None:
    """Puts what has not trained yet into a state that was captured.

    Raises:
        ValueError: the state is not one of such a training, which is of no use from then on.
    """
    if isinstance(training, SequenceTraining):
        restore_sequences(training, saved)
    else:
        state.restore(training, saved)
