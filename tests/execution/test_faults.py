"""Faults: full disks, read-only disks, clocks that jump, and shards that fail at random."""

import itertools
import random
import resource
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from tests.execution.processes import Start, assert_every_shard_is_there_once, ended, rows, run_command

import nalm
from nalm.errors import NalmError
from nalm.execution.dispatch import ATTEMPTS
from nalm.experiments.experiment import Experiment
from nalm.experiments.runs import Shard
from nalm.store.store import Store

WriteYaml = Callable[..., Path]


# Disks


def limited() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))


def test_a_full_disk_ends_the_run_with_one_sentence_and_with_free_space_it_resumes(
    write_yaml: WriteYaml, start: Start, tmp_path: Path, results: Path
) -> None:
    path = write_yaml(recipe="recipe: {iterations: 30, evaluate_every: 5}")
    before = {item.name: item.read_bytes() for item in (results / "shards").iterdir()}
    process = start(*run_command(path, results, "--workers", 0), prepare=limited)
    said = ended(process)
    assert process.returncode == 2
    *_, last = said.splitlines()
    assert last == (
        f"nalm: cannot write results to {str(results)!r}: File too large; "
        "finished shards are saved: free some space and repeat the command to go on"
    )
    assert "Traceback" not in said
    assert {item.name: item.read_bytes() for item in (results / "shards").iterdir()} == before
    assert list((results / "running").iterdir()) == []
    nalm.run(str(path), results, workers=0, compiled=False)
    assert nalm.load(results, "mine").missing == 0


@pytest.mark.slow
def test_a_full_disk_stops_workers_with_one_sentence(write_yaml: WriteYaml, start: Start, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip("needs the right to mount")
    try:
        path = write_yaml(recipe="recipe: {iterations: 250, evaluate_every: 1}", seeds="seeds: 0-99")
        process = start(*run_command(path, disk / "results", "--workers", 2))
        said = ended(process)
        assert process.returncode == 2
        assert f"nalm: cannot write results to {str(disk / 'results')!r}: No space left on device; " in said
        assert "Traceback" not in said
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        process = start(*run_command(path, disk / "results", "--workers", 2))
        assert ended(process).splitlines()[-1].startswith("all 100 runs are in ")
        assert_every_shard_is_there_once(disk / "results", 4)
    finally:
        subprocess.run(["umount", str(disk)], check=True)


READS_ONLY = """
import sys

def refuse(event, arguments):
    writes = event == "open" and isinstance(arguments[0], str) and set(arguments[1] or "r") & set("wax+")
    if writes or event in ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate", "os.link", "os.utime"):
        if "results" in str(arguments[0]):
            raise OSError(30, "Read-only file system", str(arguments[0]))

from nalm.cli import main
sys.addaudithook(refuse)
main()
"""


@pytest.mark.parametrize(
    "command",
    [
        ["summary"],
        pytest.param(["runs"], marks=pytest.mark.slow),
        pytest.param(["show", "--variant", "NMRU", "--task", "negative", "--seed", "1"], marks=pytest.mark.slow),
    ],
)
def test_read_only_results_are_read(results: Path, start: Start, command: list[str]) -> None:
    name, *options = command
    process = start("-c", READS_ONLY, name, results, *options)
    printed, said = process.communicate(timeout=120)
    assert (process.returncode, said) == (0, "")
    assert "NMRU" in printed


def test_read_only_results_cannot_be_trained_into(results: Path, tiny: Path, start: Start) -> None:
    process = start("-c", READS_ONLY, *run_command(tiny, results, "--seeds", "7")[2:])
    said = ended(process)
    assert process.returncode == 2
    assert said.splitlines()[-1] == f"nalm: cannot write results to {str(results)!r}: Read-only file system"


@pytest.mark.slow
def test_results_on_a_disk_that_is_mounted_read_only_are_summarized(results: Path, tiny: Path) -> None:
    mount = f"mount --bind {results} {results} && mount -o remount,bind,ro {results}"
    if subprocess.run(["unshare", "-m", "sh", "-c", mount], capture_output=True).returncode:
        pytest.skip("needs the right to mount")
    for command, code in (("summary", 0), (f"run {tiny} --seeds 7 --no-compile --out", 2)):
        script = f"{mount} && {sys.executable} -m nalm {command} {results}"
        done = subprocess.run(["unshare", "-m", "sh", "-c", script], capture_output=True, text=True)
        assert done.returncode == code, done.stderr
    assert done.stderr.endswith("Read-only file system\n")


# Clocks


def test_setting_the_clock_back_changes_only_times(
    results: Path, tiny_experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backwards = itertools.count(2_000_000_000, -3600)
    for name in ("time.time", "nalm.training.ensemble.recording.time"):
        monkeypatch.setattr(name, lambda: float(next(backwards)))
    told: list[nalm.Progress] = []
    out = tmp_path / "backwards"
    nalm.run(tiny_experiment, out, workers=0, compiled=False, on_progress=told.append)
    assert rows(out) == rows(results)
    shares = [progress.share for progress in told]
    assert shares == sorted(shares)
    assert all(progress.seconds >= 0 for progress in told)
    assert all(0 < about["seconds"] < 600 for _, about in Store(out).runs())


# Random failures


class FailsAtRandom:
    """An executor on which one attempt in five fails, before training or during it."""

    def __init__(self) -> None:
        self.chance = random.Random(2)
        self.attempts: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Future[Any]:
        (shard,) = (argument for argument in arguments if isinstance(argument, Shard))
        self.attempts[shard.name] += 1
        future: Future[Any] = Future()
        if self.chance.random() < 0.2:
            self.failures[shard.name] += 1
            future.set_exception(RuntimeError(f"attempt {self.attempts[shard.name]} went wrong"))
        else:
            future.set_result(function(*arguments))
        return future


def test_a_run_of_a_hundred_shards_ends_and_reports_a_fifth_that_fail(
    write_yaml: WriteYaml, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_yaml(
        recipe="recipe: {iterations: 2, evaluate_every: 1}", ranges="ranges: [{train: [1, 2], test: [2, 6]}]"
    )
    experiment = nalm.load_experiment(str(path)).narrowed(range(0, 2500, 25))  # one of each block
    executor: Any = FailsAtRandom()
    told: list[nalm.Progress] = []
    with pytest.raises(NalmError) as error:
        nalm.run(experiment, tmp_path / "results", executor=executor, compiled=False, on_progress=told.append)
    failures: Counter[str] = executor.failures
    given_up = {name for name, count in failures.items() if count == ATTEMPTS}
    retried = failures.keys() - given_up
    assert len(executor.attempts) == 100
    assert len(retried) > 10
    assert len(given_up) > 0
    assert all(executor.attempts[name] == failures[name] + 1 for name in retried)
    sentence = f"{len(given_up)} of 100 shards failed, the others are saved; the first failed with RuntimeError"
    assert str(error.value).startswith(sentence)
    assert f"{len(retried)} of 100 shards failed at first and were trained again: " in caplog.messages[0]
    assert {path.stem for path in (tmp_path / "results" / "failed").iterdir()} == given_up
    assert all("went wrong" in path.read_text() for path in (tmp_path / "results" / "failed").iterdir())
    assert nalm.load(tmp_path / "results").missing == len(given_up)
    assert (told[-1].retried, told[-1].failed, told[-1].finished) == (len(retried), len(given_up), 100 - len(given_up))

    nalm.run(experiment, tmp_path / "results", workers=0, compiled=False)
    assert nalm.load(tmp_path / "results").missing == 0
    assert list((tmp_path / "results" / "failed").iterdir()) == []
