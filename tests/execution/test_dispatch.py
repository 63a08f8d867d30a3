"""Training shards on executors: anything with ``submit``, and worker processes that may die."""

import concurrent.futures
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from tests.execution.processes import wait_until

import nalm
from nalm.errors import NalmError
from nalm.execution.dispatch import ATTEMPTS, train_shards
from nalm.execution.executors.local import InProcessExecutor
from nalm.execution.plan import plan
from nalm.execution.running import ShardProgress
from nalm.execution.signals import Interrupted
from nalm.execution.worker import LeasedElsewhere
from nalm.experiments.experiment import Experiment
from nalm.experiments.runs import Shard
from nalm.store.store import Store

WriteYaml = Callable[..., Path]

DIES_ONCE = """
import os
from pathlib import Path
from torch import nn

marker = Path({marker!r})
calls = 0

class Mortal(nn.Linear):
    def forward(self, x):
        global calls
        calls += 1
        if calls == 15 and not marker.exists():
            marker.touch()
            os._exit(1)
        return super().forward(x)
"""


class Submits:
    """An executor with ``submit`` and nothing else."""

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(function(*arguments))
        return future


# Any executor


@pytest.mark.parametrize("make", [Submits, InProcessExecutor, lambda: ThreadPoolExecutor(1)])
def test_anything_with_submit_is_an_executor(
    tiny_experiment: Experiment, tmp_path: Path, make: Callable[[], concurrent.futures.Executor]
) -> None:
    nalm.run(tiny_experiment, tmp_path / "results", executor=make(), compiled=False)
    assert nalm.load(tmp_path / "results").missing == 0


def test_the_callers_executor_stays_open(tiny_experiment: Experiment, tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as executor:
        for seeds in ([0], [1]):
            nalm.run(tiny_experiment.narrowed(seeds), tmp_path / "results", executor=executor, compiled=False)
        assert executor.submit(int, "7").result() == 7
    assert nalm.load(tmp_path / "results").experiment.seeds == (0, 1)


def test_results_do_not_depend_on_the_executor(results: Path, tiny_experiment: Experiment, tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as executor:  # seeds and precision are set for the whole process: threads take turns
        nalm.run(tiny_experiment, tmp_path / "threads", executor=executor, compiled=False)
    assert nalm.load(tmp_path / "threads").runs().equals(nalm.load(results).runs())


# Shards that fail


class FailsFor:
    """An executor that raises for the shards of one module, trains the others, and counts submissions."""

    def __init__(self, module: str, error: Exception) -> None:
        self.module = module
        self.error = error
        self.submitted: list[str] = []

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Future[Any]:
        (shard,) = (argument for argument in arguments if isinstance(argument, Shard))
        self.submitted.append(shard.recipe.module.name)
        future: Future[Any] = Future()
        if shard.recipe.module.name == self.module:
            future.set_exception(self.error)
        else:
            future.set_result(function(*arguments))
        return future


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError("no luck\nand many more lines"), "ValueError: no luck"),
        (MemoryError(), "MemoryError: "),
        (OSError(5, "Input/output error"), "OSError: [Errno 5] Input/output error"),
    ],
)
def test_a_shard_that_raises_is_reported_in_one_sentence_and_the_others_are_saved(
    tiny_experiment: Experiment, tmp_path: Path, error: Exception, reason: str
) -> None:
    executor: Any = FailsFor("NMRU", error)
    with pytest.raises(NalmError) as reported:
        nalm.run(tiny_experiment, tmp_path / "results", executor=executor, compiled=False)
    sentence = f"1 of 2 shards failed, the others are saved; the first failed with {reason} (tracebacks are in "
    assert str(reported.value).startswith(sentence)
    (traceback,) = (tmp_path / "results" / "failed").iterdir()
    assert "Traceback" in traceback.read_text() or reason.split(":", maxsplit=1)[0] in traceback.read_text()
    assert reported.value.__cause__ is error
    assert executor.submitted == ["NMRU", "NRU", *["NMRU"] * (ATTEMPTS - 1)]
    assert set(nalm.load(tmp_path / "results").runs()["variant"]) == {"NRU"}

    nalm.run(tiny_experiment, tmp_path / "results", workers=0, compiled=False)
    assert nalm.load(tmp_path / "results").missing == 0


class Pool:
    """A process pool as its caller sees it: when a worker dies, every unfinished future fails.

    Shards are trained in the order of submission; the worker dies at those of one module, either once all are there
    or, ``at_once``, while others are still being submitted.
    """

    def __init__(self, deadly: str, log: list[str], at_once: bool = False) -> None:
        self.deadly = deadly
        self.log = log
        self.at_once = at_once
        self.broken = False

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Future[Any]:
        (shard,) = (argument for argument in arguments if isinstance(argument, Shard))
        module = shard.recipe.module.name
        if self.broken and self.at_once:
            raise BrokenProcessPool("a worker died")
        self.broken = self.broken or module == self.deadly
        future: Future[Any] = Future()
        if self.broken:
            future.set_exception(BrokenProcessPool("a worker died"))
        else:
            future.set_result(ShardProgress(0, len(shard.runs), 0, []))
        self.log.append(module)
        return future


def outcomes(experiment: Experiment, directory: Path, pools: Callable[[], Any]) -> dict[str, object]:
    trained = train_shards(directory, plan([experiment], set()).shards, lambda: nullcontext(pools()), "cpu", False)
    return {item[0].recipe.module.name: item[1] for item in trained if item is not None}


def test_shards_of_a_pool_that_broke_are_submitted_to_a_new_one(tiny_experiment: Experiment, tmp_path: Path) -> None:
    log: list[str] = []
    deadly = iter(["NMRU", "nothing"])
    found = outcomes(tiny_experiment, tmp_path, lambda: Pool(next(deadly), log))
    assert log == ["NMRU", "NRU"] * 2
    assert all(isinstance(outcome, ShardProgress) for outcome in found.values())


def test_a_pool_that_breaks_while_shards_are_submitted_is_replaced_too(
    tiny_experiment: Experiment, tmp_path: Path
) -> None:
    deadly = iter(["NMRU", "nothing"])
    found = outcomes(tiny_experiment, tmp_path, lambda: Pool(next(deadly), [], at_once=True))
    assert all(isinstance(outcome, ShardProgress) for outcome in found.values())


def test_a_shard_that_kills_every_worker_fails_in_the_end(tiny_experiment: Experiment, tmp_path: Path) -> None:
    log: list[str] = []
    found = outcomes(tiny_experiment, tmp_path, lambda: Pool("NRU", log))
    assert isinstance(found["NMRU"], ShardProgress)
    assert isinstance(found["NRU"], BrokenProcessPool)
    assert log.count("NRU") == ATTEMPTS


def test_a_shard_that_kills_every_worker_does_not_fail_the_others(tiny_experiment: Experiment, tmp_path: Path) -> None:
    found = outcomes(tiny_experiment, tmp_path, lambda: Pool("NMRU", []))
    assert isinstance(found["NMRU"], BrokenProcessPool)
    assert isinstance(found["NRU"], ShardProgress)


def test_a_broken_pool_counts_only_against_the_shard_whose_worker_died(
    tiny_experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards = plan([tiny_experiment], set()).shards
    (deadly,) = (shard for shard in shards if shard.recipe.module.name == "NMRU")
    monkeypatch.setattr("nalm.execution.dispatch._owner_is_dead", lambda directory, shard: shard is deadly)
    pools: list[list[str]] = []

    def make() -> Any:
        pools.append([])
        return nullcontext(Pool("NMRU", pools[-1]))

    events = [event for event in train_shards(tmp_path, shards, make, "cpu", False) if event is not None]
    assert pools == [["NMRU", "NRU"], ["NMRU", "NRU"], ["NRU"], ["NMRU"]]
    of_deadly = [event for event in events if event.shard is deadly]
    assert [event.final for event in of_deadly] == [False, False, True]
    (other,) = (event for event in events if event.shard is not deadly)
    assert isinstance(other.outcome, ShardProgress)


class InTurn:
    """An executor with given outcomes for the attempts of a shard, in turn."""

    def __init__(self, *outcomes: object) -> None:
        self.outcomes = list(outcomes)

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Future[Any]:
        future: Future[Any] = Future()
        outcome = self.outcomes.pop(0)
        if outcome == "cancelled":
            future.cancel()
        elif isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
        return future


DONE = ShardProgress(1, 1, 0, [])


@pytest.mark.parametrize(
    ("outcomes", "kinds"),
    [
        ([LeasedElsewhere(), DONE], [ShardProgress]),
        ([Interrupted(), DONE], [ShardProgress]),
        (["cancelled", DONE], [CancelledError, ShardProgress]),
        ([ValueError(), LeasedElsewhere(), ValueError(), DONE], [ValueError, ValueError, ShardProgress]),
        ([Interrupted()] * ATTEMPTS + [DONE], [ShardProgress]),
        ([ValueError()] * ATTEMPTS, [ValueError] * ATTEMPTS),
    ],
)
def test_a_shard_is_retried_until_it_is_finished_or_has_no_attempts_left(
    tiny_experiment: Experiment,
    tmp_path: Path,
    outcomes: list[object],
    kinds: list[type],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("nalm.execution.dispatch.SECONDS_BETWEEN_LOOKS", 0.01)
    shards = plan([tiny_experiment.narrowed(variants=["NRU"])], set()).shards
    executor: Any = InTurn(*outcomes)
    events = [event for event in train_shards(tmp_path, shards, lambda: nullcontext(executor), "cpu", False) if event]
    assert [type(event.outcome) for event in events] == kinds
    assert [event.final for event in events] == [False] * (len(kinds) - 1) + [True]
    assert executor.outcomes == []


def test_waiting_shards_are_cancelled_when_a_run_ends_early(tiny_experiment: Experiment, tmp_path: Path) -> None:
    futures: list[Future[Any]] = [Future(), Future()]

    class Slow:
        def __init__(self) -> None:
            self.left = list(futures)

        def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Future[Any]:
            return self.left.pop()

    def stop(progress: nalm.Progress) -> None:
        raise KeyboardInterrupt

    slow: Any = Slow()
    with pytest.raises(KeyboardInterrupt):
        nalm.run(tiny_experiment, tmp_path / "results", executor=slow, on_progress=stop)
    assert all(future.cancelled() for future in futures)


# Real processes


@pytest.mark.processes
def test_a_worker_that_dies_while_training_is_replaced_and_its_shard_is_trained(
    write_yaml: WriteYaml,
    user_module: Callable[[str, str], None],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    marker = tmp_path / "died"
    user_module("mortal_layers", DIES_ONCE.format(marker=str(marker)))
    variants = "{label: mortal, recipe: {module: 'mortal_layers:Mortal'}}, {label: NMRU, recipe: {base: nmru}}"
    path = write_yaml(variants=f"variants: [{variants}]")
    told: list[nalm.Progress] = []
    store = nalm.run(str(path), tmp_path / "results", workers=2, compiled=False, on_progress=told.append)
    assert marker.exists()
    results = nalm.load(store.path)
    assert results.missing == 0
    assert results.runs()[["variant", "seed"]].to_numpy().tolist() == [
        ["mortal", 0],
        ["mortal", 1],
        ["NMRU", 0],
        ["NMRU", 1],
    ]
    assert (told[-1].finished, told[-1].share) == (4, 1.0)
    assert [path for path in (store.path / "shards").iterdir() if path.suffix != ".parquet"] == []
    assert len(Store(store.path).finished()) == 4
    assert caplog.messages[0].startswith(
        "1 of 2 shards failed at first and were trained again: 1 with a worker process that died"
    )

    alone = nalm.run(str(path), tmp_path / "alone", workers=0, compiled=False)
    assert nalm.load(alone.path).runs().equals(results.runs())


@pytest.mark.slow
@pytest.mark.processes
def test_workers_end_when_the_process_that_started_them_is_killed(tmp_path: Path, tiny: Path) -> None:
    command = [sys.executable, "-m", "nalm", "run", str(tiny), "--out", str(tmp_path / "results"), "--no-compile"]
    run = subprocess.Popen([*command, "--iterations", "1000000", "--workers", "2"], stderr=subprocess.DEVNULL)
    progress = tmp_path / "results" / "running"
    wait_until(lambda: progress.is_dir() and len(list(progress.glob("*.json"))) == 2)
    run.kill()
    run.wait()

    def is_unchanged() -> bool:
        before = {path: path.stat().st_mtime_ns for path in progress.glob("*.json")}
        time.sleep(2)
        return before == {path: path.stat().st_mtime_ns for path in progress.glob("*.json")}

    wait_until(is_unchanged)
