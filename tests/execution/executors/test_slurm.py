"""The executor for Slurm, on a real cluster."""

import contextlib
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.execution.command import FIGURE, SHARDS, Command, trained_locally
from tests.execution.executors.slurm import missing, slurm
from tests.execution.processes import rows, wait_until

import nalm
from nalm.store.store import Store

ON_SLURM = ("--executor", "slurm", "--slurm-partition", "main", "--slurm-time", "10")

pytestmark = [pytest.mark.slow, pytest.mark.skipif(missing() is not None, reason=str(missing()))]


@pytest.fixture(scope="module")
def local() -> list[str]:
    return trained_locally()


@pytest.fixture(scope="module")
def configuration() -> Iterator[Path]:
    with slurm() as path:
        yield path


@pytest.fixture
def cluster(configuration: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process submit to Slurm, with the calls of jobs in ``state``."""
    monkeypatch.setenv("SLURM_CONF", str(configuration))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def ask(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def jobs() -> dict[str, str]:
    """Return the states of all jobs that Slurm remembers."""
    lines = ask("squeue", "--noheader", "--array", "--states=all", "--format=%i|%T").splitlines()
    return dict(line.strip().split("|") for line in lines)


def resumed(directory: Path) -> bool:
    """Return whether a shard was resumed from a checkpoint."""
    return any(iteration > 0 for _, about in Store(directory).runs() for iteration in about["resumed_at"])


@contextlib.contextmanager
def training(out: Path) -> Iterator[tuple[Command, list[str]]]:
    """Start a command that trains on Slurm; yield it with its running jobs."""
    before = set(jobs())
    with Command("run", *FIGURE, *ON_SLURM, "--out", out) as command:
        wait_until(lambda: bool(list(out.glob("running/*.json"))))
        yield command, sorted(name for name, state in jobs().items() if name not in before and state == "RUNNING")


@pytest.mark.usefixtures("cluster")
def test_a_job_array_trains_the_same_runs_although_a_job_was_cancelled(local: list[str], tmp_path: Path) -> None:
    with training(tmp_path / "results") as (command, running):
        array = running[0].partition("_")[0]
        assert {name for name in jobs() if name.startswith(array)} == {f"{array}_{index}" for index in range(SHARDS)}
        ask("scancel", running[0])
        command.ended()
    assert jobs()[running[0]] == "CANCELLED"
    assert [name for name in jobs() if int(name.partition("_")[0]) > int(array)]  # its shard was submitted again
    assert rows(tmp_path / "results") == local
    assert resumed(tmp_path / "results")
    assert not list((tmp_path / "results").rglob("*.pkl"))
    assert not list((tmp_path / "results" / "running").iterdir())


@pytest.mark.usefixtures("cluster")
def test_a_job_that_slurm_warns_is_queued_again_and_finishes(local: list[str], tmp_path: Path) -> None:
    with training(tmp_path / "results") as (command, running):
        with contextlib.suppress(subprocess.TimeoutExpired):  # it keeps trying once the job is back in the queue
            subprocess.run(["scancel", "--signal=USR2", running[0]], check=False, timeout=5)
        wait_until(lambda: jobs()[running[0]] == "PENDING")
        ask("scontrol", "update", f"JobId={running[0]}", "StartTime=now")  # otherwise Slurm waits for two minutes
        command.ended()
    assert jobs()[running[0]] == "COMPLETED"
    assert rows(tmp_path / "results") == local
    assert resumed(tmp_path / "results")


@pytest.mark.usefixtures("cluster")
def test_an_interrupted_command_cancels_its_jobs(tmp_path: Path) -> None:
    with training(tmp_path / "results") as (command, running):
        command.process.send_signal(signal.SIGINT)
        command.ended(130)
    array = running[0].partition("_")[0]
    wait_until(lambda: {state for name, state in jobs().items() if name.startswith(array)} == {"CANCELLED"})


@pytest.mark.usefixtures("cluster")
def test_an_unknown_partition_is_wrong_input(tmp_path: Path) -> None:
    options = ("--executor", "slurm", "--slurm-partition", "none", "--out", tmp_path / "results")
    with Command("run", *FIGURE, *options) as command:
        _, said = command.ended(2)
    assert "Invalid partition name specified" in said.splitlines()[-1]


@pytest.mark.usefixtures("cluster")
def test_a_script_for_slurm_trains_the_figure(
    local: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with Command("script", *FIGURE, "--scheduler", "slurm", "--of", 2) as command:
        printed, said = command.ended()
    assert said == ""
    (tmp_path / "figure.sh").write_text(printed)
    ask("sbatch", "figure.sh")
    wait_until(
        lambda: bool(list(tmp_path.glob("results/experiments/*.json"))) and nalm.status("results", 0).done == SHARDS
    )
    assert rows(tmp_path / "results") == local
    assert sorted(path.name for path in (tmp_path / "results" / "logs").iterdir()) == ["0.log", "1.log"]
