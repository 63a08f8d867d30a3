"""Details of an experiment: recipes, tasks, estimates, more figures and provenance."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from nalm.analysis.results import Results, TrainedRun
from nalm.analysis.texts import estimate_texts, task_text
from nalm.experiments.experiment import Experiment
from nalm.experiments.runs import recipe_fields
from nalm.experiments.seeds import show_seeds
from nalm.figures.heatmap import success_map
from nalm.figures.saving import save
from nalm.figures.survival import survival_curves
from nalm.reports.blocks import Block, Picture, Table, minutes
from nalm.reports.failures import failures
from nalm.reports.source import Source

__all__ = ["details_of"]


def details_of(source: Source, results: Results) -> Mapping[str, Sequence[Block]]:
    """Return everything about an experiment that only some readers want to see, by heading."""
    return {
        "Recipes and tasks": [_recipes(results.experiment), _tasks(results.experiment)],
        "All estimates": [_estimates(results.summary())],
        "More figures": _more_figures(source, results),
        "Failed runs": list(failures(results.trained)),
        "Provenance": [_provenance(results.trained)],
    }


def _recipes(experiment: Experiment) -> Table:
    rows = [
        [
            label,
            str(recipe.module.name),
            f"{recipe.iterations:,}",
            "; ".join(f"{name}: {value}" for name, value in recipe_fields(recipe).items()),
        ]
        for label, recipe in experiment.variants.items()
    ]
    caption = "Recipes; fields that are not listed have their default values."
    return Table(caption, ["variant", "module", "iterations", "recipe"], rows)


def _tasks(experiment: Experiment) -> Table:
    rows = [
        [label, task.operation, str(task.columns), task.trained_on, task.tested_on, str(task.threshold)]
        for label, task in experiment.tasks.items()
    ]
    caption = f"Tasks, with seeds {show_seeds(experiment.seeds)}; solved means a test error below the threshold."
    return Table(caption, ["range", "operation", "inputs", "trained on", "tested on", "threshold"], rows)


def _estimates(summary: pd.DataFrame) -> Table:
    rows = [
        [str(row["variant"]), task_text(row["task"]), *estimate_texts(row)] for row in summary.to_dict(orient="records")
    ]
    caption = "Success rate with Wilson's interval; iteration and sparsity error over solved runs."
    headers = ["variant", "range", "solved", "success, 95 %", "median iteration", "mean, 95 %", "sparsity error, 95 %"]
    return Table(caption, headers, rows)


def _more_figures(source: Source, results: Results) -> list[Block]:
    drawn: list[Block] = []
    for name, suffix, figure, alt in (  # as SVG, the heat map is 20 times larger
        ("success", ".png", success_map(results), "share of solved runs by variant and range"),
        ("survival", "", survival_curves(results), "share of runs not yet solved by iteration"),
    ):
        path = source.picture(f"{results.experiment.name}-{name}", suffix)
        save(figure, path)
        drawn.append(Picture(path, f"{results.experiment.title}: {alt}"))
    return drawn


def _provenance(runs: Iterable[TrainedRun]) -> Table:
    """Return a table of the versions, machines and times that the shard files record."""
    shards = list({id(run.provenance): run.provenance for run in runs}.values())
    started = [pd.Timestamp(about["started"], unit="s") for about in shards]
    versions = ("nalm", "torch", "numpy", "python")
    found = {
        "shards": str(len(shards)),
        **{name: _distinct(about["versions"].get(name) for about in shards) for name in versions},
        **{name: _distinct(about.get(name) for about in shards) for name in ("host", "device", "threads", "compiled")},
    }
    if any("imported" in about for about in shards):
        found["imported from"] = _distinct(about.get("imported") for about in shards)
    found["started"] = f"{min(started):%Y-%m-%d %H:%M} to {max(started):%Y-%m-%d %H:%M} UTC"
    found["core minutes"] = minutes(sum(about["seconds"] for about in shards))
    return Table("From the files of the runs:", ["what", "found"], list(found.items()))


def _distinct(values: Iterable[Any]) -> str:
    return ", ".join(sorted({str(value) for value in values if value is not None})) or "unknown"
