"""Training of small ensembles, whole or resumed in the middle."""

import io
from collections.abc import Sequence

import numpy as np
import torch

from nalm.spec.recipe import Recipe
from nalm.tasks.subsets.task import SubsetTask
from nalm.tasks.subsets.trainer import make_ensemble
from nalm.training.ensemble.loop import Ensemble
from nalm.training.history import History

__all__ = ["RUNS", "assert_bit_equal", "trained"]

RUNS = [(SubsetTask.model_validate({"operation": "div", "train": [1, 2], "test": [2, 6]}), seed) for seed in range(3)]


def trained(
    recipe: Recipe,
    runs: Sequence[tuple[SubsetTask, int]] = tuple(RUNS),
    compiled: bool = False,
    resumed: bool = False,
) -> History:
    """Train some runs to the end.

    Arguments:
        recipe: their recipe.
        runs: tasks and seeds.
        compiled: whether to compile.
        resumed: whether to stop at the first pause after iteration 5, and let another ensemble go on from its state.
    """
    ensemble = make_ensemble(recipe, runs, compiled=compiled)
    saved: list[bytes] = []

    def keep(paused: Ensemble) -> None:
        if paused.iteration > 5 and not saved:
            buffer = io.BytesIO()
            torch.save(paused.state_dict(), buffer)
            saved.append(buffer.getvalue())

    history = ensemble.train(on_pause=keep)
    if resumed:
        ensemble = make_ensemble(recipe, runs, compiled=compiled)
        ensemble.load_state_dict(torch.load(io.BytesIO(saved[0]), weights_only=True))
        assert 5 < ensemble.iteration < recipe.iterations
        history = ensemble.train()
    assert ensemble.compiled == compiled
    return history


def assert_bit_equal(first: History, second: History) -> None:
    """Check that two histories hold the same numbers, wall times excepted."""
    for name in ("iterations", "validation_errors", "test_errors", "sparsity_errors", "criteria", "penalties"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name), err_msg=name)
    np.testing.assert_array_equal(first.final_test_errors, second.final_test_errors)
    for one, other in zip(first.parameters, second.parameters, strict=True):
        for name in one:
            np.testing.assert_array_equal(one[name], other[name], err_msg=name)
