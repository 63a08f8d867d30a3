"""A check of training that is interrupted and resumed."""

import io
from collections.abc import Sequence

import numpy as np
import torch

from nalm.spec.recipe import Recipe
from nalm.spec.task import Task
from nalm.tasks import start_training as start
from nalm.training.trainer import Trainer

__all__ = ["check_resuming"]


def check_resuming(recipe: Recipe, runs: Sequence[tuple[Task, int]]) -> None:
    """Check that training resumed at iteration 3 equals uninterrupted training bit by bit."""
    saved: list[bytes] = []

    def keep(training: Trainer) -> None:
        if training.iteration == 3:
            buffer = io.BytesIO()
            torch.save(training.state_dict(), buffer)
            saved.append(buffer.getvalue())

    expected = start(recipe, runs, "cpu", compiled=False).train(on_pause=keep)
    resumed = start(recipe, runs, "cpu", compiled=False)
    resumed.load_state_dict(torch.load(io.BytesIO(saved[0]), weights_only=True))
    assert resumed.iteration == 3
    history = resumed.train()
    for name in ("iterations", "validation_errors", "test_errors", "criteria", "penalties"):
        assert np.array_equal(getattr(history, name), getattr(expected, name)), name
    assert np.array_equal(history.final_test_errors, expected.final_test_errors)
