"""Scripts for queues: a job array, each job of which trains a part of the shards."""

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from nalm.errors import NalmError
from nalm.execution.executors.settings import JobSettings, SlurmSettings

__all__ = ["LARGEST_ARRAY", "SCHEDULERS", "QueueSettings", "array_script", "settings_of_slurm"]

LARGEST_ARRAY = 1000
"""What Slurm and LSF allow where nobody changed it."""


class QueueSettings(JobSettings):
    """What the jobs of a script ask for.

    Arguments:
        queue: where they wait, which Slurm calls a partition; the default one if there is none.
        options: further options of the scheduler, as they stand in its scripts, such as ``--account=me``.
    """

    queue: str | None = None
    options: tuple[str, ...] = ()


def settings_of_slurm(settings: SlurmSettings) -> QueueSettings:
    """The settings of the executor for Slurm, for its scripts."""
    shared = settings.model_dump(include=set(JobSettings.model_fields))
    options = [f"--{name}" if value is None else f"--{name}={value}" for name, value in settings.options.items()]
    return QueueSettings(**shared, queue=settings.partition, options=tuple(options))


@dataclass(frozen=True)
class _Scheduler:
    """How a scheduler wants it: the mark of its lines, its options, and the shell's expression for a job's index."""

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
        *([f"-J 1-{jobs}{limit}"] if jobs > 1 else []),  # an array of one is refused
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
"""LSF and PBS count the jobs of an array from 1."""


def array_script(
    scheduler: str, command: Sequence[str], jobs: int, job: QueueSettings, logs: Path, directory: Path
) -> str:
    """A shell script for a scheduler's job array.

    Arguments:
        scheduler: ``slurm``, ``lsf`` or ``pbs``.
        command: what every job runs; ``--index`` and ``--of`` are added to it.
        jobs: how many there are.
        job: what each asks for.
        logs: where what each says is written; jobs create it.
        directory: where jobs run.

    Raises:
        NalmError: the scheduler is unknown, there are no jobs, or they ask for what cannot be.
    """
    if scheduler not in SCHEDULERS:
        raise NalmError(f"found unknown scheduler {scheduler!r}, expected one of: {', '.join(SCHEDULERS)}")
    if jobs < 1:
        raise NalmError(f"found {jobs} jobs, expected at least 1")
    about = SCHEDULERS[scheduler]
    options = [*about.options(job, jobs), *job.options]
    lines = [
        "#!/bin/bash",
        f"# {jobs} jobs, each of which trains a part of the shards: {about.submit}",
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
