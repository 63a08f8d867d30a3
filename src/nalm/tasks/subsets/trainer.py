"""The trainer of tasks on rows of numbers: an ensemble."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from nalm.spec.recipe import Recipe
from nalm.tasks.subsets.mersenne_twister import Twister, twister_problem
from nalm.tasks.subsets.streams import Sampler
from nalm.training.ensemble.loop import Ensemble

if TYPE_CHECKING:
    from nalm.tasks.subsets.task import SubsetTask

__all__ = ["make_ensemble"]


def make_ensemble(
    recipe: Recipe,
    runs: Sequence[tuple[SubsetTask, int]],
    device: torch.device | str = "cpu",
    compiled: bool = True,
) -> Ensemble:
    """Prepare an ensemble of runs.

    Arguments:
        recipe: the recipe of all runs.
        runs: task and seed of each run.
        device: the device to train on.
        compiled: whether to compile where possible.

    Raises:
        ValueError: the tasks differ in more than their intervals, operations and overlaps.
    """
    tasks, seeds = zip(*runs, strict=True)
    faster = Twister if compiled and twister_problem() is None else None

    def sampler(positions: Sequence[int]) -> Sampler:
        chosen = [runs[position] for position in positions]
        return Sampler(chosen, recipe.batch_size, recipe.dtype, torch.device(device), faster)

    thresholds = [task.success_threshold(recipe) for task in tasks] if recipe.stop_when_solved else []
    return Ensemble(recipe, seeds, tasks[0].build, sampler, thresholds, device, compiled)
