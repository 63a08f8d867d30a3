"""The experiments that come with nalm."""

from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from nalm.errors import NalmError
from nalm.experiments.document import Document
from nalm.experiments.experiment import Experiment, read_experiment
from nalm.training.recipe import Recipe

__all__ = ["default_recipe", "experiment_names", "load_experiment"]

HERE = Path(str(resources.files("nalm.experiments")))


@cache
def _shared(name: str) -> dict[str, Any]:
    return Document(HERE / f"{name}.yaml").value


def experiment_names() -> list[str]:
    """Names of the experiments in the catalog."""
    return sorted(path.stem for path in (HERE / "catalog").glob("*.yaml"))


def load_experiment(name: str) -> Experiment:
    """Reads an experiment of the catalog by its name, or anybody's by the path of its YAML file.

    Raises:
        NalmError: there is none, or it is wrong.
    """
    if name in experiment_names():
        path = HERE / "catalog" / f"{name}.yaml"
    elif name.endswith((".yaml", ".yml")):
        path = Path(name)
    else:
        raise NalmError(
            f"found unknown experiment {name!r}, expected one of: {', '.join(experiment_names())}, or a .yaml file"
        )
    return read_experiment(path, _shared("recipes"), _shared("ranges"))


def default_recipe(module: str) -> dict[str, Any]:
    """Fields of the first of the shared recipes that trains the module, or just the module where there is none."""
    for fields in _shared("recipes").values():
        if Recipe.model_validate(fields).module.name == module:
            return dict(fields)
    return {"module": module}
