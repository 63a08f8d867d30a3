"""Fixtures that tests of the store share."""

import pytest

from nalm.experiments.runs import Run, Shard
from nalm.spec.recipe import Recipe
from nalm.tasks.subsets.task import SubsetTask


@pytest.fixture
def shard() -> Shard:
    """Return a shard of two runs with three evaluations each."""
    recipe = Recipe.model_validate({"module": "NRU", "iterations": 20, "evaluate_every": 10})
    task = SubsetTask.model_validate({"operation": "div", "train": [1, 2], "test": [2, 6]})
    return Shard(recipe, tuple(Run(recipe, task, seed) for seed in (3, 4)))
