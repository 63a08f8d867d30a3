"""The experiments of the catalog by what they train."""

import nalm

__all__ = ["names_of_experiments_on_rows"]


def names_of_experiments_on_rows(two_layers: bool) -> set[str]:
    experiments = map(nalm.load_experiment, nalm.experiment_names())
    return {
        experiment.name
        for experiment in experiments
        if all(task.on_rows for task in experiment.tasks.values())
        and any(recipe.second is not None for recipe in experiment.variants.values()) == two_layers
    }
