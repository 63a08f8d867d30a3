"""Progress of the experiments in a results directory, read from its files alone."""

import contextlib
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nalm.execution.plan import plan
from nalm.execution.running import fields_of
from nalm.experiments.experiment import Experiment
from nalm.experiments.runs import Shard
from nalm.paths import last_line
from nalm.store.costs import CostKind, expected_seconds, mean_costs, shard_costs
from nalm.store.inside import content_of, entries, files_within, is_within, regular_content
from nalm.store.leases import HEARTBEAT
from nalm.store.store import Store

__all__ = ["FailedShard", "RunningShard", "Status", "status"]

SECONDS_BETWEEN_LOOKS = 0.25
LONGEST_WATCH = 10.0
"""Seconds. Owners of shards write a heartbeat more often."""


@dataclass(frozen=True)
class RunningShard:
    """A shard that is being trained.

    Arguments:
        shard: name of the shard.
        variant: label of its variant; None if no missing shard of the experiments has this name.
        runs: number of runs that train together; None before its worker reports it.
        iteration: updates made so far; None before its worker reports it.
        iterations: updates to make in total; None if the variant is unknown.
        host: machine that trains it; None if the files do not say.
        alive: whether its files changed while they were watched.
    """

    shard: str
    variant: str | None
    runs: int | None
    iteration: int | None
    iterations: int | None
    host: str | None
    alive: bool


@dataclass(frozen=True)
class FailedShard:
    """A shard that failed, with the last line of its traceback. Its variant is None if it is no longer missing."""

    shard: str
    variant: str | None
    reason: str


@dataclass(frozen=True)
class Status:
    """Progress of experiments.

    Arguments:
        experiments: names of the experiments.
        runs: number of different runs.
        finished: number of runs that are stored.
        shards: number of blocks of runs that train together.
        done: number of blocks whose runs are all stored.
        waiting: number of missing shards that neither train nor failed.
        running: shards that are being trained.
        failed: shards that failed.
        seconds_left: estimated time for the missing shards, if as many train at once as now. None if some are missing
            but none is being trained.
    """

    experiments: list[str]
    runs: int
    finished: int
    shards: int
    done: int
    waiting: int
    running: list[RunningShard]
    failed: list[FailedShard]
    seconds_left: float | None


def status(directory: Path | str, watch: float = LONGEST_WATCH) -> Status:
    """Return the progress of the experiments in a results directory.

    The directory is only read. Clocks are not compared.

    Arguments:
        directory: the results directory.
        watch: seconds to wait for changes in the files of running shards. Shards without a change count as not alive.
            Watching ends early when all have changed.

    Raises:
        NalmError: the directory has no results, or they cannot be read.
    """
    store = Store.existing(directory)
    signs, alive = _watch(store.path, watch)
    experiments = [store.experiments.read(name) for name in store.experiments.names()]
    stored = list(shard_costs(store))
    finished = {key for shard in stored for key in shard.keys}
    blocks = plan(experiments, ()).shards
    lacking = [tuple(run for run in block.runs if run.key not in finished) for block in blocks]
    missing = [Shard(block.recipe, runs) for block, runs in zip(blocks, lacking, strict=True) if runs]
    by_name = {shard.name: shard for shard in missing}
    running = [_running(name, signs[name], by_name.get(name), experiments, name in alive) for name in sorted(signs)]
    failed = [
        FailedShard(
            path.stem,
            _variant(by_name.get(path.stem), experiments),
            _reason(path),
        )
        for path in files_within(store.path, "failed", "*.txt")
        if path.stem not in signs
    ]
    given_up = {shard.shard for shard in failed}
    expected = [shard for shard in missing if shard.name not in given_up]
    runs = sum(len(block.runs) for block in blocks)
    return Status(
        experiments=[experiment.name for experiment in experiments],
        runs=runs,
        finished=runs - sum(map(len, lacking)),
        shards=len(blocks),
        done=len(blocks) - len(missing),
        waiting=len(by_name.keys() - signs.keys() - given_up),
        running=running,
        failed=failed,
        seconds_left=_seconds_left(expected, running, mean_costs(stored)),
    )


def _watch(directory: Path, seconds: float) -> tuple[dict[str, dict[str, bytes]], set[str]]:
    """Return the signs of life of all running shards, and the names of those whose signs changed meanwhile."""
    first = latest = _signs(directory)
    alive: set[str] = set()
    end = time.monotonic() + seconds
    while first.keys() - alive and time.monotonic() < end:
        time.sleep(SECONDS_BETWEEN_LOOKS)
        latest = _signs(directory)
        alive |= {name for name in first if latest.get(name) != first[name]}
    return latest, alive


def _signs(directory: Path) -> dict[str, dict[str, bytes]]:
    """Return the files that owners of shards keep rewriting: progress reports, and heartbeats in leases."""
    signs: dict[str, dict[str, bytes]] = {}
    leases = [path for path in entries(directory / "running") if path.suffix == ".lease" and not path.is_symlink()]
    heartbeats = [owner / HEARTBEAT for path in leases if path.is_dir() for owner in entries(path)]
    reports = files_within(directory, "running", "*.json")
    for path in (*reports, *(path for path in heartbeats if is_within(path, directory))):
        with contextlib.suppress(OSError):  # the shard has ended
            shard = path.relative_to(directory / "running").parts[0].partition(".")[0]
            signs.setdefault(shard, {})[path.name] = regular_content(path)
    return signs


def _running(
    name: str, signs: dict[str, bytes], shard: Shard | None, experiments: Iterable[Experiment], alive: bool
) -> RunningShard:
    about: dict[str, Any] = {}
    for content in signs.values():
        about |= fields_of(content)
    numbers = {field: about.get(field) for field in ("runs", "iteration")}
    sane = {field: number if type(number) is int and number >= 0 else None for field, number in numbers.items()}
    host = about.get("host")
    return RunningShard(
        shard=name,
        variant=_variant(shard, experiments),
        runs=sane["runs"],
        iteration=sane["iteration"],
        iterations=shard.recipe.iterations + 1 if shard else None,
        host=host if isinstance(host, str) else None,
        alive=alive,
    )


def _variant(shard: Shard | None, experiments: Iterable[Experiment]) -> str | None:
    labelled = (item for experiment in experiments for item in experiment.variants.items())
    return next((label for label, recipe in labelled if shard and recipe == shard.recipe), None)


def _reason(path: Path) -> str:
    return last_line((content_of(path) or b"").decode(errors="replace"))


def _seconds_left(
    shards: Sequence[Shard], running: Iterable[RunningShard], costs: Mapping[CostKind, float]
) -> float | None:
    if not shards:
        return 0.0
    at_once = [shard for shard in running if shard.alive]
    if not at_once:
        return None
    made = {shard.shard: shard.iteration or 0 for shard in at_once}
    seconds = []
    for shard in shards:
        left = shard.recipe.iterations + 1 - made.get(shard.name, 0)
        seconds.append(expected_seconds(shard, costs, left))
    return max(sum(seconds) / len(at_once), max(seconds, default=0.0))
