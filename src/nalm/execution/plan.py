"""Divide experiments into shards: runs that train together."""

from collections.abc import Container, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from nalm.errors import NalmError
from nalm.experiments.experiment import Experiment
from nalm.experiments.runs import Run, Shard
from nalm.spec.recipe import Recipe
from nalm.spec.task import Task
from nalm.store.costs import compiled_costs, expected_seconds
from nalm.store.store import Store

__all__ = ["WHOLE", "Part", "Plan", "block_names", "by_cost", "plan"]


class Plan(NamedTuple):
    """Number of different runs of the experiments, and the shards of the missing runs."""

    runs: int
    shards: list[Shard]


@dataclass(frozen=True)
class Part:
    """Part of a plan: the blocks whose position in the whole plan, modulo ``of``, equals ``index``."""

    index: int
    of: int


WHOLE = Part(0, 1)


def plan(experiments: Sequence[Experiment], finished: Container[str], part: Part = WHOLE) -> Plan:
    """Plan the missing runs. A run that several experiments share is planned once, with the first of them.

    Blocks are fixed: 25 consecutive seeds of up to nine tasks that can train together. For sequence tasks, a block is
    one seed of all tasks that one network learns. A shard is the missing runs of a block, so adding seeds or variants
    later trains only the new runs. The longest shards come first, so that workers end at about the same time. Parts do
    not depend on which runs are finished: parts that start at different times share no run.

    Arguments:
        experiments: the experiments.
        finished: keys of the finished runs.
        part: the part of the plan to return.

    Raises:
        NalmError: the part does not exist.
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


def block_names(experiment: Experiment, run: Run) -> list[str]:
    """Return the names of the shards in which an experiment that trains at once has a run; others are possible."""
    blocks = _blocks(experiment, [run.recipe], run.seed)
    return [Shard(block[0].recipe, tuple(block)).name for block in blocks if run in block]


def by_cost(shards: Sequence[Shard], store: Store) -> list[Shard]:
    """Return shards in the order in which workers should train them: the longest first.

    Their time is estimated as in a forecast, from what similar shards in the store have taken. Unlike the order of
    `plan`, which divides the shards into parts, this one may differ from machine to machine.
    """
    if len(shards) < 2:
        return list(shards)
    measured = compiled_costs(store)
    return sorted(shards, key=lambda shard: expected_seconds(shard, measured), reverse=True)


def _longest_first(shards: list[Shard]) -> list[Shard]:
    return sorted(shards, key=lambda shard: -shard.work)


def _blocks(
    experiment: Experiment, recipes: Iterable[Recipe] | None = None, seed: int | None = None
) -> Iterator[list[Run]]:
    """Yield the runs of each block, by default of all; a seed chooses blocks that have it."""
    groups: dict[Hashable, list[Task]] = {}
    for task in experiment.tasks.values():
        groups.setdefault(task.group, []).append(task)
    for recipe in experiment.variants.values() if recipes is None else recipes:
        for tasks in groups.values():
            at_once = tasks[0].tasks_per_shard
            for first in range(0, len(tasks), at_once):
                for seeds in _seed_blocks(experiment.seeds, tasks[0].seeds_per_shard):
                    if seed is None or seed in seeds:
                        yield [Run(recipe, task, seed) for task in tasks[first : first + at_once] for seed in seeds]


def _seed_blocks(seeds: Sequence[int], size: int) -> Iterable[list[int]]:
    blocks: dict[int, list[int]] = {}
    for seed in sorted(seeds):
        blocks.setdefault(seed // size, []).append(seed)
    return blocks.values()
