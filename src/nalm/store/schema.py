"""What a shard's file says about how its runs came to be, in this version of nalm and in older ones."""

import json
import platform
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

import nalm
from nalm.errors import NalmError
from nalm.experiments.runs import Shard, recipe_fields
from nalm.spec.recipe import STORED, Recipe
from nalm.spec.task import Task
from nalm.tasks import parse_task

__all__ = ["SCHEMA_VERSION", "about_shard", "check_schema", "upgraded"]

SCHEMA_VERSION = 2
"""Of the files that are written; older ones are read as if they had been written today.

1: named after the content alone; nothing about tasks, defaults and interruptions.
2: named after shard and content; ``spec``, ``hosts`` and ``resumed_at``.
"""


def about_shard(shard: Shard) -> dict[str, Any]:
    """What is known of a shard whoever trains it, and of this process."""
    return {
        "schema": SCHEMA_VERSION,
        "recipe": recipe_fields(shard.recipe),
        "spec": _spec(shard.recipe, list(dict.fromkeys(run.task for run in shard.runs))),
        "versions": {
            "nalm": nalm.__version__,
            "torch": torch.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        "host": platform.node(),
    }


def check_schema(path: Path, about: dict[str, Any]) -> None:
    """Checks that a file can be read.

    Raises:
        NalmError: it was written by a later version of nalm, and may mean what this one does not know.
    """
    if about["schema"] > SCHEMA_VERSION:
        raise NalmError(
            f"{path} was written by nalm {about['versions']['nalm']} in schema {about['schema']}, "
            f"and this is nalm {nalm.__version__}, which reads up to {SCHEMA_VERSION}: update nalm"
        )


def upgraded(about: dict[str, Any], rows: pa.Table) -> dict[str, Any]:
    """What an older file would say today, as far as that is known."""
    if about["schema"] == 1:
        recipe = Recipe.model_validate(about["recipe"], context=STORED)
        tasks = [parse_task(fields) for fields in map(json.loads, rows["task"].unique().to_pylist())]
        about |= {"schema": 2, "spec": _spec(recipe, tasks), "hosts": [about["host"]], "resumed_at": []}
    return about


def _spec(recipe: Recipe, tasks: list[Task]) -> dict[str, Any]:
    """With all that is left to defaults; thresholds judge runs, but do not decide them."""
    return {
        "recipe": recipe.model_dump(mode="json"),
        "tasks": [task.model_dump(mode="json", exclude={"threshold"}) for task in tasks],
    }
