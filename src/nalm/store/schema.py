"""Metadata of a shard's file, which says how its runs were made; in this version of nalm and in older ones."""

import json
import platform
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

import nalm
from nalm.errors import NalmError
from nalm.experiments.runs import Shard, recipe_fields
from nalm.spec.names import STORED
from nalm.spec.recipe import Recipe
from nalm.spec.task import Task
from nalm.tasks import parse_task

__all__ = ["SCHEMA_VERSION", "about_shard", "check_schema", "upgraded"]

SCHEMA_VERSION = 2
"""Version of the files that are written. Files of older versions are upgraded when they are read.

1: file names have the content's hash alone; metadata lack ``spec``, ``hosts`` and ``resumed_at``.
2: file names have the shard's and the content's hash.
"""


def about_shard(shard: Shard) -> dict[str, Any]:
    """Return what is known about a shard before it trains, and about this process."""
    import torch

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
    """Check that this version of nalm can read a file.

    Arguments:
        path: the file.
        about: the metadata of the file.

    Raises:
        NalmError: the file has a later schema than this version of nalm knows.
    """
    if about["schema"] > SCHEMA_VERSION:
        raise NalmError(
            f"{path} was written by nalm {_version(about)} in schema {about['schema']}, "
            f"and this is nalm {nalm.__version__}, which reads up to {SCHEMA_VERSION}: update nalm"
        )


def _version(about: dict[str, Any]) -> Any:
    versions = about.get("versions")
    return versions.get("nalm", "of a later version") if isinstance(versions, dict) else "of a later version"


def upgraded(about: dict[str, Any], rows: pa.Table) -> dict[str, Any]:
    """Return the metadata of a file in the latest schema, as far as they are known.

    Arguments:
        about: the metadata of the file.
        rows: its rows.
    """
    if about["schema"] == 1:
        recipe = Recipe.model_validate(about["recipe"], context=STORED)
        tasks = [parse_task(fields) for fields in map(json.loads, rows["task"].unique().to_pylist())]
        about |= {"schema": 2, "spec": _spec(recipe, tasks), "hosts": [about["host"]], "resumed_at": []}
    return about


def _spec(recipe: Recipe, tasks: list[Task]) -> dict[str, Any]:
    """Return recipe and tasks with all defaults, without thresholds: these don't affect training."""
    return {
        "recipe": recipe.model_dump(mode="json"),
        "tasks": [task.model_dump(mode="json", exclude={"threshold"}) for task in tasks],
    }
