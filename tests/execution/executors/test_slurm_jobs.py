"""How the executor for Slurm follows its jobs, with stand-ins for submitit and for Slurm's commands."""

import contextlib
import itertools
import pickle
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from submitit.core.utils import JobPaths

from nalm.errors import NalmError
from nalm.execution.executors import slurm
from nalm.execution.executors.slurm import SlurmExecutor, SlurmSettings
from nalm.execution.executors.slurm_calls import Raised
from nalm.execution.executors.slurm_queue import JobLost, job_states

QUICK = 0.02


class Job:
    def __init__(self, folder: Path, job_id: str) -> None:
        self.job_id = job_id
        self.paths = JobPaths(folder, job_id)


class Submitit:
    """A stand-in for submitit that records the calls of jobs; each batch is an array."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.arrays: list[list[tuple[Any, ...]]] = []
        self.refuses = False

    @contextlib.contextmanager
    def batch(self) -> Iterator[None]:
        self.arrays.append([])
        yield
        if self.refuses:
            raise RuntimeError("sbatch: error: first\nsbatch: error: no such partition\n")

    def submit(self, *call: Any) -> Job:
        self.arrays[-1].append(call)
        return Job(self.folder, f"{len(self.arrays)}_{len(self.arrays[-1]) - 1}")


class Cluster:
    """An executor, its submitted jobs, and the states that the queue answers (None: no answer)."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.submitit = Submitit(folder)
        self.queue: dict[str, str] | None = {}
        self.queries: list[float] = []
        self.executor: SlurmExecutor

    def states(self, jobs: object) -> dict[str, str] | None:
        self.queries.append(time.monotonic())
        return self.queue

    def leave(self, job: str, *result: object) -> None:
        """Write the result of a job that ends."""
        path = self.folder / f"{job}_0_result.pkl"
        path.with_suffix(".new").write_bytes(pickle.dumps(result))
        path.with_suffix(".new").rename(path)


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    made = Cluster(tmp_path / "jobs")
    monkeypatch.setattr(slurm, "SECONDS_BETWEEN_LOOKS", QUICK)
    monkeypatch.setattr(slurm, "SECONDS_UNTIL_LOST", 5 * QUICK)
    monkeypatch.setattr(slurm, "_submitit", lambda folder, settings: made.submitit)
    monkeypatch.setattr(slurm, "max_array_size", lambda: 4)
    monkeypatch.setattr(slurm, "job_states", made.states)
    made.executor = SlurmExecutor(SlurmSettings(folder=tmp_path))
    made.executor.folder = made.folder
    yield made
    made.queue = {}
    made.executor.shutdown()


def wait_until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(QUICK / 2)


def test_calls_submitted_together_form_one_array(cluster: Cluster) -> None:
    futures = [cluster.executor.submit(pow, 2, exponent) for exponent in range(3)]
    wait_until(lambda: cluster.submitit.arrays)
    cluster.queue = dict.fromkeys(["1_0", "1_1", "1_2"], "RUNNING")
    ((first, second, third),) = cluster.submitit.arrays
    assert [call[1:] for call in (first, second, third)] == [(2, 0), (2, 1), (2, 2)]
    for job, call in zip(["1_0", "1_1", "1_2"], (first, second, third), strict=True):
        cluster.leave(job, "success", call[0].function(*call[1:]))
    assert [future.result(20) for future in futures] == [1, 2, 4]
    cluster.executor.shutdown()
    assert not cluster.folder.exists()


def test_the_queue_never_holds_more_jobs_than_an_array_may_have(cluster: Cluster) -> None:
    futures = [cluster.executor.submit(abs, number) for number in range(6)]
    wait_until(lambda: cluster.submitit.arrays)
    cluster.queue = {f"1_{index}": "PENDING" for index in range(4)}
    assert [len(array) for array in cluster.submitit.arrays] == [4]
    cluster.leave("1_0", "success", 0)
    time.sleep(5 * QUICK)
    assert len(cluster.submitit.arrays) == 1  # there is room for one only
    cluster.queue |= {"2_0": "PENDING", "2_1": "PENDING"}
    cluster.leave("1_1", "success", 1)
    wait_until(lambda: len(cluster.submitit.arrays) == 2)
    assert [len(array) for array in cluster.submitit.arrays] == [4, 2]
    assert [future.done() for future in futures] == [True, True, False, False, False, False]


def test_an_exception_of_a_function_arrives_with_its_traceback(cluster: Cluster) -> None:
    future = cluster.executor.submit(int, "seven")
    wait_until(lambda: cluster.submitit.arrays)
    ((call,),) = cluster.submitit.arrays
    cluster.leave("1_0", "success", Raised(_raised_by(lambda: call[0].function(*call[1:]))))
    error = future.exception(20)
    assert isinstance(error, ValueError)
    assert "Traceback" in error.__notes__[0]
    assert cluster.folder.exists()  # its log may tell more


def _raised_by(function: Callable[[], object]) -> Exception:
    try:
        function()
    except Exception as error:
        error.add_note("Traceback of the job")
        return error
    raise AssertionError


@pytest.mark.parametrize("state", ["CANCELLED", "OUT_OF_MEMORY", "TIMEOUT", "COMPLETED", None])
def test_a_job_that_has_left_the_queue_without_a_result_is_lost(cluster: Cluster, state: str | None) -> None:
    future = cluster.executor.submit(abs, 1)
    wait_until(lambda: cluster.submitit.arrays)
    (cluster.folder / "1_0_0_log.err").write_text("slurmstepd: error: *** JOB 1 ***\n")
    cluster.queue = {} if state is None else {"1_0": state}
    error = future.exception(20)
    assert isinstance(error, JobLost)
    reason = (state or "forgotten").lower().replace("_", " ")
    assert f"job 1_0 of Slurm left the queue without a result ({reason}); its log is" in str(error)
    assert error.__notes__ == ["slurmstepd: error: *** JOB 1 ***"]


@pytest.mark.parametrize("queue", [{"1_0": "PENDING"}, {"1_0": "REQUEUED"}, {"1_0": "SOMETHING_NEW"}, None])
def test_a_job_is_not_lost_while_the_queue_has_it_or_does_not_answer(
    cluster: Cluster, queue: dict[str, str] | None
) -> None:
    cluster.queue = queue
    future = cluster.executor.submit(abs, 1)
    wait_until(lambda: len(cluster.queries) >= 4)
    assert not future.done()
    cluster.leave("1_0", "success", 1)
    assert future.result(20) == 1


def test_a_late_result_counts(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm, "SECONDS_UNTIL_LOST", 60.0)
    cluster.queue = {"1_0": "COMPLETED"}
    future = cluster.executor.submit(abs, 1)
    wait_until(lambda: len(cluster.queries) >= 4)
    cluster.leave("1_0", "success", 1)
    assert future.result(20) == 1


def test_pauses_between_queries_of_the_queue_grow(cluster: Cluster) -> None:
    cluster.queue = {"1_0": "RUNNING"}
    cluster.executor.submit(abs, 1)
    wait_until(lambda: len(cluster.queries) == 6)
    pauses = [later - earlier for earlier, later in itertools.pairwise(cluster.queries)]
    assert pauses[4] > 2 * pauses[1]


def test_jobs_that_sbatch_refuses_fail_with_its_reason(cluster: Cluster) -> None:
    cluster.submitit.refuses = True
    futures: list[Future[Any]] = [cluster.executor.submit(abs, number) for number in range(2)]
    for future in futures:
        error = future.exception(20)
        assert isinstance(error, NalmError)
        assert str(error) == "sbatch refused the jobs: sbatch: error: no such partition"


def test_an_exception_cancels_the_jobs(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr("subprocess.run", lambda command, check: commands.append(command))
    cluster.queue = {"1_0": "RUNNING", "1_1": "PENDING"}

    def interrupted() -> None:
        with cluster.executor as executor:
            executor.submit(abs, 0)
            executor.submit(abs, 1)
            wait_until(lambda: cluster.submitit.arrays and cluster.queries)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert commands == [["scancel", "1_0", "1_1"]]


@pytest.mark.parametrize(
    ("answer", "states"),
    [
        ("echo ' 7_0|RUNNING'; echo ' 7_1|PENDING'", {"7_0": "RUNNING", "7_1": "PENDING"}),
        ("echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1", {}),
        ("echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1", None),
    ],
)
def test_answers_of_the_queue_are_parsed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, states: dict[str, str] | None
) -> None:
    command = tmp_path / "squeue"
    command.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked\n{answer}\n')
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert job_states(["7_0", "7_1", "8"]) == states
    assert "--jobs=7,8" in (tmp_path / "asked").read_text()
