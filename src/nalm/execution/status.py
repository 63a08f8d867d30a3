"""Status of the experiments of a results directory, from its files alone."""

import contextlib
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nalm.execution.plan import plan
from nalm.experiments.experiment import Experiment
from nalm.experiments.runs import Shard
from nalm.paths import last_line
from nalm.store.costs import CostKind, expected_cost, mean_costs, shard_costs
from nalm.store.store import Store

__all__ = ["FailedShard", "RunningShard", "Status", "status"]

SECONDS_BETWEEN_LOOKS = 0.25
LONGEST_WATCH = 10.0
"""Limit of the time to watch for signs of life. Owners of shards show them more often."""


@dataclass(frozen=True)
class RunningShard:
    """A shard that is being trained.

    Arguments:
        shard: name of the shard.
        variant: label of the variant; None if the experiments lack no run of the shard.
        runs: number of runs; None if unknown so far.
        iteration: number of updates made so far; None if unknown so far.
        iterations: number of updates in all; None if the variant is None.
        host: host that trains the shard; None if unknown.
        alive: whether the files of the shard changed while they were watched.
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
    """A shard that failed.

    Arguments:
        shard: name of the shard.
        variant: label of the variant; None if the experiments lack no run of the shard.
        reason: last line of the traceback.
    """

    shard: str
    variant: str | None
    reason: str


@dataclass(frozen=True)
class Status:
    """Status of experiments.

    Arguments:
        experiments: names of the experiments.
        runs: number of different runs of the experiments.
        finished: number of runs that are stored.
        shards: number of blocks of runs that train together.
        done: number of blocks of which every run is stored.
        waiting: number of shards that are neither running nor failed.
        running: shards that are being trained.
        failed: shards that failed.
        seconds_left: estimate for the present number of running shards; None if shards are missing and none is running.
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
    """Return the status of the experiments of a results directory.

    The directory is only read. Running shards are recognized by files that change; clocks are not compared.

    Arguments:
        directory: the results directory.
        watch: longest time in seconds to wait for the files of running shards to change.

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
        for path in sorted((store.path / "failed").glob("*.txt"))
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
    """Return the signs of life of running shards, and the names of those whose signs changed during the watch."""
    first = latest = _signs(directory)
    alive: set[str] = set()
    end = time.monotonic() + seconds
    while first.keys() - alive and time.monotonic() < end:
        time.sleep(SECONDS_BETWEEN_LOOKS)
        latest = _signs(directory)
        alive |= {name for name in first if latest.get(name) != first[name]}
    return latest, alive


def _signs(directory: Path) -> dict[str, dict[str, bytes]]:
    """Read the signs of life of every running shard: its progress file and the heartbeat in its lease."""
    signs: dict[str, dict[str, bytes]] = {}
    for pattern in ("*.json", "*.lease/*/heartbeat"):
        for path in (directory / "running").glob(pattern):
            with contextlib.suppress(OSError):  # the shard ended in between
                shard = path.relative_to(directory / "running").parts[0].partition(".")[0]
                signs.setdefault(shard, {})[path.name] = path.read_bytes()
    signs.pop("", None)  # temporary files
    return signs


def _running(
    name: str, signs: dict[str, bytes], shard: Shard | None, experiments: Iterable[Experiment], alive: bool
) -> RunningShard:
    about: dict[str, Any] = {}
    for content in signs.values():
        with contextlib.suppress(ValueError, TypeError):  # the file is half written
            about |= dict(json.loads(content))
    return RunningShard(
        shard=name,
        variant=_variant(shard, experiments),
        runs=about.get("runs"),
        iteration=about.get("iteration"),
        iterations=shard.recipe.iterations + 1 if shard else None,
        host=about.get("host"),
        alive=alive,
    )


def _variant(shard: Shard | None, experiments: Iterable[Experiment]) -> str | None:
    labelled = (item for experiment in experiments for item in experiment.variants.items())
    return next((label for label, recipe in labelled if shard and recipe == shard.recipe), None)


def _reason(path: Path) -> str:
    return last_line(path.read_text(encoding="utf-8", errors="replace"))


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
        seconds.append(len(shard.runs) * left * expected_cost(shard, costs))
    return max(sum(seconds) / len(at_once), max(seconds, default=0.0))
