"""Success thresholds: those of an experiment, and a new simulation of the published ones of two-layer networks."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from nalm.experiments.catalog import load_experiment
from nalm.experiments.experiment import Experiment
from nalm.spec.document import Document
from nalm.tasks.subsets.task import SubsetTask

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["thresholds"]


def thresholds(experiment: Experiment | str | None = None) -> pd.DataFrame:
    """Return the success thresholds of test errors.

    Arguments:
        experiment: the experiment, its name, or the path of its YAML file. Without one, the thresholds of two-layer
            networks in *Neural Arithmetic Units* are simulated, which takes about 20 seconds.

    Returns:
        For an experiment, a row per ``variant`` and ``task`` with the ``kind`` (``flat``, ``gold``, ``perturbed`` or
        ``reference``), the ``threshold`` (NaN for ``reference``, which depends on the results), and the ``comparison``
        that a solved run's test error satisfies. Without an experiment, a row per ``operation`` and ``case`` with the
        simulated ``threshold``, its ``standard_error`` (the simulation has 1,000,000 rows; the published value has an
        error of the same size), the ``published`` value, and the ``relative_difference`` of the two.

    Raises:
        NalmError: the experiment is unknown or invalid, or a module has no gold weights.
    """
    import pandas as pd

    if experiment is None:
        return _two_layer_thresholds()
    if isinstance(experiment, str):
        experiment = load_experiment(experiment)
    rows = []
    for variant, recipe in experiment.variants.items():
        for label, task in experiment.tasks.items():
            threshold = task.success_threshold(recipe)
            rows.append(
                {
                    "variant": variant,
                    "task": label,
                    "kind": task.threshold if isinstance(task.threshold, str) else "flat",
                    "threshold": threshold.value,
                    "comparison": "<=" if threshold.inclusive else "<",
                }
            )
    return pd.DataFrame(rows)


def _two_layer_thresholds() -> pd.DataFrame:
    import pandas as pd

    from nalm.tasks.subsets.thresholds import perturbed_errors

    file = resources.files("nalm.analysis") / "reference" / "two-layer-thresholds.yaml"
    published = Document(Path(str(file))).value
    fields = ("case", "published")
    tasks = [
        SubsetTask.model_validate(
            published["task"] | {name: value for name, value in row.items() if name not in fields}
        )
        for row in published["thresholds"]
    ]
    rows = [
        {
            "operation": task.operation,
            "case": row["case"],
            "threshold": simulation.mean,
            "standard_error": simulation.standard_error,
            "published": row["published"],
            "relative_difference": simulation.mean / row["published"] - 1,
        }
        for task, row, simulation in zip(tasks, published["thresholds"], perturbed_errors(tasks), strict=True)
    ]
    return pd.DataFrame(rows)
