"""Scripts for queues: job arrays, in which each job trains a part of the shards."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from nalm.errors import NalmError
from nalm.execution.executors.jobs import JobSettings
from nalm.execution.executors.settings import load_settings
from nalm.execution.executors.slurm import SlurmSettings
from nalm.spec.document import valid

__all__ = ["LARGEST_ARRAY", "SCHEDULERS", "QueueSettings", "array_script", "queue_settings", "settings_of_slurm"]

LARGEST_ARRAY = 1000
"""The default limit of Slurm and LSF on the number of jobs in an array."""


class QueueSettings(JobSettings):
    """The resources that each job of a script requests."""

    queue: str | None = Field(None, description="Queue or partition.")
    options: tuple[str, ...] = Field((), description="Another option, as the scheduler's scripts write it.")
    setup: tuple[str, ...] = Field((), description="Shell line to run before training.")


def queue_settings(scheduler: str, asked: Mapping[str, Any]) -> QueueSettings:
    """Return the settings of a script. For Slurm, fields that were not asked for come from the configuration file.

    Raises:
        NalmError: a field or the configuration file is wrong.
    """
    known = settings_of_slurm(load_settings().slurm) if scheduler == "slurm" else QueueSettings()
    return valid(QueueSettings, known.model_dump() | dict(asked))


def settings_of_slurm(settings: SlurmSettings) -> QueueSettings:
    """Return the settings of a script for Slurm that match those of the executor for Slurm."""
    shared = settings.model_dump(include={*JobSettings.model_fields, "setup"})
    options = [f"--{name}" if value is None else f"--{name}={value}" for name, value in settings.options.items()]
    return QueueSettings(**shared, queue=settings.partition, options=tuple(options))


@dataclass(frozen=True)
class _Scheduler:
    """The syntax of a scheduler's scripts.

    Arguments:
        mark: the beginning of lines with options.
        options: returns the options that request resources, given the settings and the number of jobs.
        index: shell expression for a job's position in the array, from 0.
        submit: the command that submits a script.
    """

    mark: str
    options: Callable[[QueueSettings, int], list[str]]
    index: str
    submit: str


def _slurm(job: QueueSettings, jobs: int) -> list[str]:
    limit = f"%{job.parallel}" if job.parallel else ""
    return [
        "--job-name=nalm",
        f"--array=0-{jobs - 1}{limit}",
        f"--time={job.time}",
        f"--cpus-per-task={job.cpus}",
        *([f"--partition={job.queue}"] if job.queue else []),
        *([f"--mem={job.memory}"] if job.memory else []),
        "--output=/dev/null",
    ]


def _lsf(job: QueueSettings, jobs: int) -> list[str]:
    limit = f"%{job.parallel}" if job.parallel else ""
    return [
        f'-J "nalm[1-{jobs}]{limit}"',
        f"-W {job.time}",
        f"-n {job.cpus}",
        '-R "span[hosts=1]"',
        *([f"-q {job.queue}"] if job.queue else []),
        *([f"-M {job.memory}", f'-R "rusage[mem={job.memory}]"'] if job.memory else []),
        "-o /dev/null",
    ]


def _pbs(job: QueueSettings, jobs: int) -> list[str]:
    limit = f"%{job.parallel}" if job.parallel else ""
    memory = f":mem={job.memory.lower()}b" if job.memory else ""
    return [
        "-N nalm",
        *([f"-J 1-{jobs}{limit}"] if jobs > 1 else []),  # PBS refuses an array of one job
        f"-l walltime={job.time // 60:02}:{job.time % 60:02}:00",
        f"-l select=1:ncpus={job.cpus}{memory}",
        *([f"-q {job.queue}"] if job.queue else []),
        "-j oe",
        "-o /dev/null",
    ]


SCHEDULERS = {
    "slurm": _Scheduler("#SBATCH", _slurm, "SLURM_ARRAY_TASK_ID", "sbatch FILE"),
    "lsf": _Scheduler("#BSUB", _lsf, "LSB_JOBINDEX - 1", "bsub < FILE"),
    "pbs": _Scheduler("#PBS", _pbs, "${PBS_ARRAY_INDEX:-1} - 1", "qsub FILE"),
}
"""Schedulers by name. LSF and PBS count the jobs of an array from 1."""


def array_script(
    scheduler: str, command: Sequence[str], jobs: int, job: QueueSettings, logs: Path, directory: Path
) -> str:
    """Return a shell script that submits a job array.

    Arguments:
        scheduler: ``slurm``, ``lsf`` or ``pbs``.
        command: the command that every job runs; ``--index`` and ``--of`` are added to it.
        jobs: number of jobs.
        job: the resources that each job requests.
        logs: directory for the output of the jobs, which create it.
        directory: working directory of the jobs.

    Raises:
        NalmError: the scheduler is unknown, or there are no jobs.
    """
    if scheduler not in SCHEDULERS:
        raise NalmError(f"found unknown scheduler {scheduler!r}, expected one of: {', '.join(SCHEDULERS)}")
    if jobs < 1:
        raise NalmError(f"found {jobs} jobs, expected at least 1")
    about = SCHEDULERS[scheduler]
    options = [*about.options(job, jobs), *job.options]
    lines = [
        "#!/bin/bash",
        f"# {jobs} jobs, each training a part of the shards; submit with: {about.submit}",
        *(f"{about.mark} {option}" for option in options),
        "",
        f"cd {shlex.quote(str(directory))} || exit",
        f"index=$(({about.index}))",
        f"mkdir -p {shlex.quote(str(logs))}",
        f"exec >> {shlex.quote(str(logs))}/$index.log 2>&1",
        *job.setup,
        f"exec {shlex.join(command)} --index $index --of {jobs}",
    ]
    return "\n".join(lines)
