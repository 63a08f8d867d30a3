"""Turns an experiment into shards of runs that train together."""

import hashlib
import json
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from nalm.errors import NalmError
from nalm.experiments.experiment import Experiment
from nalm.tasks.recurrent import RecurrentTask
from nalm.tasks.sampling import layout
from nalm.tasks.sequences import SequenceTask
from nalm.tasks.task import JUDGED_ROWS, Task
from nalm.tasks.thresholds import Threshold
from nalm.training.judging import run_threshold
from nalm.training.recipe import Recipe

__all__ = ["WHOLE", "Part", "Plan", "Run", "Shard", "plan", "recipe_fields", "runs_of", "shard_name", "task_fields"]

SEEDS_IN_BLOCK = 25
TASKS_IN_BLOCK = 9


def recipe_fields(recipe: Recipe) -> dict[str, Any]:
    """What identifies a recipe.

    Fields at their defaults are left out, so that a field added later does not change the identity of old runs; for
    the same reason the default of a field must never change.
    """
    return recipe.model_dump(mode="json", exclude_defaults=True)


def task_fields(task: Task) -> dict[str, Any]:
    """What identifies a task for training; what judges runs does not decide them."""
    fields = task.model_dump(mode="json", exclude_defaults=True, exclude={"threshold", "judged_rows"})
    if isinstance(task, SequenceTask) and "images" in fields:
        fields["images"] = task.images.identity
    return fields


@dataclass(frozen=True)
class Run:
    """One training: recipe × task × seed."""

    recipe: Recipe
    task: Task
    seed: int

    @cached_property
    def key(self) -> str:
        """Hash of all that decides the run; labels do not, nor what judges it, unless that decides when it ends."""
        fields = {"recipe": recipe_fields(self.recipe), "task": task_fields(self.task), "seed": self.seed}
        if self.recipe.stop_when_solved:
            fields["threshold"] = self.task.threshold
            if self.task.judged_rows != JUDGED_ROWS:
                fields["judged_rows"] = self.task.judged_rows
        return _hash(fields)

    @property
    def threshold(self) -> Threshold:
        """What judges it.

        Raises:
            NalmError: it cannot be judged.
        """
        return run_threshold(self.recipe, self.task)


def shard_name(keys: Sequence[str]) -> str:
    """Name of the shard that has the runs with these keys."""
    return _hash(keys)


@dataclass(frozen=True, eq=False)
class Shard:
    """Runs of one recipe that train together."""

    recipe: Recipe
    runs: tuple[Run, ...]

    @cached_property
    def name(self) -> str:
        """Hash of its runs."""
        return shard_name([run.key for run in self.runs])

    @property
    def work(self) -> int:
        """What it takes, in proportion: its updates, times the inputs; one network is tested on many lengths."""
        task = self.runs[0].task
        if isinstance(task, RecurrentTask):
            examples = (self.recipe.iterations + 1) * self.recipe.batch_size
            return examples * task.training_steps * task.numbers_per_step
        return len(self.runs) * (self.recipe.iterations + 1) * self.runs[0].task.input_size


class Plan(NamedTuple):
    """How many different runs experiments have, and the shards that train those that are missing."""

    runs: int
    shards: list[Shard]


def runs_of(experiment: Experiment) -> Iterator[tuple[str, str, Run]]:
    """Every run of an experiment with the labels of its variant and task, in the experiment's order."""
    for variant, recipe in experiment.variants.items():
        for label, task in experiment.tasks.items():
            for seed in experiment.seeds:
                yield variant, label, Run(recipe, task, seed)


@dataclass(frozen=True)
class Part:
    """The blocks whose position in the whole plan, divided by ``of``, leaves ``index``."""

    index: int
    of: int


WHOLE = Part(0, 1)


def plan(experiments: Sequence[Experiment], finished: Container[str], part: Part = WHOLE) -> Plan:
    """Plans what is missing; a run that several experiments share is planned once, with the first of them.

    Blocks are fixed: 25 consecutive seeds of up to nine tasks that can train together; of sequences, one seed of all
    tasks that one network learns. A shard is what is missing of a block, so asking for more seeds or variants later
    trains only those. The longest shards come first, so that workers end at about the same time. Parts do not depend on
    what is finished: started at any time, they share no run.

    Raises:
        NalmError: there is no such part.
    """
    if not 0 <= part.index < part.of:
        raise NalmError(f"found part {part.index} of {part.of}, expected a part of 0 to {part.of - 1}")
    blocks = []
    planned: set[str] = set()
    for experiment in experiments:
        for block in _blocks(experiment):
            new = tuple(run for run in block if run.key not in planned)
            planned |= {run.key for run in new}
            if new:
                blocks.append(Shard(new[0].recipe, new))
    own = _longest_first(blocks)[part.index :: part.of]
    missing = [tuple(run for run in block.runs if run.key not in finished) for block in own]
    shards = [Shard(block.recipe, runs) for block, runs in zip(own, missing, strict=True) if runs]
    return Plan(sum(len(block.runs) for block in own), _longest_first(shards))


def _longest_first(shards: list[Shard]) -> list[Shard]:
    return sorted(shards, key=lambda shard: -shard.work)


def _blocks(experiment: Experiment) -> Iterator[list[Run]]:
    layouts: dict[object, list[Task]] = {}
    trainings: dict[object, list[Task]] = {}
    for task in experiment.tasks.values():
        if isinstance(task, RecurrentTask):
            trainings.setdefault(task.training, []).append(task)
        else:
            layouts.setdefault(layout(task), []).append(task)
    seed_blocks: dict[int, list[int]] = {}
    for seed in sorted(experiment.seeds):
        seed_blocks.setdefault(seed // SEEDS_IN_BLOCK, []).append(seed)
    for recipe in experiment.variants.values():
        for lengths in trainings.values():
            for seed in sorted(experiment.seeds):
                yield [Run(recipe, length, seed) for length in lengths]
        for tasks in layouts.values():
            for first in range(0, len(tasks), TASKS_IN_BLOCK):
                for seeds in seed_blocks.values():
                    yield [Run(recipe, task, seed) for task in tasks[first : first + TASKS_IN_BLOCK] for seed in seeds]


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:32]
