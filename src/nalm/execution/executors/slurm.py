"""The executor ``slurm``: jobs of Slurm, submitted through submitit.

Results come from the files that jobs leave, and the states of jobs from ``squeue``.
"""

import concurrent.futures
import contextlib
import secrets
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import Field

from nalm.errors import NalmError
from nalm.execution.executors.jobs import JobSettings
from nalm.execution.executors.kind import ExecutorKind
from nalm.execution.executors.slurm_calls import Call, Raised
from nalm.execution.executors.slurm_queue import (
    DEFAULT_ARRAY_SIZE,
    ENDED,
    FORGOTTEN,
    TRANSIENT,
    job_lost,
    job_states,
    max_array_size,
)
from nalm.log import warn_once
from nalm.paths import last_line, user_directory
from nalm.registry import SAFE_PATH

if TYPE_CHECKING:
    from types import TracebackType

    import submitit

__all__ = ["EXECUTOR", "SlurmExecutor", "SlurmSettings"]

SECONDS_BETWEEN_LOOKS = 1.0
"""Pause between looks at the folder of results. Calls submitted within that time form one job array."""
MAX_SECONDS_BETWEEN_QUERIES = 30.0
"""Longest pause between queries of the queue. The first query comes after a second; each pause is twice the last."""
SECONDS_UNTIL_LOST = 15.0
"""Time to wait for the result of a job that has ended: a shared directory may show it later than the queue."""
MAX_TIMEOUTS = 1000
"""How often a job goes back into the queue when its time is up."""
PRIVATE = 0o700

Future = concurrent.futures.Future[Any]


class SlurmSettings(JobSettings):
    """Settings of the executor ``slurm``."""

    partition: str | None = Field(None, description="Partition; without it, the cluster's default.")
    options: dict[str, str | int | None] = Field(
        {}, description="Another option of sbatch, or KEY alone.", json_schema_extra={"metavar": "KEY=VALUE"}
    )
    setup: tuple[str, ...] = Field(
        (), description="Shell line to run before Python starts.", json_schema_extra={"metavar": "LINE"}
    )
    folder: Path | None = Field(
        None, description="Folder for submitit's pickles and logs, which all nodes share; never within results."
    )


class _Submitted(NamedTuple):
    """A call that waits to become a job."""

    future: Future
    function: Callable[..., Any]
    arguments: tuple[Any, ...]


@dataclass
class _Job:
    """A job in the queue, and when it was first seen to have ended, if it was."""

    future: Future
    job: "submitit.Job[Any]"
    ended_at: float | None = None


class SlurmExecutor(concurrent.futures.Executor):
    """An executor that calls functions in jobs of Slurm. Calls submitted together form one job array.

    At most as many jobs are in the queue as an array may have elements; other calls wait here. An exception within its
    context, such as an interrupt, cancels the jobs. If its process is killed, the jobs go on.

    Arguments:
        settings: the resources that jobs request.

    Raises:
        NalmError: submitit is not installed, this machine belongs to no Slurm cluster, or the folder is not writable.
    """

    def __init__(self, settings: SlurmSettings) -> None:
        own = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"
        self.folder = (settings.folder or user_directory("XDG_STATE_HOME", ".local/state") / "submitit") / own
        self._submitit = _submitit(self.folder, settings)
        self._max_jobs = max_array_size()
        self._waiting: list[_Submitted] = []
        self._jobs: dict[str, _Job] = {}
        self._lock = threading.Lock()
        self._last_submit = 0.0
        self._pause = SECONDS_BETWEEN_LOOKS
        self._next_query = 0.0
        self._watcher: threading.Thread | None = None
        self._ending = False
        self._broken: Exception | None = None
        self._all_succeeded = True

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future:
        """Call a function in a job. The function and its arguments, given by position, must be picklable."""
        if kwargs:
            raise TypeError("expected arguments by position only")
        future: Future = concurrent.futures.Future()
        with self._lock:
            if self._ending:
                raise RuntimeError("cannot submit after shutdown")
            if self._broken is not None:
                raise concurrent.futures.BrokenExecutor("jobs of Slurm cannot be followed") from self._broken
            self._waiting.append(_Submitted(future, fn, args))
            self._last_submit = time.monotonic()
            if self._watcher is None:
                self._watcher = threading.Thread(target=self._watch, daemon=True)
                self._watcher.start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Accept no more calls; wait for those that were submitted, or cancel them, running jobs included."""
        with self._lock:
            self._ending = True
            if cancel_futures:
                for call in self._waiting:
                    call.future.cancel()
                self._waiting.clear()
                if self._jobs:
                    subprocess.run(["scancel", *sorted(self._jobs)], check=False)
        if wait and self._watcher is not None:
            self._watcher.join()
        if not self._jobs and self._all_succeeded:
            shutil.rmtree(self.folder, ignore_errors=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: "TracebackType | None"
    ) -> None:
        self.shutdown(wait=error is None, cancel_futures=error is not None)

    def _watch(self) -> None:
        try:
            while not self._ending or self._waiting or self._jobs:
                time.sleep(SECONDS_BETWEEN_LOOKS)
                with self._lock, contextlib.suppress(OSError):  # network file systems fail now and then
                    self._submit_waiting()
                    self._collect_results()
                    if self._jobs and time.monotonic() >= self._next_query:
                        self._query_queue()
        except Exception as error:  # without this thread, the futures would never be done
            with self._lock:
                self._broken = error
                futures = [call.future for call in self._waiting] + [job.future for job in self._jobs.values()]
                self._waiting.clear()
                self._jobs.clear()
            for future in futures:
                if not future.done():
                    future.set_exception(error)

    def _submit_waiting(self) -> None:
        room = self._max_jobs - len(self._jobs)
        wanted = min(len(self._waiting), self._max_jobs // 2)
        if not self._waiting or room < wanted or time.monotonic() - self._last_submit < SECONDS_BETWEEN_LOOKS / 2:
            return
        calls, self._waiting = self._waiting[:room], self._waiting[room:]
        calls = [call for call in calls if call.future.running() or call.future.set_running_or_notify_cancel()]
        if not calls:
            return
        try:
            with self._submitit.batch():
                jobs = [self._submitit.submit(Call(call.function), *call.arguments) for call in calls]
        except Exception as error:  # submitit's own exceptions, and those of the file system
            self._refused(calls, error)
            return
        self._jobs |= {job.job_id: _Job(call.future, job) for call, job in zip(calls, jobs, strict=True)}
        self._query_soon()

    def _refused(self, calls: list[_Submitted], error: Exception) -> None:
        """Submit calls again later if ``sbatch`` may accept them then; otherwise let them fail."""
        reason = last_line(str(error))
        if any(text in str(error) for text in TRANSIENT):
            warn_once(f"sbatch accepts no jobs now, and is asked again later: {reason}")
            self._waiting = calls + self._waiting
            self._last_submit = time.monotonic() + MAX_SECONDS_BETWEEN_QUERIES
            return
        for call in calls:
            call.future.set_exception(NalmError(f"sbatch refused the jobs: {reason}"))

    def _collect_results(self) -> None:
        results = {path.name for path in self.folder.glob("*_result.pkl")}
        for name, job in list(self._jobs.items()):
            if job.job.paths.result_pickle.name in results:
                self._finish(name, job)

    def _finish(self, name: str, job: _Job) -> None:
        """Pass a job's result on. The files of a job that succeeded are removed."""
        from submitit.core.utils import pickle_load

        paths = job.job.paths
        try:
            outcome, result = pickle_load(paths.result_pickle)
        except Exception as error:
            return self._fail(name, error)
        if outcome == "error":
            return self._fail(name, RuntimeError(f"job {name} of Slurm failed: {last_line(result)}\n{result}"))
        if isinstance(result, Raised):
            return self._fail(name, result.error)
        for path in (paths.submitted_pickle, paths.result_pickle, paths.stdout, paths.stderr):
            path.unlink(missing_ok=True)
        del self._jobs[name]
        job.future.set_result(result)
        return None

    def _fail(self, name: str, error: Exception) -> None:
        self._all_succeeded = False
        self._jobs.pop(name).future.set_exception(error)

    def _query_queue(self) -> None:
        states = job_states(self._jobs)
        self._pause = min(2 * self._pause, MAX_SECONDS_BETWEEN_QUERIES)
        self._next_query = time.monotonic() + self._pause
        if states is None:
            return
        for name, job in list(self._jobs.items()):
            state = states.get(name, FORGOTTEN)
            if state not in ENDED:
                job.ended_at = None
                continue
            self.folder.chmod(PRIVATE)  # makes clients of network file systems read the folder again
            self._query_soon()
            job.ended_at = job.ended_at or time.monotonic()
            if time.monotonic() - job.ended_at >= SECONDS_UNTIL_LOST:
                self._fail(name, job_lost(name, state, job.job.paths.stderr))

    def _query_soon(self) -> None:
        self._pause = SECONDS_BETWEEN_LOOKS
        self._next_query = time.monotonic() + self._pause


def _submitit(folder: Path, settings: SlurmSettings) -> "submitit.SlurmExecutor":
    try:
        import submitit
    except ImportError:
        raise NalmError("the executor slurm needs submitit: pip install 'nalm[slurm]'") from None
    if submitit.SlurmExecutor.affinity() < 0:
        raise NalmError("found no command srun, expected a machine that can submit jobs to Slurm")
    try:
        folder.mkdir(parents=True, mode=PRIVATE)
    except OSError as error:
        raise NalmError(f"cannot write to {str(folder)!r}: {error.strerror}") from None
    executor = submitit.SlurmExecutor(folder, max_num_timeout=MAX_TIMEOUTS)
    optional = {
        "partition": settings.partition,
        "mem": settings.memory,
        "array_parallelism": settings.parallel or DEFAULT_ARRAY_SIZE,
        "setup": [f"export {SAFE_PATH}=1", *settings.setup],
    }
    executor.update_parameters(
        job_name="nalm",
        time=settings.time,
        cpus_per_task=settings.cpus,
        additional_parameters={name: True if value is None else value for name, value in settings.options.items()},
        **{name: value for name, value in optional.items() if value is not None},
    )
    return executor


def _open(settings: SlurmSettings, workers: int | None) -> SlurmExecutor:
    if workers is not None:
        raise NalmError(f"found {workers} workers for the executor slurm, expected none: use --slurm-parallel")
    return SlurmExecutor(settings)


EXECUTOR = ExecutorKind(SlurmSettings, _open)
