"""Progress of a whole run: put together from finished attempts and the reports of workers."""

import concurrent.futures.process
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass

from nalm.errors import NalmError
from nalm.execution.dispatch import Attempt
from nalm.execution.running import ShardProgress, read_progress
from nalm.experiments.runs import Shard
from nalm.log import warn_once
from nalm.paths import disk_is_full
from nalm.store.store import Store

__all__ = ["Progress", "ProgressTracker"]


@dataclass(frozen=True)
class Progress:
    """Progress of experiments that are being trained.

    Arguments:
        runs: number of different runs of the experiments.
        finished: number of runs that are stored, now or before.
        solved: number of runs trained now that are solved at the moment.
        share: share of the work that is done, between 0 and 1.
        seconds: time since training began.
        seconds_left: estimate from the pace since the first progress; None before there is any.
        retried: number of shards that failed and were trained again.
        failed: number of shards that failed in every attempt.
    """

    runs: int
    finished: int
    solved: int
    share: float
    seconds: float
    seconds_left: float | None
    retried: int = 0
    failed: int = 0


class ProgressTracker:
    """Combines the attempts to train shards with the reports of running ones.

    Arguments:
        runs: number of different runs of the experiments.
        store: the results directory.
        shards: the shards to train.
    """

    def __init__(self, runs: int, store: Store, shards: list[Shard]) -> None:
        self.store = store
        self.runs = runs
        self.missing = sum(len(shard.runs) for shard in shards)
        self.shards = len(shards)
        self.running = set(shards)
        self.retried: dict[Shard, BaseException] = {}
        self.failed: list[BaseException] = []
        self.work = sum(shard.work for shard in shards) or 1
        self.work_done = 0
        self.finished = self.runs - self.missing
        self.solved = 0
        self.started = time.monotonic()
        self.first: tuple[float, float] | None = None
        self.reports: dict[Shard, ShardProgress] = {}
        self.next_look = 0.0

    def count(self, attempt: Attempt) -> None:
        """Count a finished attempt.

        Raises:
            NalmError: the disk is full, so that further attempts are useless.
        """
        shard, outcome, final = attempt
        if isinstance(outcome, ShardProgress):
            _repeat_warnings(outcome)
            self.running.discard(shard)
            self.work_done += shard.work
            self.finished += len(shard.runs)
            self.solved += outcome.solved
        elif isinstance(outcome, OSError) and disk_is_full(outcome):
            raise NalmError(
                f"cannot write results to {str(self.store.path)!r}: {outcome.strerror}; finished shards are saved: "
                "free some space and repeat the command to go on"
            ) from outcome
        elif final:
            self.retried.pop(shard, None)
            self.failed.append(outcome)
            with suppress(OSError):  # the failure itself is reported in any case
                self.store.failures.add(shard, outcome)
        else:
            self.retried[shard] = outcome

    def report_failures(self) -> None:
        """Warn of shards that were trained again.

        Raises:
            NalmError: shards failed in every attempt.
        """
        if self.retried:
            reasons = Counter(map(_reason, self.retried.values())).most_common()
            listed = "; ".join(f"{count} with {reason}" for reason, count in reasons)
            warn_once(f"{len(self.retried)} of {self.shards} shards failed at first and were trained again: {listed}")
        if self.failed:
            raise NalmError(
                f"{len(self.failed)} of {self.shards} shards failed, the others are saved; the first failed with "
                f"{_reason(self.failed[0])} (tracebacks are in {self.store.path / 'failed'})"
            ) from self.failed[0]

    def progress(self) -> Progress:
        """Return the present progress."""
        running = self._reports()
        reports = list(running.values())
        for report in reports:
            _repeat_warnings(report)
        work = self.work_done + sum(
            shard.work * report.iteration / (shard.recipe.iterations + 1) for shard, report in running.items()
        )
        share = min(1.0, work / self.work) if self.missing else 1.0
        seconds = time.monotonic() - self.started
        return Progress(
            runs=self.runs,
            finished=self.finished,
            solved=self.solved + sum(report.solved for report in reports),
            share=share,
            seconds=seconds,
            seconds_left=self._seconds_left(share, seconds),
            retried=len(self.retried),
            failed=len(self.failed),
        )

    def _reports(self) -> dict[Shard, ShardProgress]:
        """Return the reports of running shards; reading them takes a twentieth of the time at most."""
        begun = time.monotonic()
        if begun >= self.next_look:
            self.reports = read_progress(self.store.path, self.running)
            self.next_look = begun + 20 * (time.monotonic() - begun)
        return {shard: report for shard, report in self.reports.items() if shard in self.running}

    def _seconds_left(self, share: float, seconds: float) -> float | None:
        """Estimate the time left from the pace since the first progress, without the time to start and compile."""
        if share == 0:
            return None
        first_share, first_seconds = self.first = self.first or (share, seconds)
        if share == 1:
            return 0.0
        return (seconds - first_seconds) * (1 - share) / (share - first_share) if share > first_share else None


def _repeat_warnings(report: ShardProgress) -> None:
    for message in report.warnings:
        warn_once(message)


def _reason(failure: BaseException) -> str:
    if isinstance(failure, concurrent.futures.process.BrokenProcessPool):
        return "a worker process that died (out of memory? a script without `if __name__ == '__main__':`?)"
    return f"{type(failure).__name__}: {(str(failure).splitlines() or [''])[0]}"
