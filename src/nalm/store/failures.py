"""Tracebacks of shards that failed."""

import traceback
from collections.abc import Iterable
from pathlib import Path

from nalm.experiments.runs import Shard
from nalm.paths import write_atomically
from nalm.store.inside import remove

__all__ = ["Failures"]


class Failures:
    """The tracebacks of failed shards in a results directory, a text file for each.

    Arguments:
        directory: the results directory.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory / "failed"

    def add(self, shard: Shard, error: BaseException) -> None:
        """Write the traceback of a shard that failed."""
        path = self._path(shard)
        path.parent.mkdir(exist_ok=True)
        write_atomically(path, "".join(traceback.format_exception(error)).encode("utf-8", "backslashreplace"))

    def forget(self, shards: Iterable[Shard]) -> None:
        """Remove the tracebacks of shards that are finished, or will be trained again."""
        for shard in shards:
            remove(self._path(shard))

    def _path(self, shard: Shard) -> Path:
        return self._directory / f"{shard.name}.txt"
