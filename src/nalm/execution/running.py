"""Files of shards that are being trained: ``running/`` in a results directory.

They are written anew all the time, and nothing depends on those that are half written or nonsense.
"""

import contextlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from nalm.experiments.runs import Shard
from nalm.store.inside import check_folder, entries, files_within, regular_content, remove
from nalm.store.leases import LeaseWatcher

__all__ = ["ShardProgress", "clear_running", "fields_of", "lease_path", "progress_path", "read_progress"]


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


def fields_of(content: bytes) -> dict[str, Any]:
    """Return the fields of a progress report or heartbeat; none if it is half written or nonsense."""
    with contextlib.suppress(ValueError, RecursionError):
        fields = json.loads(content)
        if isinstance(fields, dict):
            return fields
    return {}


def read_progress(directory: Path, shards: Iterable[Shard]) -> dict[Shard, ShardProgress]:
    """Return the reported progress of the shards that are being trained."""
    found = {}
    reporting = {path.stem for path in files_within(directory, "running", "*.json")}
    for shard in shards:
        if shard.name not in reporting:
            continue
        with contextlib.suppress(OSError):  # training has ended
            progress = _progress(shard, fields_of(regular_content(progress_path(directory, shard))))
            if progress is not None:
                found[shard] = progress
    return found


def _progress(shard: Shard, fields: dict[str, Any]) -> ShardProgress | None:
    """Return the progress that a report tells, or None if it is nonsense."""
    try:
        progress = _PROGRESS.validate_python(fields, strict=True)
    except ValidationError:
        return None
    possible = 0 <= progress.iteration <= shard.recipe.iterations + 1 and 0 <= progress.solved <= progress.runs
    return progress if possible and progress.runs == len(shard.runs) else None


_PROGRESS = TypeAdapter(ShardProgress)


def clear_running(directory: Path) -> None:
    """Remove files that killed processes have left, except for checkpoints of shards that are not stored."""
    stored = {path.stem.partition("-")[0] for path in files_within(directory, "shards", "*.parquet")}
    for path in entries(check_folder(directory, "running")):
        if LeaseWatcher(path.with_suffix(".lease")).is_free() and (
            path.suffix == ".json" or (path.suffix == ".checkpoint" and path.stem in stored)
        ):
            remove(path)
