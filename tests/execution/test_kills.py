"""Processes that are killed, asked to stop, suspended, or concurrent: no run is lost or stored twice."""

import contextlib
import os
import pty
import random
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.execution.processes import (
    TWO_SHARDS,
    Start,
    assert_every_shard_is_there_once,
    children,
    drive,
    ended,
    files,
    iterations,
    rows,
    run_command,
    train_two_shards,
    wait_until,
)

import nalm
from nalm.execution.dispatch import ATTEMPTS
from nalm.experiments.experiment import Experiment
from nalm.store.store import Store

WriteYaml = Callable[..., Path]


# Kills


def kill_again_and_again(start: Start, path: Path, out: Path, log: Path, kills: int, updates: int, **how: Any) -> None:
    """Kill a run at random moments, each after a checkpoint, and let the last process finish."""
    moments = random.Random(kills)
    for _ in range(kills):
        enough = iterations(log) + moments.uniform(0.3, 0.9) * updates / kills
        process = drive(start, path, out, log, **how)
        wait_until(lambda: files(out, "*.checkpoint") and iterations(log) > enough, process)  # noqa: B023
        assert process.poll() is None
        process.kill()
        process.wait()
    last = drive(start, path, out, log, **how)
    assert ended(last) == ""


@pytest.mark.parametrize("kills", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_a_run_that_is_killed_repeatedly_has_bit_equal_results(
    write_yaml: WriteYaml, start: Start, tmp_path: Path, kills: int
) -> None:
    updates = 3000
    path = write_yaml(recipe=f"recipe: {{iterations: {updates - 1}, evaluate_every: 200}}")
    kill_again_and_again(start, path, tmp_path / "killed", tmp_path / "log", kills=kills, updates=updates)
    nalm.run(str(path), tmp_path / "whole", workers=0, compiled=False)
    assert rows(tmp_path / "killed") == rows(tmp_path / "whole")
    assert updates < iterations(tmp_path / "log") < 1.3 * updates
    assert_every_shard_is_there_once(tmp_path / "killed", 1)


@pytest.mark.slow
@pytest.mark.compiled
def test_ten_kills_cost_less_than_three_tenths_of_a_compiled_run(
    write_yaml: WriteYaml, start: Start, tmp_path: Path
) -> None:
    updates = 400_000
    path = write_yaml(
        recipe=f"recipe: {{iterations: {updates - 1}, evaluate_every: 10000}}",
        seeds="seeds: 0-24",
        ranges="ranges: nine",
    )
    kill_again_and_again(
        start, path, tmp_path / "killed", tmp_path / "log", kills=10, updates=updates, how="compiled", often=False
    )
    nalm.run(str(path), tmp_path / "whole", workers=0)
    assert rows(tmp_path / "killed") == rows(tmp_path / "whole")
    assert updates < iterations(tmp_path / "log") < 1.3 * updates
    ((_, about),) = Store(tmp_path / "killed").runs()
    assert len(about["resumed_at"]) == 10
    assert about["resumed_at"] == sorted(set(about["resumed_at"]))
    assert about["resumed_at"][-1] > updates / 3


@pytest.mark.slow
@pytest.mark.processes
def test_no_run_is_lost_when_the_parent_of_the_workers_is_killed(
    write_yaml: WriteYaml, start: Start, tmp_path: Path
) -> None:
    path = write_yaml(**TWO_SHARDS)
    out = tmp_path / "killed"
    process = train_two_shards(start, path, out)
    process.kill()
    wait_until(lambda: not files(out, "*.lease"))
    assert len(files(out, "*.checkpoint")) == 2
    nalm.run(str(path), out, workers=0, compiled=False)
    nalm.run(str(path), tmp_path / "whole", workers=0, compiled=False)
    assert rows(out) == rows(tmp_path / "whole")
    assert all(about["resumed_at"] for _, about in Store(out).runs())


# Stops


@pytest.mark.processes
@pytest.mark.parametrize(
    ("number", "code", "how"),
    [
        (signal.SIGTERM, 143, "told to stop"),
        pytest.param(signal.SIGHUP, 129, "told to stop", marks=pytest.mark.slow),
        pytest.param(signal.SIGINT, 130, "interrupted", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_a_run_that_is_told_to_stop_writes_checkpoints_and_says_how_to_resume(
    write_yaml: WriteYaml, start: Start, tmp_path: Path, number: int, code: int, how: str, workers: int
) -> None:
    path = write_yaml(recipe="recipe: {iterations: 1000000, evaluate_every: 100}", seeds="seeds: 0-49")
    out = tmp_path / "results"
    process = start(*run_command(path, out, "--workers", workers))
    wait_until(lambda: len(files(out, "*.json")) == max(1, workers), process)
    if workers == 0 and number == signal.SIGINT:  # it strikes in the middle of an iteration: the last checkpoint counts
        wait_until(lambda: files(out, "*.checkpoint"), process)
    process.send_signal(number)
    said = ended(process)
    assert process.returncode == code
    *_, last = said.splitlines()
    assert last == f"nalm: {how}; finished work is saved, and the same command resumes it"
    assert "Traceback" not in said
    assert [item.suffix for item in (out / "running").iterdir()] == [".checkpoint"] * max(1, workers)


@pytest.mark.slow
@pytest.mark.processes
def test_a_closed_terminal_tells_all_processes_to_stop(write_yaml: WriteYaml, tmp_path: Path) -> None:
    path = write_yaml(recipe="recipe: {iterations: 1000000, evaluate_every: 100}", seeds="seeds: 0-49")
    out = tmp_path / "results"
    child, terminal = pty.fork()
    if child == 0:
        os.execv(sys.executable, [sys.executable, *map(str, run_command(path, out, "--workers", 2))])
    reader = threading.Thread(target=_read_all, args=(terminal,), daemon=True)
    reader.start()
    wait_until(lambda: len(files(out, "*.json")) == 2)
    os.killpg(child, signal.SIGHUP)  # as the system does
    os.close(terminal)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 129
    wait_until(lambda: not files(out, "*.lease"))
    assert len(files(out, "*.checkpoint")) == 2


def _read_all(terminal: int) -> None:
    with contextlib.suppress(OSError):
        while os.read(terminal, 1000):
            pass


@pytest.mark.slow
@pytest.mark.processes
def test_training_that_ignores_a_closed_terminal_goes_on(write_yaml: WriteYaml, start: Start, tmp_path: Path) -> None:
    path = write_yaml(recipe="recipe: {iterations: 3000, evaluate_every: 100}", seeds="seeds: 0-9")
    out = tmp_path / "results"
    process = start(
        *run_command(path, out, "--workers", 1), prepare=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)
    )
    wait_until(lambda: files(out, "*.json"), process)
    for pid in (process.pid, *_children(process.pid)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGHUP)
    assert process.stderr is not None
    process.stderr.close()
    assert process.wait(timeout=600) == 0
    assert_every_shard_is_there_once(out, 1)


def _children(pid: int) -> list[int]:
    children = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            children += [int(child) for child in (task / "children").read_text().split()]
    return [*children, *(grandchild for child in children for grandchild in _children(child))]


@pytest.mark.slow
@pytest.mark.processes
def test_workers_that_are_told_to_stop_are_replaced_and_no_shard_counts_as_failed(
    write_yaml: WriteYaml, start: Start, tmp_path: Path
) -> None:
    path = write_yaml(recipe="recipe: {iterations: 3000, evaluate_every: 100}", seeds="seeds: 0-99")
    out = tmp_path / "results"
    process = start(*run_command(path, out, "--workers", 2))
    seen: set[int] = set()
    for _ in range(ATTEMPTS + 1):
        wait_until(lambda: len(files(out, "*.json")) == 2 and seen.isdisjoint(children(process.pid)), process)  # noqa: B023
        seen = seen.union(children(process.pid))
        os.kill(max(seen), signal.SIGTERM)
    said = ended(process)
    assert process.returncode == 0, said
    assert "failed" not in said
    assert_every_shard_is_there_once(out, 4)
    assert any(about["resumed_at"] for _, about in Store(out).runs())


# Several processes


def test_two_runs_into_one_directory_share_the_work(write_yaml: WriteYaml, start: Start, tmp_path: Path) -> None:
    updates, shards = 400, 4
    path = write_yaml(recipe=f"recipe: {{iterations: {updates - 1}, evaluate_every: 100}}", seeds="seeds: 0-99")
    out, logs = tmp_path / "results", [tmp_path / "log-0", tmp_path / "log-1"]
    for process in [drive(start, path, out, log) for log in logs]:
        assert ended(process) == ""
        assert process.returncode == 0
    assert_every_shard_is_there_once(out, shards)
    assert nalm.load(out).missing == 0
    assert all(map(iterations, logs))
    assert sum(map(iterations, logs)) == updates * shards


@pytest.mark.slow
def test_the_shard_of_a_suspended_owner_is_taken_over_and_stored_once(
    write_yaml: WriteYaml, start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NALM_PATIENCE", "1.5")
    updates = 2000
    path = write_yaml(recipe=f"recipe: {{iterations: {updates - 1}, evaluate_every: 500}}")
    out, log = tmp_path / "results", tmp_path / "log"
    first = drive(start, path, out, log)
    wait_until(lambda: files(out, "*.checkpoint"), first)
    first.send_signal(signal.SIGSTOP)
    stopped_at = iterations(log)
    second = drive(start, path, out, log)
    assert ended(second) == ""
    first.send_signal(signal.SIGCONT)
    assert ended(first) == ""
    assert (first.returncode, second.returncode) == (0, 0)
    assert_every_shard_is_there_once(out, 1)
    ((_, about),) = Store(out).runs()
    (resumed_at,) = about["resumed_at"]
    assert 0 < resumed_at <= stopped_at


def test_no_experiment_is_lost_when_several_are_added_at_once(tiny_experiment: Experiment, tmp_path: Path) -> None:
    Store(tmp_path / "results").make_directories()
    seeds = range(16)
    with ThreadPoolExecutor(len(seeds)) as executor:
        list(
            executor.map(
                lambda seed: Store(tmp_path / "results").experiments.add(tiny_experiment.narrowed([seed])), seeds
            )
        )
    assert Store(tmp_path / "results").experiments.read("tiny").seeds == tuple(seeds)


def test_a_shard_that_was_stored_after_planning_is_not_trained_again(
    tiny_experiment: Experiment, tmp_path: Path
) -> None:
    class Late:
        """Store every shard from elsewhere before its training begins."""

        def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Future[Any]:
            function(*arguments)
            future: Future[Any] = Future()
            future.set_result(function(*arguments))
            return future

    late: Any = Late()
    told: list[nalm.Progress] = []
    store = nalm.run(tiny_experiment, tmp_path / "results", executor=late, compiled=False, on_progress=told.append)
    assert_every_shard_is_there_once(store.path, 2)
    assert (told[-1].finished, told[-1].solved) == (12, 0)
