"""Nonsense in the files of running shards: training starts anew or says what is wrong, and never waits for ever."""

import io
import json
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.fixture_types import Cli

import nalm
from nalm.execution.plan import plan
from nalm.execution.running import read_progress
from nalm.experiments.experiment import Experiment
from nalm.experiments.runs import Shard
from nalm.log import warnings_given
from nalm.paths import content_hash
from nalm.store.leases import LeaseWatcher, acquire, holder
from nalm.store.store import Store

Fields = dict[str, Any]

HUGE = 10**30
REPORTS: list[Any] = [
    {"iteration": "x", "runs": 6, "solved": 0, "warnings": []},
    {"iteration": HUGE, "runs": 6, "solved": 0, "warnings": []},
    {"iteration": -1, "runs": 6, "solved": 0, "warnings": []},
    {"iteration": 1, "runs": [6], "solved": 0, "warnings": []},
    {"iteration": 1, "runs": 6, "solved": 7, "warnings": []},
    {"iteration": 1, "runs": 6, "solved": 0, "warnings": 5},
    {"iteration": 1.5, "runs": 6, "solved": True, "warnings": [3]},
    {"host": {"a": 1}, "pid": HUGE, "runs": None},
    {},
    [1],
    "text",
]


@pytest.fixture
def untrained(tmp_path: Path, tiny_experiment: Experiment) -> Path:
    """A results directory whose shards have not been trained."""
    store = Store(tmp_path / "untrained")
    store.make_directories()
    store.experiments.add(tiny_experiment)
    return store.path


@pytest.fixture
def shard(tiny_experiment: Experiment) -> Shard:
    return plan([tiny_experiment], ()).shards[0]


def put(path: Path, kind: str) -> None:
    """Put something in the place of a file or lease."""
    if kind == "file":
        path.touch()
    elif kind == "dangling link":
        path.symlink_to("nowhere")
    elif kind == "circular link":
        path.symlink_to(path.name)
    elif kind == "link to a folder":
        (path.parent / "elsewhere").mkdir()
        (path.parent / "elsewhere" / "kept").touch()
        path.symlink_to("elsewhere")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder of files":
        path.mkdir()
        for name in (".DS_Store", "heartbeat", "._x"):
            (path / name).touch()
    elif kind == "folder of links":
        path.mkdir()
        (path / "owner").symlink_to("owner")
    else:
        path.mkdir()


# Progress and heartbeats


@pytest.mark.parametrize("report", REPORTS, ids=str)
def test_nonsense_in_progress_reports_is_ignored(untrained: Path, shard: Shard, report: Any) -> None:
    (untrained / "running" / f"{shard.name}.json").write_text(json.dumps(report))
    assert read_progress(untrained, [shard]) == {}
    (running,) = nalm.status(untrained, 0).running
    assert running.shard == shard.name
    assert all(value is None or type(value) is int for value in (running.iteration, running.runs))
    assert running.host is None


@pytest.mark.parametrize("content", [b"[" * 100_000, b"\xff", b"", b'{"iteration": 1e999}'])
def test_reports_that_are_no_json_are_ignored(untrained: Path, shard: Shard, content: bytes, nalm_cli: Cli) -> None:
    (untrained / "running" / f"{shard.name}.json").write_bytes(content)
    assert read_progress(untrained, [shard]) == {}
    assert nalm_cli("status", untrained, "--watch", 0).returncode == 0


@pytest.mark.parametrize("kind", ["dangling link", "circular link", "pipe", "folder"])
def test_a_report_that_is_no_file_hinders_nothing(
    untrained: Path, tiny: Path, train_tiny: Cli, shard: Shard, kind: str
) -> None:
    put(untrained / "running" / f"{shard.name}.json", kind)
    assert nalm.status(untrained, 0).finished == 0
    done = train_tiny(tiny, "--out", untrained)
    assert done.returncode == 0, done.stderr
    assert nalm.load(untrained).missing == 0


@pytest.mark.parametrize("pid", [HUGE, -HUGE, 0, -1, "1", 1.5, None, [1]])
def test_nonsense_in_a_heartbeat_does_not_make_its_owner_dead(tmp_path: Path, pid: Any) -> None:
    lease = tmp_path / "shard.lease"
    with acquire(tmp_path / "other.lease") as mine:  # type: ignore[union-attr]
        about = json.loads(mine.heartbeat())
    (lease / "owner").mkdir(parents=True)
    (lease / "owner" / "heartbeat").write_text(json.dumps(about | {"pid": pid}))
    found = holder(lease)
    assert found is not None
    assert not found.is_dead


# Leases

FILES = ["file", "dangling link", "circular link", "link to a folder", "pipe"]
FOLDERS = ["folder", "folder of files", "folder of links"]


@pytest.mark.parametrize("kind", [*FILES, *FOLDERS])
def test_what_is_no_lease_makes_nobody_wait(
    untrained: Path, tiny: Path, train_tiny: Cli, shard: Shard, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NALM_PATIENCE", "600")
    path = untrained / "running" / f"{shard.name}.lease"
    put(path, kind)
    assert nalm.status(untrained, 0).waiting == 2
    done = train_tiny(tiny, "--out", untrained)
    assert done.returncode == 0, done.stderr
    assert nalm.load(untrained).missing == 0
    assert not path.exists()
    if kind == "link to a folder":
        assert (untrained / "running" / "elsewhere" / "kept").exists()
    assert any(str(path) in message for message in warnings_given()) == (kind in FILES)


def test_a_lease_that_cannot_be_removed_is_named_instead_of_waiting_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NALM_PATIENCE", "0.05")
    lease = tmp_path / "shard.lease"
    (lease / "owner").mkdir(parents=True)
    monkeypatch.setattr("nalm.store.leases._remove", lambda *_: None)
    watcher = LeaseWatcher(lease)
    assert not watcher.is_free()
    time.sleep(0.1)
    with pytest.raises(nalm.NalmError, match=f"cannot remove {lease}, whose owner shows no life"):
        watcher.is_free()


# Checkpoints


def saved(shard: Shard, state: Any, changes: Fields | None = None) -> bytes:
    """Return a checkpoint with the right hash and any content."""
    made_by = {
        "format": 2,
        "nalm": nalm.__version__,
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "device": "cpu",
        "compiled": False,
    }
    about = {"started": 1.0, "seconds": 1.0, "hosts": [platform.node()], "resumed_at": []}
    buffer = io.BytesIO()
    torch.save({"shard": shard.name, "made_by": made_by, **about, "state": state} | (changes or {}), buffer)
    return content_hash(buffer.getvalue()).encode() + b"\n" + buffer.getvalue()


@pytest.fixture
def state(shard: Shard) -> dict[str, Any]:
    """State of an ensemble before its first update."""
    from nalm.tasks import start_training

    ensemble = start_training(shard.recipe, [(run.task, run.seed) for run in shard.runs], compiled=False)
    return ensemble.state_dict()


def _with(state: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return state | changes


ABSURD: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "a huge iteration": lambda state: _with(state, iteration=HUGE),
    "a large iteration": lambda state: _with(state, iteration=2**40),
    "a negative iteration": lambda state: _with(state, iteration=-HUGE),
    "an infinite iteration": lambda state: _with(state, iteration=float("inf")),
    "other runs": lambda state: _with(state, present=torch.tensor([HUGE % 2**60])),
    "no runs": lambda state: _with(state, present=torch.tensor([], dtype=torch.int64)),
    "text": lambda state: dict.fromkeys(state, "x"),
    "numbers": lambda state: dict.fromkeys(state, HUGE),
    "nothing": lambda state: {},
    "a huge tensor": lambda state: _with(state, since=torch.zeros(1).expand(2**40)),
    "restarts": lambda state: _with(state, restarts=torch.full((3, 2), 2**62)),
    "stops": lambda state: _with(state, stopped_at=torch.full((6,), 2**62)),
}


@pytest.mark.parametrize("absurd", ABSURD)
def test_a_shard_starts_anew_if_its_checkpoint_holds_absurd_numbers(
    untrained: Path, tiny: Path, train_tiny: Cli, shard: Shard, state: dict[str, Any], absurd: str
) -> None:
    path = untrained / "running" / f"{shard.name}.checkpoint"
    path.write_bytes(saved(shard, ABSURD[absurd](state)))
    done = train_tiny(tiny, "--out", untrained)
    assert done.returncode == 0, done.stderr
    assert (untrained / "damaged" / path.name).exists()
    assert any(str(path) in message and "starts anew" in message for message in warnings_given())
    assert nalm.load(untrained).missing == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"started": 1e300},
        {"seconds": float("nan")},
        {"seconds": -1.0},
        {"hosts": [3]},
        {"resumed_at": [HUGE]},
        {"shard": HUGE},
        {"made_by": {}},
    ],
    ids=str,
)
def test_a_shard_starts_anew_if_its_checkpoint_tells_nonsense(
    untrained: Path, tiny: Path, train_tiny: Cli, shard: Shard, state: dict[str, Any], changes: dict[str, Any]
) -> None:
    path = untrained / "running" / f"{shard.name}.checkpoint"
    path.write_bytes(saved(shard, state, changes))
    done = train_tiny(tiny, "--out", untrained)
    assert done.returncode == 0, done.stderr
    assert (untrained / "damaged" / path.name).exists()


@pytest.mark.parametrize("kind", ["dangling link", "circular link", "pipe", "folder"])
def test_a_checkpoint_that_cannot_be_read_is_named(
    untrained: Path, tiny: Path, train_tiny: Cli, shard: Shard, kind: str
) -> None:
    path = untrained / "running" / f"{shard.name}.checkpoint"
    put(path, kind)
    done = train_tiny(tiny, "--out", untrained)
    assert done.returncode == 2
    *_, last = done.stderr.splitlines()
    assert f"cannot read {path}: " in last


# Failures


@pytest.mark.parametrize("kind", ["dangling link", "circular link", "pipe", "folder"])
def test_a_traceback_that_is_no_file_hinders_nothing(
    untrained: Path, tiny: Path, train_tiny: Cli, shard: Shard, kind: str
) -> None:
    (untrained / "failed").mkdir()
    put(untrained / "failed" / f"{shard.name}.txt", kind)
    assert nalm.status(untrained, 0).failed == []
    assert train_tiny(tiny, "--out", untrained).returncode == 0
    assert nalm.load(untrained).missing == 0
