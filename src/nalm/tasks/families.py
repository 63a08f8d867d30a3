"""The kinds of tasks, and what tells one from another."""

from typing import Any

from nalm.tasks.digits.task import SequenceTask
from nalm.tasks.subsets.task import Task
from nalm.tasks.vectors.task import VectorTask
from nalm.tasks.words.task import WordTask

__all__ = ["task_kind"]

BY_FIELD: dict[str, type[Task]] = {"length": SequenceTask, "steps": VectorTask}
"""Kinds that have a field of their own, without which none of their tasks is."""


def task_kind(fields: Any) -> type[Task]:
    """What kind of task fields are of: sequences of images have a length, of vectors steps; words are translated."""
    if not isinstance(fields, dict):
        return Task
    if fields.get("operation") == "translate":
        return WordTask
    return next((kind for field, kind in BY_FIELD.items() if field in fields), Task)
