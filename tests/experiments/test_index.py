"""The index of the catalog says of every experiment what the experiment itself says."""

import pytest

from nalm.experiments.catalog import load_experiment
from nalm.experiments.index import experiment_names, index


@pytest.mark.parametrize("name", experiment_names())
def test_the_index_agrees_with_the_experiment(name: str) -> None:
    entry, experiment = index()[name], load_experiment(name)
    assert (entry.title, entry.figure) == (experiment.title, experiment.figure)
    assert (entry.variants, entry.tasks) == (list(experiment.variants), list(experiment.tasks))
    assert (entry.seeds, entry.runs) == (len(experiment.seeds), experiment.runs)
    assert entry.iterations == max(recipe.iterations for recipe in experiment.variants.values())
