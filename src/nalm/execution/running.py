"""Files of shards that are being trained: ``running/`` in a results directory."""

import contextlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from nalm.experiments.runs import Shard
from nalm.store.inside import check_folder, files_within
from nalm.store.leases import LeaseWatcher

__all__ = ["ShardProgress", "clear_running", "lease_path", "progress_path", "read_progress"]


@dataclass(frozen=True)
class ShardProgress:
    """Progress of a shard, as its worker reports it.

    Arguments:
        iteration: number of updates made so far.
        runs: number of runs.
        solved: number of runs that are solved now; 0 if another process stored the shard.
        warnings: all warnings of the worker so far.
    """

    iteration: int
    runs: int
    solved: int
    warnings: list[str]

    @classmethod
    def stored_elsewhere(cls, shard: Shard) -> "ShardProgress":
        """Return the progress of a shard that another process has stored."""
        return cls(shard.recipe.iterations + 1, len(shard.runs), 0, [])


def lease_path(directory: Path, shard: Shard) -> Path:
    """Return the path of the lease of a shard."""
    return directory / "running" / f"{shard.name}.lease"


def progress_path(directory: Path, shard: Shard) -> Path:
    """Return the path of the file in which a worker reports the progress of a shard."""
    return directory / "running" / f"{shard.name}.json"


def read_progress(directory: Path, shards: Iterable[Shard]) -> dict[Shard, ShardProgress]:
    """Return the reported progress of the shards that are being trained."""
    found = {}
    reporting = {path.stem for path in files_within(directory, "running", "*.json")}
    for shard in shards:
        if shard.name not in reporting:
            continue
        with contextlib.suppress(OSError, ValueError, TypeError):  # training has ended, or the file is half written
            found[shard] = ShardProgress(**json.loads(progress_path(directory, shard).read_text()))
    return found


def clear_running(directory: Path) -> None:
    """Remove files that killed processes have left, except for checkpoints of shards that are not stored."""
    stored = {path.stem.partition("-")[0] for path in files_within(directory, "shards", "*-*.parquet")}
    for path in check_folder(directory, "running").glob("[!.]*"):
        if LeaseWatcher(path.with_suffix(".lease")).is_free() and (
            path.suffix == ".json" or (path.suffix == ".checkpoint" and path.stem in stored)
        ):
            path.unlink(missing_ok=True)
