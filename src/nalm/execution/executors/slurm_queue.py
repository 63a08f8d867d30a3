"""The queue of Slurm: the states of jobs, and the limits of a cluster.

States come from ``squeue``, never from accounting, which many clusters do not have.
"""

import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

__all__ = [
    "DEFAULT_ARRAY_SIZE",
    "ENDED",
    "FORGOTTEN",
    "TRANSIENT",
    "JobLost",
    "job_lost",
    "job_states",
    "max_array_size",
]

DEFAULT_ARRAY_SIZE = 1001
"""Slurm's default of ``MaxArraySize``."""
LINES_OF_LOG = 20

FORGOTTEN = "FORGOTTEN"
"""The state of a job that the queue does not know any more: it ended some time ago."""

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
"""States of jobs that have ended. A preempted job leaves this state at once if it is queued again."""

TRANSIENT = (
    "Unable to contact slurm controller",
    "Socket timed out",
    "Zero Bytes were transmitted",
    "temporarily unable",
    "temporarily unavailable",
    "Connection refused",
    "job submit limit",
)
"""Messages with which ``sbatch`` refuses jobs that it may accept later."""


class JobLost(Exception):  # noqa: N818 – an event, not a mistake
    """A job left the queue without a result: cancelled, out of time or memory, or on a node that failed."""


def job_states(jobs: Iterable[str]) -> dict[str, str] | None:
    """Return the state of each job that the queue knows, or None if the queue does not answer now."""
    arrays = sorted({name.split("_")[0] for name in jobs})
    command = ["squeue", "--noheader", "--array", "--states=all", "--format=%i|%T", f"--jobs={','.join(arrays)}"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return None
    if answer.returncode and "Invalid job id" not in answer.stderr:  # which means that it has forgotten all of them
        return None
    return dict(line.strip().split("|", 1) for line in answer.stdout.splitlines() if "|" in line)


def max_array_size() -> int:
    """Return the maximum number of elements of a job array on this cluster."""
    try:
        about = subprocess.run(["scontrol", "show", "config"], capture_output=True, text=True, check=False).stdout
    except OSError:
        about = ""
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", about, re.MULTILINE)
    return max(2, int(found[1])) if found else DEFAULT_ARRAY_SIZE


def job_lost(name: str, state: str, log: Path) -> JobLost:
    """Return the exception for a job that left the queue without a result. A note holds the end of its log."""
    reason = f"job {name} of Slurm left the queue without a result ({state.lower().replace('_', ' ')})"
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-LINES_OF_LOG:]
    except OSError:
        return JobLost(reason)
    error = JobLost(f"{reason}; its log is {log}")
    error.add_note("\n".join(lines))
    return error
