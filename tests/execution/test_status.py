"""Progress of experiments, read from the files of their directory."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import CompletedProcess

import pytest

import nalm
from nalm.execution.plan import plan
from nalm.experiments.experiment import Experiment
from nalm.experiments.runs import Shard
from nalm.store.store import Store

Cli = Callable[..., CompletedProcess[str]]
Contents = dict[str, bytes | None]

WATCH = 0.5
BEAT = 0.05


@pytest.fixture
def half(tiny_experiment: Experiment, tmp_path: Path) -> Store:
    """Results with a stored shard of one variant and a missing shard of the other."""
    store = nalm.run(tiny_experiment.narrowed(variants=["NRU"]), tmp_path / "results", workers=0, compiled=False)
    store.experiments.save(tiny_experiment)
    return store


@pytest.fixture
def missing(half: Store, tiny_experiment: Experiment) -> Shard:
    (shard,) = plan([tiny_experiment], half.finished()).shards
    return shard


def report(store: Store, name: str, iteration: int = 10) -> None:
    """Write the progress report of a shard, as its worker does."""
    progress = {"iteration": iteration, "runs": 6, "solved": 0, "warnings": []}
    (store.path / "running" / f"{name}.json").write_text(json.dumps(progress))


@contextmanager
def beating(path: Path) -> Iterator[None]:
    """Rewrite a heartbeat again and again, as the owner of a lease does."""
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"host": "node7", "pid": 1, "beats": 0}))
    ended = threading.Event()

    def beat() -> None:
        beats = 0
        while not ended.wait(BEAT):
            beats += 1
            path.write_text(json.dumps({"host": "node7", "pid": 1, "beats": beats}))

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def test_all_shards_are_done_when_all_runs_are_stored(results: Path) -> None:
    found = nalm.status(results)
    assert (found.experiments, found.runs, found.finished) == (["tiny"], 12, 12)
    assert (found.shards, found.done, found.waiting, found.running, found.failed) == (2, 2, 0, [], [])
    assert found.seconds_left == 0


def test_a_shard_that_nobody_trains_waits(half: Store) -> None:
    found = nalm.status(half.path)
    assert (found.runs, found.finished, found.shards, found.done, found.waiting) == (12, 6, 2, 1, 1)
    assert found.seconds_left is None


def test_a_block_with_missing_seeds_waits(results: Path, tiny_experiment: Experiment) -> None:
    Store(results).experiments.save(tiny_experiment.narrowed(range(30)))
    found = nalm.status(results)
    assert (found.runs, found.finished, found.shards, found.done, found.waiting) == (120, 12, 4, 0, 4)


def test_a_running_shard_is_shown_with_its_progress_and_host(half: Store, missing: Shard) -> None:
    report(half, missing.name)
    with beating(half.path / "running" / f"{missing.name}.lease" / "0123" / "heartbeat"):
        found = nalm.status(half.path)
    (shard,) = found.running
    assert (shard.shard, shard.variant, shard.runs) == (missing.name, "NMRU", 6)
    assert (shard.iteration, shard.iterations, shard.host, shard.alive) == (10, 21, "node7", True)
    assert (found.done, found.waiting, found.failed) == (1, 0, [])
    assert found.seconds_left is not None


def test_a_shard_with_a_lease_is_running(half: Store, missing: Shard) -> None:
    with beating(half.path / "running" / f"{missing.name}.lease" / "0123" / "heartbeat"):
        (shard,) = nalm.status(half.path).running
    assert (shard.variant, shard.runs, shard.iteration, shard.alive) == ("NMRU", None, None, True)


def test_a_new_progress_report_is_a_sign_of_life(half: Store, missing: Shard) -> None:
    report(half, missing.name)
    timer = threading.Timer(2 * BEAT, report, [half, missing.name, 11])
    timer.start()
    (shard,) = nalm.status(half.path).running
    timer.join()
    assert (shard.alive, shard.iteration) == (True, 11)


def test_a_shard_whose_files_do_not_change_shows_no_sign_of_life(half: Store, missing: Shard) -> None:
    report(half, missing.name)
    found = nalm.status(half.path, WATCH)
    assert [shard.alive for shard in found.running] == [False]
    assert found.seconds_left is None


def test_a_shard_of_another_plan_is_shown_by_its_name(half: Store) -> None:
    report(half, "f" * 32)
    found = nalm.status(half.path, 0)
    (shard,) = found.running
    assert (shard.shard, shard.variant, shard.iteration, shard.iterations) == ("f" * 32, None, 10, None)
    assert found.waiting == 1


def test_other_files_are_not_taken_for_shards(half: Store) -> None:
    (half.path / "running" / ".tiny.json.0123").write_text("{")
    (half.path / "running" / "0123.checkpoint").write_bytes(b"")
    assert nalm.status(half.path, 0).running == []


@pytest.mark.parametrize("content", ["", "{", "[1, 2]", "5"])
def test_an_unreadable_report_is_ignored(half: Store, missing: Shard, content: str) -> None:
    (half.path / "running" / f"{missing.name}.json").write_text(content)
    (shard,) = nalm.status(half.path, 0).running
    assert (shard.variant, shard.iteration) == ("NMRU", None)


def test_a_failed_shard_is_shown_with_its_reason(half: Store, missing: Shard) -> None:
    try:
        raise ValueError("no luck")
    except ValueError as error:
        half.failures.add(missing, error)
    found = nalm.status(half.path)
    (shard,) = found.failed
    assert (shard.shard, shard.variant, shard.reason) == (missing.name, "NMRU", "ValueError: no luck")
    assert (found.done, found.waiting) == (1, 0)


def test_a_failed_shard_that_trains_again_counts_as_running(half: Store, missing: Shard) -> None:
    half.failures.add(missing, ValueError("no luck"))
    report(half, missing.name)
    found = nalm.status(half.path, 0)
    assert (len(found.running), found.failed) == (1, [])


def test_the_time_left_follows_from_the_cost_of_stored_shards(half: Store, missing: Shard) -> None:
    def left(iteration: int) -> float:
        report(half, missing.name, 0)
        timer = threading.Timer(2 * BEAT, report, [half, missing.name, iteration])
        timer.start()
        found = nalm.status(half.path)
        timer.join()
        assert found.seconds_left is not None
        return found.seconds_left

    assert left(1) == pytest.approx(2 * left(11), rel=1e-6)  # 20 and 10 of 21 updates


def test_status_changes_no_file(half: Store, missing: Shard, contents: Callable[[Path], Contents]) -> None:
    report(half, missing.name)
    before = contents(half.path)
    nalm.status(half.path, 0)
    assert contents(half.path) == before


# The command


def test_the_command_prints_a_summary_for_people(nalm_cli: Cli, half: Store, missing: Shard) -> None:
    report(half, missing.name)
    half.failures.add(Shard(missing.recipe, missing.runs[:1]), ValueError("no luck"))
    done = nalm_cli("status", half.path, "--watch", 0)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[:4] == [
        "experiments  tiny",
        "runs         12, of which 6 are saved",
        "shards       2, of which 1 are done, 0 train, 1 show no life, 1 failed, 0 wait",
        "time left    unknown, as nobody trains",
    ]
    assert [missing.name[:8], "NMRU", "6", "48%", "–", "none", "in", "0", "s"] in [line.split() for line in lines]
    assert "ValueError: no luck" in lines[-1]


def test_the_command_prints_json_for_programs(nalm_cli: Cli, half: Store, missing: Shard) -> None:
    report(half, missing.name)
    done = nalm_cli("status", half.path, "--watch", 0, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert found["finished"] == 6
    assert found["running"][0]["variant"] == "NMRU"
    assert found["seconds_left"] is None


def test_a_directory_without_results_is_refused(refused: Callable[..., str], tmp_path: Path) -> None:
    assert refused("status", tmp_path / "empty").startswith("found no results in ")
