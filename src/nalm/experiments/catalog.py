"""The catalog: the experiments that come with nalm."""

import difflib
from pathlib import Path
from typing import Any

from nalm.errors import NalmError
from nalm.experiments.experiment import Experiment
from nalm.experiments.index import COMPUTED_FIGURES, HERE, README_NUMBERS, experiment_names
from nalm.experiments.reading import read_experiment, shared
from nalm.spec.recipe import Recipe

__all__ = ["default_recipe", "load_experiment"]


def load_experiment(name: str) -> Experiment:
    """Read an experiment of the catalog by its name, or any experiment by the path of its YAML file.

    Raises:
        NalmError: the experiment does not exist, or its file is wrong.
    """
    if name in README_NUMBERS:
        several = README_NUMBERS[name]
        if len(several) > 1:
            found = f"the original's README calls several experiments {name}"
            raise NalmError(f"{found}, name one of: {', '.join(several)}")
        (name,) = several
    if name in COMPUTED_FIGURES:
        raise NalmError(f"nothing is trained for {name}: use `nalm reproduce {name}`")
    if name in experiment_names():
        path = HERE / "catalog" / f"{name}.yaml"
    elif name.endswith((".yaml", ".yml")):
        path = Path(name)
    else:
        known = experiment_names()
        closest = ", ".join(difflib.get_close_matches(name, known, 5, cutoff=0))
        raise NalmError(
            f"found unknown experiment {name!r}, expected one of: {closest} … (`nalm list` shows all {len(known)}), "
            "or a .yaml file"
        )
    return read_experiment(path, shared("recipes"), shared("ranges"))


def default_recipe(module: str, second: str | None = None) -> dict[str, Any]:
    """Return the fields of the first shared recipe that trains the modules, or only the modules if there is none."""
    bare = {"module": module} | ({} if second is None else {"second": second})
    for fields in shared("recipes").values():
        known = Recipe.model_validate(fields)
        if (known.module.name, known.second and known.second.name) == (module, second):
            return dict(fields)
    return bare
