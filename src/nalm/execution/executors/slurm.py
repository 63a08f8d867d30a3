"""Trains shards in jobs of Slurm.

submitit submits the jobs. What becomes of them is read from the files that they leave and from ``squeue``, never from
accounting, which many clusters do not have.
"""

import concurrent.futures
import contextlib
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nalm.errors import NalmError
from nalm.execution.executors.settings import SlurmSettings
from nalm.execution.signals import Interrupted, interruption
from nalm.log import hide_warnings, warn_once
from nalm.paths import last_line

if TYPE_CHECKING:
    from types import TracebackType

    import submitit

__all__ = ["JobLost", "SlurmExecutor"]

SECONDS_BETWEEN_LOOKS = 1.0
"""At the folder in which jobs leave their results; what is submitted within that time goes as one array."""
LONGEST_SECONDS_BETWEEN_QUESTIONS = 30.0
"""To the queue, one for all jobs: the first after a second, then ever rarer."""
SECONDS_UNTIL_LOST = 15.0
"""A shared directory may show the result of a job some time after the queue has shown its end."""
USUAL_ARRAY_SIZE = 1001
LINES_OF_LOG = 20
PRIVATE = 0o700

FORGOTTEN = "FORGOTTEN"

ENDED = {
    "BOOT_FAIL",
    "CANCELLED",
    "COMPLETED",
    "DEADLINE",
    "FAILED",
    FORGOTTEN,
    "NODE_FAIL",
    "OUT_OF_MEMORY",
    "PREEMPTED",
    "REVOKED",
    "TIMEOUT",
}
"""States, as ``squeue`` names them, from which a job does not come back (a preempted one does so at once, or never);
what it forgot has ended some time ago."""
TRANSIENT = (
    "Unable to contact slurm controller",
    "Socket timed out",
    "Zero Bytes were transmitted",
    "temporarily unable",
    "temporarily unavailable",
    "Connection refused",
    "job submit limit",
)
"""What ``sbatch`` says when the same jobs may be taken later."""
MOST_TIMEOUTS = 1000
"""After which a job that its time was too short for so often is not queued again."""


class JobLost(Exception):  # noqa: N818 – it is what happened
    """A job left the queue without a result: cancelled, out of time or memory, or on a node that failed."""


@dataclass(frozen=True)
class _Raised:
    """What a function raised in a job, with its traceback as a note."""

    error: Exception


class _Call:
    """What a job does; told to stop, it lets the shard write a checkpoint first.

    When Slurm warns of the end of its time, the job is queued again. After SIGTERM (cancelled, or a node that is wanted
    by others) it ends, and Slurm decides.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self, *arguments: Any) -> Any:
        hide_warnings()
        queue_again = signal.getsignal(signal.SIGUSR2)  # submitit has set it, and ignores SIGTERM
        told: list[int] = []

        def stop(number: int, _: object) -> None:
            told.append(number)
            interruption.request()

        for number in (signal.SIGUSR2, signal.SIGTERM):
            signal.signal(number, stop)
        try:
            return self.function(*arguments)
        except Interrupted:
            if signal.SIGTERM not in told and callable(queue_again):
                queue_again(signal.SIGUSR2, None)
            sys.exit(128 + signal.SIGTERM)
        except Exception as error:
            error.add_note(traceback.format_exc())
            return _Raised(error)

    def checkpoint(self, *arguments: Any) -> "submitit.helpers.DelayedSubmission":
        """What submitit runs in its place when the job starts again."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, *arguments)


@dataclass
class _Job:
    future: concurrent.futures.Future[Any]
    job: "submitit.Job[Any]"
    gone_since: float | None = None


class SlurmExecutor(concurrent.futures.Executor):
    """Calls functions in jobs of Slurm: what is submitted together goes as one job array.

    No more jobs are in the queue than an array may have elements; the others wait here. As a context, it cancels its
    jobs when something goes wrong, an interrupt included; when its process is killed, they go on.

    Arguments:
        settings: what jobs ask for.

    Raises:
        NalmError: submitit is not installed, this is no machine of a Slurm cluster, or the folder cannot be written to.
    """

    def __init__(self, settings: SlurmSettings) -> None:
        mine = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"
        self.folder = (settings.folder or _state_directory()) / mine
        self._submitit = _submitit(self.folder, settings)
        self._most = _most_elements()
        self._waiting: list[tuple[concurrent.futures.Future[Any], Callable[..., Any], tuple[Any, ...]]] = []
        self._jobs: dict[str, _Job] = {}
        self._lock = threading.Lock()
        self._last_submit = 0.0
        self._pause = SECONDS_BETWEEN_LOOKS
        self._next_question = 0.0
        self._watcher: threading.Thread | None = None
        self._ending = False
        self._broken: Exception | None = None
        self._all_went_well = True

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> concurrent.futures.Future[Any]:
        """Has a function called in a job, with arguments that can be pickled."""
        if kwargs:
            raise TypeError("expected arguments by position only")
        future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        with self._lock:
            if self._ending:
                raise RuntimeError("cannot submit after shutdown")
            if self._broken is not None:
                raise concurrent.futures.BrokenExecutor("jobs of Slurm cannot be followed") from self._broken
            self._waiting.append((future, fn, args))
            self._last_submit = time.monotonic()
            if self._watcher is None:
                self._watcher = threading.Thread(target=self._watch, daemon=True)
                self._watcher.start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Takes no more; waits for what was submitted, or cancels it, jobs that are running included."""
        with self._lock:
            self._ending = True
            if cancel_futures:
                for future, _, _ in self._waiting:
                    future.cancel()
                self._waiting.clear()
                if self._jobs:
                    subprocess.run(["scancel", *sorted(self._jobs)], check=False)
        if wait and self._watcher is not None:
            self._watcher.join()
        if not self._jobs and self._all_went_well:
            shutil.rmtree(self.folder, ignore_errors=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: "TracebackType | None"
    ) -> None:
        self.shutdown(wait=error is None, cancel_futures=error is not None)

    def _watch(self) -> None:
        try:
            while not self._ending or self._waiting or self._jobs:
                time.sleep(SECONDS_BETWEEN_LOOKS)
                with self._lock, contextlib.suppress(OSError):  # what network file systems say at times
                    self._submit_waiting()
                    self._collect_results()
                    if self._jobs and time.monotonic() >= self._next_question:
                        self._ask_the_queue()
        except Exception as error:  # nobody would ever hear of these futures again
            with self._lock:
                self._broken = error
                futures = [future for future, _, _ in self._waiting] + [job.future for job in self._jobs.values()]
                self._waiting.clear()
                self._jobs.clear()
            for future in futures:
                if not future.done():
                    future.set_exception(error)

    def _submit_waiting(self) -> None:
        room = self._most - len(self._jobs)
        wanted = min(len(self._waiting), self._most // 2)
        if not self._waiting or room < wanted or time.monotonic() - self._last_submit < SECONDS_BETWEEN_LOOKS / 2:
            return
        together, self._waiting = self._waiting[:room], self._waiting[room:]
        together = [call for call in together if call[0].running() or call[0].set_running_or_notify_cancel()]
        if not together:
            return
        try:
            with self._submitit.batch():
                jobs = [self._submitit.submit(_Call(function), *arguments) for _, function, arguments in together]
        except Exception as error:  # submitit's own kinds, and what the file system raises
            reason = last_line(str(error))
            if any(text in str(error) for text in TRANSIENT):
                warn_once(f"sbatch does not take jobs now, and is asked again: {reason}")
                self._waiting = together + self._waiting
                self._last_submit = time.monotonic() + LONGEST_SECONDS_BETWEEN_QUESTIONS
                return
            for future, _, _ in together:
                future.set_exception(NalmError(f"sbatch does not take the jobs: {reason}"))
            return
        self._jobs |= {job.job_id: _Job(future, job) for (future, _, _), job in zip(together, jobs, strict=True)}
        self._ask_soon()

    def _collect_results(self) -> None:
        results = {path.name for path in self.folder.glob("*_result.pkl")}
        for name, job in list(self._jobs.items()):
            if job.job.paths.result_pickle.name in results:
                self._finish(name, job)

    def _finish(self, name: str, job: _Job) -> None:
        """Passes on what a job left; the files of one that went well are not kept."""
        from submitit.core.utils import pickle_load

        paths = job.job.paths
        try:
            outcome, result = pickle_load(paths.result_pickle)
        except Exception as error:
            return self._fail(name, error)
        if outcome == "error":
            return self._fail(name, RuntimeError(f"job {name} of Slurm failed: {last_line(result)}\n{result}"))
        if isinstance(result, _Raised):
            return self._fail(name, result.error)
        for path in (paths.submitted_pickle, paths.result_pickle, paths.stdout, paths.stderr):
            path.unlink(missing_ok=True)
        del self._jobs[name]
        job.future.set_result(result)
        return None

    def _fail(self, name: str, error: Exception) -> None:
        self._all_went_well = False
        self._jobs.pop(name).future.set_exception(error)

    def _ask_the_queue(self) -> None:
        states = _states(self._jobs)
        self._pause = min(2 * self._pause, LONGEST_SECONDS_BETWEEN_QUESTIONS)
        self._next_question = time.monotonic() + self._pause
        if states is None:
            return
        for name, job in list(self._jobs.items()):
            state = states.get(name, FORGOTTEN)
            if state not in ENDED:
                job.gone_since = None
                continue
            self.folder.chmod(PRIVATE)  # has clients of network file systems look again
            self._ask_soon()
            job.gone_since = job.gone_since or time.monotonic()
            if time.monotonic() - job.gone_since >= SECONDS_UNTIL_LOST:
                self._fail(name, _lost(name, state, job.job.paths.stderr))

    def _ask_soon(self) -> None:
        self._pause = SECONDS_BETWEEN_LOOKS
        self._next_question = time.monotonic() + self._pause


def _submitit(folder: Path, settings: SlurmSettings) -> "submitit.SlurmExecutor":
    try:
        import submitit
    except ImportError:
        raise NalmError("the executor slurm needs submitit: pip install 'nalm[slurm]'") from None
    if submitit.SlurmExecutor.affinity() < 0:
        raise NalmError("found no command srun, expected a machine from which jobs of Slurm can be submitted")
    try:
        folder.mkdir(parents=True, mode=PRIVATE)
    except OSError as error:
        raise NalmError(f"cannot write to {str(folder)!r}: {error.strerror}") from None
    executor = submitit.SlurmExecutor(folder, max_num_timeout=MOST_TIMEOUTS)
    asked = {
        "partition": settings.partition,
        "mem": settings.memory,
        "array_parallelism": settings.parallel or USUAL_ARRAY_SIZE,
        "setup": list(settings.setup) or None,
    }
    executor.update_parameters(
        job_name="nalm",
        time=settings.time,
        cpus_per_task=settings.cpus,
        additional_parameters={name: True if value is None else value for name, value in settings.options.items()},
        **{name: value for name, value in asked.items() if value is not None},
    )
    return executor


def _state_directory() -> Path:
    home = os.environ.get("XDG_STATE_HOME")
    return (Path(home) if home else Path.home() / ".local" / "state") / "nalm" / "submitit"


def _most_elements() -> int:
    """How many elements an array may have on this cluster."""
    try:
        about = subprocess.run(["scontrol", "show", "config"], capture_output=True, text=True, check=False).stdout
    except OSError:
        about = ""
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", about, re.MULTILINE)
    return max(2, int(found[1])) if found else USUAL_ARRAY_SIZE


def _states(jobs: Iterable[str]) -> dict[str, str] | None:
    """The state of each job that the queue knows; None if it cannot be asked now, which says nothing about jobs."""
    arrays = sorted({name.split("_")[0] for name in jobs})
    command = ["squeue", "--noheader", "--array", "--states=all", "--format=%i|%T", f"--jobs={','.join(arrays)}"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return None
    if answer.returncode and "Invalid job id" not in answer.stderr:  # it has forgotten all of them
        return None
    return dict(line.strip().split("|", 1) for line in answer.stdout.splitlines() if "|" in line)


def _lost(name: str, state: str, log: Path) -> JobLost:
    reason = f"job {name} of Slurm left the queue without a result ({state.lower().replace('_', ' ')})"
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-LINES_OF_LOG:]
    except OSError:
        return JobLost(reason)
    error = JobLost(f"{reason}; its log is {log}")
    error.add_note("\n".join(lines))
    return error
